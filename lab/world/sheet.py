"""Write a contact sheet of a domain: samples with captions, then subjects with other photos and the true answer of every edit.

python -m lab.world.sheet --domain person --out sheet.png
"""

from __future__ import annotations

import argparse
import importlib
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from PIL import Image, ImageDraw, ImageFont

from lab.world.domain import Domain, Subject

Tile = tuple[Image.Image, str]
COLUMNS = 8
TEXT_HEIGHT = 46


def domain(name: str) -> Domain:
    """Return the domain of that name, `lab.world.<name>.DOMAIN`. Raises `ValueError` for an unknown one."""
    try:
        module = importlib.import_module(f"lab.world.{name}")
        return cast(Domain, module.DOMAIN)
    except (ModuleNotFoundError, AttributeError) as error:
        raise ValueError(f"there is no domain {name!r} in lab.world") from error


def changes(world: Domain, subject: Subject) -> Iterator[dict[str, Any]]:
    """Yield every change of a single attribute of `subject`. Some may be impossible."""
    for name, classes in world.labels.items():
        value = getattr(subject.attributes, name)
        others: Sequence[Any] = (not value,) if isinstance(value, bool) else [each for each in classes if each != value]
        yield from ({name: other} for other in others)


def edited(world: Domain, subject: Subject, size: int) -> Iterator[Tile]:
    """Yield the true answer of every edit of one attribute that is possible."""
    for change in changes(world, subject):
        (name, value), *_ = change.items()
        try:
            answer = world.change(subject, **change)
        except ValueError:
            continue
        yield world.render(answer, size), f"{name}: {value}"


def sheet(rows: Sequence[Sequence[Tile]], size: int) -> Image.Image:
    """Return the tiles in rows, each with its text below. Rows longer than `COLUMNS` wrap."""
    lines = [row[i : i + COLUMNS] for row in rows for i in range(0, len(row), COLUMNS)]
    height = size + TEXT_HEIGHT
    page = Image.new("RGB", (COLUMNS * size, len(lines) * height), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(10)
    for i, line in enumerate(lines):
        for j, (picture, text) in enumerate(line):
            page.paste(picture, (j * size, i * height))
            wrapped = "\n".join(textwrap.wrap(text, max(12, size // 5))[:4])
            draw.multiline_text((j * size + 3, i * height + size + 1), wrapped, fill="black", font=font, spacing=1)
    return page


def rows_of(world: Domain, seeds: range, subjects: int, size: int) -> list[list[Tile]]:
    """Return the rows of a sheet: the samples of `seeds`, then the first `subjects` of them in other photos and with every edit."""
    people = [world.sample(seed) for seed in seeds]
    rows = [[(world.render(each, size), world.caption(each.attributes)) for each in people]]
    for number, each in enumerate(people[:subjects]):
        others = [world.another_photo(each, 10 * number + i) for i in range(COLUMNS - 1)]
        photos = [(world.render(other, size), world.caption(other.attributes)) for other in others]
        rows.append([(world.render(each, size), "the identity, and other photos of it"), *photos])
        rows.append(list(edited(world, each, size)))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--domain", required=True, help="person, cat or church")
    parser.add_argument("--out", type=Path, required=True, help="the PNG to write")
    parser.add_argument("--first", type=int, default=0, help="seed of the first sample")
    parser.add_argument("--samples", type=int, default=24)
    parser.add_argument("--subjects", type=int, default=2, help="how many samples to show with other photos and every edit")
    parser.add_argument("--size", type=int, default=128)
    options = parser.parse_args()
    world = domain(options.domain)
    seeds = range(options.first, options.first + options.samples)
    sheet(rows_of(world, seeds, options.subjects, options.size), options.size).save(options.out)


if __name__ == "__main__":
    main()
