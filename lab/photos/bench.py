"""`python -m lab.photos`: edits of full-resolution photographs, delivered by difference and by pasting, beside the true answer.

The model draws each edit once, from the photograph at 1 megapixel. The same frame is delivered to the photograph at every size.
Measured inside the edit mask, in zones that the true answer defines: what should not change, the same beyond one latent cell from
what should, and what should. *Misplaced* is the share of the error in the first zone that stands where the frame itself differs by
more than 51 levels: there the model drew the wanted thing where the true answer has none. *Energy* is that of the Laplacian, as a
share of the true answer's. *Ghost* is how much of the photo's own structure shows where something else should stand and was drawn.
*Seam* is the mean step across the border of the edit mask, beside the photo's own step there: 1 where no seam shows.

At the smallest size two more ways say whose fault an error is. *true map*: the delivery by difference, but only where the true
answer changes. *true frame*: the delivery of the true answer itself, seen at the model's resolution, as if a perfect model had
drawn it.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lab.measures.results import machine
from lab.measures.zones import Pixels, Region, Zones, laplacian, squared_error, zone_figures, zones_of
from lab.photos.frames import EDITS, Frames, frames_of, frames_path, read_frames
from lab.photos.people import unseen
from lab.quality.worlds.edits import case_of
from lab.training.dataset import WORK
from lab.training.train import MODEL
from lab.world.full_size import photograph
from s2edit_core.delivery.asked import Asked, asked_for
from s2edit_core.delivery.canvas import Canvas, make_canvas
from s2edit_core.delivery.changes import Difference
from s2edit_core.delivery.difference import change_between
from s2edit_core.pictures.files import inside_of
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.request.domains import Placement

SIZES = (1024, 2048, 3464)
"""Sides of the photographs: 1, 4 and 12 megapixels."""
DRAWN = 0.2
"""Difference of two frames, as a share of the range, from which something else is plainly seen."""
PANEL = 384


@dataclass(frozen=True, eq=False)
class Case:
    """The true answer of an edit of a photograph, with what is asked of both for every way."""

    truth: Pixels
    zones: Zones
    detail: tuple[Pixels, Pixels]  # Laplacians of photo and truth
    drawn: Region  # where the frame itself was plainly drawn anew
    photo: Pixels
    inside: Region  # the edit mask


def measured(result: Pixels, case: Case) -> dict[str, float | None]:
    """PSNR in dB, and energies in percent of the true answer's; None where a zone is empty."""
    error = squared_error(result, case.truth)
    own, (old, true) = laplacian(result), case.detail
    found = zone_figures(error, own, true, case.zones)
    where = case.zones.changed & case.drawn
    found["ghost"] = ghost(own[where], old[where], true[where])
    wrong = error[case.zones.same]
    before = step_across(case.photo, case.inside)
    found["seam"] = step_across(result, case.inside) / before if before > 0 else None
    found["misplaced"] = float(wrong[case.drawn[case.zones.same]].sum() / wrong.sum()) if wrong.any() else None
    return found


def ghost(result: Pixels, photo: Pixels, truth: Pixels) -> float | None:
    """How much of the photo's structure the result shows, beside the true answer's: 0 none, 1 all of it.

    The photo's coefficient in the least-squares fit of the result by photo and true answer; all three are Laplacians `(n,)`.
    """
    known = np.stack([photo, truth]).astype(np.float64)
    products = known @ known.T
    if not known.any() or np.linalg.cond(products) > 1e6:
        return None
    return float(np.linalg.solve(products, known @ result)[0])


def step_across(picture: Pixels, inside: Region) -> float:
    """The mean difference in levels between two neighbours across the border of a mask; 0 without a border."""
    total, pairs = 0.0, 0
    for axis in (0, 1):
        crossing = np.diff(inside, axis=axis)
        total += float(np.abs(np.diff(picture, axis=axis)[crossing]).mean(axis=-1).sum())
        pairs += int(crossing.sum())
    return total / pairs if pairs else 0.0


def plainly_drawn(frames: Frames, edit: str, size: int) -> Region:
    """`(size, size)`: where source and edited frame differ plainly. The crop is the whole photograph."""
    moved = (frames.edited[edit] - frames.source).abs().amax(dim=0).numpy() / 2
    return np.asarray(Image.fromarray(moved).resize((size, size), Image.Resampling.BILINEAR)) > DRAWN


def delivered(
    canvas: Canvas, frames: Frames, edit: str, cell: int, asked: Asked
) -> tuple[dict[str, Image.Image], dict[str, float]]:
    """The photograph with the edit, by way; and the shares of the edit mask that were replaced, shifted and left."""
    change = change_between(frames.source, frames.edited[edit], canvas.source(), cell, noise=canvas.noise, asked=asked)
    pictures = {"paste": canvas.paste(frames.edited[edit]), "difference": canvas.deliver(change)}
    return pictures, change.shares(canvas.mask(canvas.edit_mask))


def explained(
    canvas: Canvas, frames: Frames, edit: str, cell: int, answer: Image.Image, changed: Region, asked: Asked
) -> dict[str, Image.Image]:
    """The same with the true map of the change, and of the true answer itself as a perfect model would draw it."""
    source = canvas.source()
    change = change_between(frames.source, frames.edited[edit], source, cell, noise=canvas.noise, asked=asked)
    assert isinstance(change, Difference), "no edit here asks for other tones"
    where = canvas.mask(Image.fromarray(changed.astype(np.uint8) * 255))
    cut = {name: getattr(change, name) * where for name in ("kept", "drawn", "covered", "shifted")}
    perfect = change_between(source, replace(canvas, photo=answer).source(), source, cell, noise=canvas.noise, asked=asked)
    return {"true map": canvas.deliver(replace(change, **cut)), "true frame": canvas.deliver(perfect)}


def cases(card: Setting, number: int, size: int) -> tuple[list[dict[str, Any]], list[Image.Image]]:
    """A record per edit and way of one person at one size, and a row of pictures per edit."""
    person, frames = case_of("person", number, EDITS), card.frames(number)
    shot = photograph(person.photo.subject, size, number)
    canvas, photo = card.canvas(shot.picture, shot.mask), np.asarray(shot.picture, dtype=np.float32)
    old, records, rows = laplacian(photo), [], []
    for target in person.targets:
        edit, answer = target.edit.name, photograph(target.answer.subject, size, number).picture
        truth = np.asarray(answer, dtype=np.float32)
        zones, drawn = zones_of(photo, truth, canvas, card.cell), plainly_drawn(frames, edit, size)
        case = Case(truth, zones, (old, laplacian(truth)), drawn, photo, inside_of(canvas.edit_mask))
        asked = asked_for(person.photo.prompt, target.answer.prompt)
        pictures, shares = delivered(canvas, frames, edit, card.cell, asked=asked)
        if size == min(SIZES):
            pictures |= explained(canvas, frames, edit, card.cell, answer, zones.changed, asked=asked)
        for way, picture in pictures.items():
            figures = measured(np.asarray(picture, dtype=np.float32), case)
            rounded = {name: None if value is None else round(value, 3) for name, value in figures.items()}
            about = {"person": number, "edit": edit, "size": size, "way": way}
            records.append(about | rounded | (shares if way == "difference" else {}))
        rows.append(row([shot.picture, pictures["paste"], pictures["difference"], answer]))
    return records, rows


@dataclass(frozen=True)
class Setting:
    """What the processes that measure need of the model, which they don't load."""

    fingerprint: str
    frame_size: int
    multiple: int
    cell: int
    placement: Placement
    work: Path

    def canvas(self, photo: Image.Image, mask: Image.Image) -> Canvas:
        return make_canvas(photo, mask, None, frame_size=self.frame_size, multiple=self.multiple, placement=self.placement)

    def frames(self, number: int) -> Frames:
        return read_frames(frames_path(self.work, self.fingerprint, "balanced", number))


def row(pictures: Sequence[Image.Image]) -> Image.Image:
    strip = Image.new("RGB", (PANEL * len(pictures), PANEL))
    for i, picture in enumerate(pictures):
        strip.paste(picture.resize((PANEL, PANEL), Image.Resampling.LANCZOS), (PANEL * i, 0))
    return strip


def sheet(rows: Sequence[Image.Image]) -> Image.Image:
    """Photo, pasted, delivered by difference, true answer: a row per edit."""
    whole = Image.new("RGB", (rows[0].width, PANEL * len(rows)))
    for i, each in enumerate(rows):
        whole.paste(each, (0, PANEL * i))
    return whole


def summary(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Medians by edit, way and size."""
    keys = dict.fromkeys((each["edit"], each["way"], each["size"]) for each in records)
    found: dict[str, Any] = {}
    for edit, way, size in keys:
        group = [each for each in records if (each["edit"], each["way"], each["size"]) == (edit, way, size)]
        figures = [name for name in group[0] if name not in ("person", "edit", "size", "way")]
        known = {name: [each[name] for each in group if each.get(name) is not None] for name in figures}
        medians = {name: round(statistics.median(values), 3) for name, values in known.items() if values}
        found[f"{edit} {way} {size}"] = {"edits": len(group)} | medians
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(MODEL))
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="sides in pixels")
    parser.add_argument("--sheets", type=Path, help="folder for a contact sheet per person")
    parser.add_argument("--work", type=Path, default=WORK / "photos", help="where the model's frames are kept")
    parser.add_argument("--workers", type=int, default=2, help="processes that measure")
    parser.add_argument("--out", type=Path, default=Path("lab/results/photos.json"))
    wanted = parser.parse_args()
    pipe = S2EditPipeline.from_pretrained(wanted.model)
    backbone, sizes = pipe.backbone, [int(size) for size in wanted.sizes.split(",")]
    card = Setting(
        backbone.fingerprint,
        backbone.frame_size,
        backbone.frame_multiple,
        backbone.latent_scale,
        backbone.card.placement("person"),
        wanted.work,
    )
    people = unseen(wanted.people, EDITS)
    for person in people:
        frames_of(pipe, person, "balanced", wanted.work)
    records: list[dict[str, Any]] = []
    with ProcessPoolExecutor(wanted.workers, mp_context=get_context("spawn")) as pool:
        tasks = [(card, person.seed, size) for person in people for size in sizes]
        measured_ones = pool.map(cases, *zip(*tasks, strict=True), chunksize=len(sizes))  # one process draws a person once
        for (_, number, size), (found, rows) in zip(tasks, measured_ones, strict=True):
            records += found
            if wanted.sheets is not None and size == sizes[-1]:
                wanted.sheets.mkdir(parents=True, exist_ok=True)
                sheet(rows).save(wanted.sheets / f"{number}.jpg", quality=90)
            print(f"{number} at {size}", flush=True)
    setting = {"people": wanted.people, "sizes": sizes, "preset": "balanced", "edits": EDITS, "model": backbone.fingerprint}
    results = {"setting": setting, "machine": machine(), "medians": summary(records), "records": records}
    wanted.out.write_text(dumped_records(results))
    print(json.dumps(results["medians"], indent=1))


def dumped_records(results: Mapping[str, Any]) -> str:
    """JSON, a record a line."""
    head = {name: value for name, value in results.items() if name != "records"}
    lines = ",\n  ".join(json.dumps(record) for record in results["records"])
    return json.dumps(head, indent=1)[:-2] + ',\n "records": [\n  ' + lines + "\n ]\n}\n"


if __name__ == "__main__":
    main()
