"""`python -m lab.photos`: edits of full-resolution photographs, delivered by difference and by pasting, beside the true answer.

The model draws each edit once, from the photograph at 1 megapixel. The same frame is delivered to the photograph at every size.
Measured inside the edit mask, in zones that the true answer defines: what should not change, the same beyond one latent cell from
what should, and what should. *Misplaced* is the share of the error in the first zone that stands where the frame itself differs by
more than 51 levels: there the model drew the wanted thing where the true answer has none. *Energy* is that of the Laplacian, as a
share of the true answer's. *Ghost* is how much of the photo's own structure shows where it should have changed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from lab.dataset import WORK
from lab.edits import Subject, unseen
from lab.metrics import psnr_of
from lab.photo_frames import EDITS, Frames, frames_of
from lab.photographs import photograph
from lab.runs import machine
from lab.train import MODEL
from s2edit_core.canvas import Canvas
from s2edit_core.delivery import change_between
from s2edit_core.pictures import inside_of
from s2edit_core.pipeline import S2EditPipeline

SIZES = (1024, 2048, 3464)
"""Sides of the photographs: 1, 4 and 12 megapixels."""
EDGE = 1
"""Levels by which source and true answer may differ where nothing changes: rounding."""
DRAWN = 0.2
"""Difference of two frames, as a share of the range, from which something else is plainly seen."""
PANEL = 384
Region = NDArray[np.bool_]
Pixels = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Zones:
    """Pixels inside the edit mask."""

    same: Region  # the true answer is the photo
    far: Region  # the same, beyond one latent cell from what changes
    changed: Region


def zones_of(photo: Pixels, truth: Pixels, canvas: Canvas, cell: int) -> Zones:
    inside = inside_of(canvas.edit_mask)
    changed = np.abs(truth - photo).max(axis=2) > EDGE
    reach = round(cell * (canvas.box[2] - canvas.box[0]) / canvas.frame[0])
    near = np.asarray(Image.fromarray(changed.astype(np.uint8) * 255).filter(ImageFilter.BoxBlur(reach))) > 0
    return Zones(inside & ~changed, inside & ~changed & ~near, inside & changed)


def measured(result: Pixels, photo: Pixels, truth: Pixels, zones: Zones) -> dict[str, float | None]:
    """PSNR in dB, and energies in percent of the true answer's; None where a zone is empty."""
    error = np.square(result - truth).mean(axis=2)
    detail = {name: np.square(laplacian(picture)) for name, picture in (("result", result), ("truth", truth))}
    found: dict[str, float | None] = {}
    for name, zone in (("same", zones.same), ("far", zones.far), ("changed", zones.changed)):
        found[f"psnr_{name}"] = psnr_of(float(error[zone].mean())) if zone.any() else None
        true = float(detail["truth"][zone].sum(dtype=np.float64))
        found[f"energy_{name}"] = 100 * float(detail["result"][zone].sum(dtype=np.float64)) / true if true > 0 else None
    found["ghost"] = ghost(result, photo, truth, zones.changed)
    return found


def laplacian(picture: Pixels) -> Pixels:
    grey = picture.mean(axis=2)
    around = np.roll(grey, 1, 0) + np.roll(grey, -1, 0) + np.roll(grey, 1, 1) + np.roll(grey, -1, 1)
    return np.asarray(4 * grey - around, dtype=np.float32)


def ghost(result: Pixels, photo: Pixels, truth: Pixels, where: Region) -> float | None:
    """How much of the photo's structure the result shows `where`, beside the true answer's: 0 none, 1 all of it.

    The photo's coefficient in the least-squares fit of the result by photo and true answer, of Laplacians.
    """
    known = np.stack([laplacian(photo)[where], laplacian(truth)[where]]).astype(np.float64)
    products = known @ known.T
    if np.linalg.cond(products) > 1e6:
        return None
    return float(np.linalg.solve(products, known @ laplacian(result)[where])[0])


def delivered(canvas: Canvas, frames: Frames, edit: str, cell: int) -> tuple[dict[str, Image.Image], dict[str, float]]:
    """The photograph with the edit, by way; and the shares of the edit mask that were replaced, shifted and left."""
    change = change_between(frames.source, frames.edited[edit], canvas.source(), cell)
    pictures = {"paste": canvas.paste(frames.edited[edit]), "difference": canvas.deliver(change)}
    return pictures, change.shares(canvas.mask(canvas.edit_mask))


def cases(pipe: S2EditPipeline, subject: Subject, frames: Frames, size: int, panels: list[Image.Image]) -> list[dict[str, Any]]:
    """A record per edit and way, at one size; `panels` takes a row of pictures per edit where it is the last size."""
    shot = photograph(subject.person, size, subject.number)
    canvas, photo = pipe.canvas(shot.picture, shot.mask), np.asarray(shot.picture, dtype=np.float32)
    cell, records = pipe.backbone.latent_scale, []
    for edit in subject.edits:
        answer = photograph(subject.answer(edit), size, subject.number).picture
        truth = np.asarray(answer, dtype=np.float32)
        zones = zones_of(photo, truth, canvas, cell)
        pictures, shares = delivered(canvas, frames, edit.name, cell)
        for way, picture in pictures.items():
            figures = measured(np.asarray(picture, dtype=np.float32), photo, truth, zones)
            figures["misplaced"] = misplaced(np.asarray(picture, dtype=np.float32), truth, zones.same, frames, edit.name)
            rounded = {name: None if value is None else round(value, 3) for name, value in figures.items()}
            about = {"person": subject.number, "edit": edit.name, "size": size, "way": way}
            records.append(about | rounded | (shares if way == "difference" else {}))
        panels.append(row([shot.picture, pictures["paste"], pictures["difference"], answer]))
    return records


def misplaced(result: Pixels, truth: Pixels, same: Region, frames: Frames, edit: str) -> float | None:
    """The share of the squared error in the zone `same` that lies where the frame was visibly drawn anew. The crop is the photo."""
    moved = (frames.edited[edit] - frames.source).abs().amax(dim=0).numpy() / 2
    drawn = np.asarray(Image.fromarray(moved).resize(same.shape[::-1], Image.Resampling.BILINEAR)) > DRAWN
    error = np.square(result - truth).mean(axis=2) * same
    return float(error[drawn].sum(dtype=np.float64) / error.sum(dtype=np.float64)) if error.any() else None


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
    parser.add_argument("--out", type=Path, default=Path("lab/results/photos.json"))
    wanted = parser.parse_args()
    pipe = S2EditPipeline.from_pretrained(wanted.model)
    records: list[dict[str, Any]] = []
    sizes = [int(size) for size in wanted.sizes.split(",")]
    for subject in unseen(wanted.people, EDITS):
        began = time.perf_counter()
        frames = frames_of(pipe, subject, "balanced", wanted.work)
        for size in sizes:
            panels: list[Image.Image] = []
            records += cases(pipe, subject, frames, size, panels)
        if wanted.sheets is not None:
            wanted.sheets.mkdir(parents=True, exist_ok=True)
            sheet(panels).save(wanted.sheets / f"{subject.number}.jpg", quality=90)
        print(f"{subject.number}: {time.perf_counter() - began:.1f} s", flush=True)
    setting = {"people": wanted.people, "sizes": sizes, "preset": "balanced", "edits": EDITS, "model": pipe.backbone.fingerprint}
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
