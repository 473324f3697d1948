"""A plot of seconds per edit against users at the same time, drawn with Pillow.

python -m lab.speed.plot                                      draw `lab/results/speed.png` from `speed.json` beside it
python -m lab.speed.plot --results FILE.json                  draw `FILE.png`

`python -m lab.speed` draws it too, after each run.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from lab.speed.record import DONE, Result
from lab.speed.summary import per_user

SIZE = (900, 520)
LEFT, RIGHT, TOP, BOTTOM = 90, 250, 60, 70
LABEL_PX = 20
"""Least distance of two labels."""
PRESET = "balanced"
INK, GRID, PAPER = (40, 40, 40), (222, 222, 222), (255, 255, 255)
COLOURS = ((196, 78, 82), (76, 114, 176), (85, 168, 104), (129, 114, 178))


@dataclass(frozen=True)
class Line:
    """A named line through points (users, seconds per edit)."""

    name: str
    points: tuple[tuple[int, float], ...]


def lines_of(phases: Mapping[str, Result]) -> list[Line]:
    """Return the lines of all finished phases: the reference way, and first and further edits of the preset `balanced`.

    One user's seconds are those of the job alone, as in the tables, if all of its steps were run.
    """
    done = {name: entry["result"] for name, entry in phases.items() if entry["state"] == DONE}
    crowds = sorted(_crowds(done).items())
    if not crowds:
        return []
    counts = [count for count, _ in crowds]
    lines = []
    if "reference" in done:
        lines += [
            Line(title, tuple((n, done["reference"][key]) for n in counts))
            for title, key in (("reference way, first edit", "cold_s"), ("reference way, further edit", "warm_s"))
        ]
    lines.append(Line("shared passes, first edit", tuple((n, cold) for n, (cold, _) in crowds)))
    lines.append(Line("shared passes, further edit", tuple((n, warm) for n, (_, warm) in crowds)))
    return lines


def _crowds(done: Mapping[str, Result]) -> dict[int, tuple[float, float]]:
    """Return the seconds that a first and a further edit take each user, by the number of users."""
    found = {}
    for name, result in done.items():
        if name.startswith("users/") and result["preset"] == PRESET and (each := per_user(result)):
            found[result["users"]] = (each["cold_s_per_user"], each["warm_s_per_user"])
            alone = done.get(f"job/{name.split('/')[1]}/{PRESET}")
            if result["users"] == 1 and alone is not None and alone["share_of_steps"] == 1:
                found[1] = (alone["seconds"], alone["warm"]["seconds"])
    return found


@dataclass(frozen=True)
class _Scale:
    """A logarithmic axis from `low` to `high`, drawn from pixel `begin` to `end`."""

    low: float
    high: float
    begin: int
    end: int

    def at(self, value: float) -> float:
        part = (math.log(value) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        return self.begin + part * (self.end - self.begin)


def ticks(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 times powers of ten within low..high."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [m * 10.0**p for p in powers for m in (1, 2, 5) if low <= m * 10.0**p <= high]


def spread(ends: Sequence[float]) -> list[float]:
    """Return where the labels of lines stand that end at `ends`: in the same order, `LABEL_PX` or more apart."""
    order = sorted(range(len(ends)), key=lambda i: ends[i])
    places = list(ends)
    for above, below in pairwise(order):
        places[below] = max(places[below], places[above] + LABEL_PX)
    return places


def draw(lines: Sequence[Line], title: str) -> Image.Image:
    """Draw the lines on logarithmic axes. Raises `ValueError` if there are none."""
    if not lines:
        raise ValueError("there is nothing to plot: no phase with several users is done")
    picture = Image.new("RGB", SIZE, PAPER)
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(15)
    counts = sorted({n for line in lines for n, _ in line.points})
    seconds = [s for line in lines for _, s in line.points]
    across = _Scale(counts[0], max(counts[-1], 2 * counts[0]), LEFT, SIZE[0] - RIGHT)
    up = _Scale(min(seconds) / 1.5, max(seconds) * 1.5, SIZE[1] - BOTTOM, TOP)
    for value in ticks(up.low, up.high):
        y = up.at(value)
        pen.line((LEFT, y, SIZE[0] - RIGHT, y), fill=GRID)
        pen.text((LEFT - 10, y), f"{value:g} s", fill=INK, font=font, anchor="rm")
    for count in counts:
        x = across.at(count)
        pen.line((x, TOP, x, SIZE[1] - BOTTOM), fill=GRID)
        pen.text((x, SIZE[1] - BOTTOM + 10), str(count), fill=INK, font=font, anchor="ma")
    pen.text(((LEFT + SIZE[0] - RIGHT) / 2, SIZE[1] - BOTTOM + 36), "users at the same time", fill=INK, font=font, anchor="ma")
    pen.text((LEFT, TOP - 34), title, fill=INK, font=font)
    labels = spread([up.at(line.points[-1][1]) for line in lines])
    for line, colour, label in zip(lines, COLOURS, labels, strict=False):
        points = [(across.at(n), up.at(s)) for n, s in line.points]
        pen.line(points, fill=colour, width=3)
        for x, y in points:
            pen.ellipse((x - 4, y - 4, x + 4, y + 4), fill=colour)
        pen.text((points[-1][0] + 12, label), line.name, fill=colour, font=font, anchor="lm")
    return picture


def write(phases: Mapping[str, Result], about: Mapping[str, Any], path: Path) -> bool:
    """Write the plot to `path` if there is anything to plot. Return whether there was."""
    lines = lines_of(phases)
    if lines:
        draw(lines, f"Seconds per edit, {PRESET}, {about['device']}, {Path(about['model']).name}").save(path, optimize=True)
    return bool(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("lab/results/speed.json"))
    path: Path = parser.parse_args().results
    results = json.loads(path.read_text(encoding="utf-8"))
    if not write(results["phases"], results["about"], path.with_suffix(".png")):
        raise SystemExit(f"{path}: there is nothing to plot, because no phase with several users is done")


if __name__ == "__main__":
    main()
