"""`python -m lab.photos.layouts`: do edits succeed as often where the person is only a part of the photo, or fills it?

Each unseen person is edited in a portrait; in photos that hold that portrait beside, below or diagonally to those of other people;
and in close-ups, which are the part of the portrait around the head. The true mask says who is meant. The judge looks at the
portrait's part of the delivered picture, or at the portrait with the delivered close-up in its place. The distance to the true
answer is measured where the photo shows it. Intervals are of a bootstrap over people. Resumable: people of the same setting stay.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lab.judges.attributes import AttributeJudge, load_judge
from lab.measures.bootstrap import interval
from lab.measures.metrics import psnr
from lab.measures.results import dumped, machine
from lab.photos.editing import EDITS, edits_of, judged
from lab.photos.people import PEOPLE, sampled, unseen
from lab.quality.worlds.edits import Case
from lab.training.train import MODEL
from s2edit_core.delivery.framing import Box
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.request.presets import PRESETS, Preset

SCALE = 4
"""Pixels of the photo per pixel of a rendered portrait, along each side."""
LAYOUTS: dict[str, tuple[tuple[int, int], tuple[int, int]]] = {
    "portrait": ((1, 1), (0, 0)),
    "beside": ((2, 1), (1, 0)),
    "below": ((1, 2), (0, 1)),
    "corner": ((2, 2), (1, 0)),
}
"""By name: columns and rows of portraits, and the column and row of the person that is edited."""
CLOSE_UPS = {"close-up": 0.72, "tall close-up": 0.54}
"""By name: the width of a close-up, relative to the portrait's. A tall one is 4:3, the other a square."""
OTHERS = 5_000
"""The other people of a photo are numbered from here."""


def composed(case: Case, number: int, layout: str) -> tuple[Image.Image, Image.Image, Box]:
    """Return photo and mask in a layout, and the box of the person's portrait in the photo, which may reach beyond it."""
    side = SCALE * case.photo.picture.width
    if layout in CLOSE_UPS:
        left, top, right, bottom = (SCALE * edge for edge in close_up(case.photo.mask, layout))
        enlarged = (
            case.photo.picture.resize((side, side), Image.Resampling.LANCZOS),
            case.photo.mask.resize((side, side), Image.Resampling.BILINEAR),
        )
        photo, mask = (each.crop((left, top, right, bottom)) for each in enlarged)
        return photo, mask, (-left, -top, side - left, side - top)
    (columns, rows), at = LAYOUTS[layout]
    photo, mask = (Image.new(mode, (columns * side, rows * side)) for mode in ("RGB", "L"))
    for i, place in enumerate((column, row) for row in range(rows) for column in range(columns)):
        corner = (place[0] * side, place[1] * side)
        picture = case.photo.picture if place == at else PEOPLE.render(sampled(OTHERS + 4 * number + i))
        photo.paste(picture.resize((side, side), Image.Resampling.LANCZOS), corner)
        if place == at:
            mask.paste(case.photo.mask.resize((side, side), Image.Resampling.BILINEAR), corner)
    left, top = at[0] * side, at[1] * side
    return photo, mask, (left, top, left + side, top + side)


def close_up(mask: Image.Image, layout: str) -> Box:
    """Return the part of a portrait with this mask that a close-up shows: around the head, from a little above it."""
    inside = np.asarray(mask) >= 128
    side = inside.shape[1]
    width = round(CLOSE_UPS[layout] * side)
    height = width if layout == "close-up" else round(width * 4 / 3)
    top = int(np.flatnonzero(inside.any(axis=1))[0])
    head = np.flatnonzero(inside[top + side // 6])
    left = min(max((int(head[0]) + int(head[-1]) - width) // 2, 0), side - width)
    top = min(max(top - side // 64, 0), side - height)
    return left, top, left + width, top + height


def shown(delivered: Image.Image, portrait: Image.Image, box: Box) -> Image.Image:
    """Return the portrait of `box` in the delivered photo; what the photo does not show of it is that of `portrait`."""
    whole = portrait.resize((box[2] - box[0], box[3] - box[1]), Image.Resampling.LANCZOS)
    whole.paste(delivered, (-box[0], -box[1]))
    return whole.resize(portrait.size, Image.Resampling.LANCZOS)


def records_of(
    pipe: S2EditPipeline, case: Case, number: int, layout: str, preset: Preset, judge: AttributeJudge
) -> list[dict[str, Any]]:
    """Return a record per edit of one person in one layout."""
    photo, mask, box = composed(case, number, layout)
    found = []
    for target, out in edits_of(pipe, case, photo, mask, case.photo.prompt, preset):
        (delivered,) = list(out.images)
        seen = shown(delivered, case.photo.picture, box)
        about = {"person": number, "edit": target.edit.name, "layout": layout}
        part = seen_part(photo.size, box, seen.size)
        measured = {
            "psnr": round(psnr(np.asarray(seen.crop(part)), np.asarray(target.answer.picture.crop(part))), 3),
            "stretch": out.reports[0]["canvas"]["stretch"],
        }
        found.append(about | judged(judge, seen, target) | measured)
    return found


def seen_part(size: tuple[int, int], box: Box, portrait: tuple[int, int]) -> Box:
    """Return what a photo of `size` shows of the portrait in `box`, in pixels of the portrait."""
    left, top = max(0, -box[0]) // SCALE, max(0, -box[1]) // SCALE
    right, bottom = ((min(limit, far) - near) // SCALE for limit, near, far in zip(size, box[:2], box[2:], strict=True))
    return left, top, min(right, portrait[0]), min(bottom, portrait[1])


def summary(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the figures of each layout with intervals."""
    found: dict[str, Any] = {}
    for layout in (*LAYOUTS, *CLOSE_UPS):
        own = [record for record in records if record["layout"] == layout]
        if own:
            people = [record["person"] for record in own]
            found[layout] = {"edits": len(own), "people": len(set(people))} | {
                name: interval([float(record[name]) for record in own], people).rounded()
                for name in ("success", "side_effects", "psnr")
            }
    return found


def run(pipe: S2EditPipeline, wanted: argparse.Namespace, judge: AttributeJudge) -> None:
    """Measure person by person, and write the results after each."""
    setting = {"preset": wanted.preset, "model": pipe.backbone.fingerprint}
    saved: dict[str, Any] = json.loads(wanted.out.read_text()) if wanted.out.exists() else {}
    records = saved["records"] if saved.get("setting") == setting else []
    done = {record["person"] for record in records}
    for number, case in enumerate(unseen(wanted.people, EDITS)):
        if number in done:
            continue
        for layout in (*LAYOUTS, *CLOSE_UPS):
            records += records_of(pipe, case, number, layout, PRESETS[wanted.preset], judge)
        saved = {"setting": setting, "summary": summary(records), "machine": machine(), "records": records}
        wanted.out.write_text(dumped(saved))
        print(number + 1, "people", json.dumps(saved["summary"]), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(MODEL))
    parser.add_argument("--people", type=int, default=8)
    parser.add_argument("--preset", choices=tuple(PRESETS), default="instant")
    parser.add_argument("--out", type=Path, default=Path("lab/results/layouts.json"))
    wanted = parser.parse_args()
    run(S2EditPipeline.from_pretrained(wanted.model), wanted, load_judge())


if __name__ == "__main__":
    main()
