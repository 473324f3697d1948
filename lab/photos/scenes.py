"""`python -m lab.photos.scenes`: churches in another light or season, delivered by tones or place by place, beside the true answer.

Each church is unseen, and none of those on which the windows' length was chosen. It is drawn at 768 pixels and edited with
`balanced`. One frame is delivered in every way: pasted; place by place, as if the words asked for anything; and by tones, as they
are read. Only edits whose words ask for other tones count. PSNR is of the whole photo, detail the energy of its Laplacian in
percent of the true answer's. Figures are means, and intervals those of a bootstrap over churches.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lab.measures.bootstrap import interval
from lab.measures.metrics import psnr_of
from lab.measures.results import dumped, machine
from lab.measures.zones import energy, laplacian, squared_error
from lab.photos.editing import edits_of
from lab.quality.population import shot_of
from lab.quality.worlds.edits import Case, cases_of
from lab.training.train import MODEL
from s2edit_core.delivery.asked import Asked, asked_for
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.request.presets import PRESETS

EDITS = ("night", "sunset", "autumn")
SIZE, PANEL = 768, 384
TUNED_ON = 7
"""The first churches chose the windows."""
PASTED, BY_PLACE, BY_TONES = "pasted", "place by place", "by tones"
WAYS: Mapping[str, Asked] = {BY_PLACE: "anything", BY_TONES: "tones"}


def figures(result: Image.Image, truth: Image.Image) -> dict[str, float]:
    """PSNR in dB, and detail in percent of the true answer's."""
    made, true = (np.asarray(each, dtype=np.float32) for each in (result, truth))
    error = float(squared_error(made, true).mean())
    return {"psnr": round(psnr_of(error), 3), "detail": round(100 * energy(laplacian(made)) / energy(laplacian(true)), 1)}


def edited(pipe: S2EditPipeline, case: Case) -> Iterator[tuple[dict[str, Any], list[Image.Image]]]:
    """A record and the pictures of each edit of a church that asks for other tones: photo, ways, true answer."""
    shot, source = shot_of(case.photo, SIZE, case.seed), case.photo.prompt
    canvas = pipe.canvas(shot.picture, shot.mask, subject=case.photo.word)
    before = pipe.decoded(pipe.backbone.encode_image(canvas.source()))
    for target, out in edits_of(pipe, case, shot.picture, shot.mask, source, PRESETS["balanced"]):
        if asked_for(source, target.answer.prompt) != "tones":
            continue
        truth, drawn = shot_of(target.answer, SIZE, case.seed).picture, pipe.decoded(out.latents[0])
        made = {PASTED: canvas.paste(drawn)}
        made |= {way: pipe.deliver(canvas, before, drawn, asked=asked)[0] for way, asked in WAYS.items()}
        found = {way: figures(picture, truth) for way, picture in made.items()}
        yield {"church": case.seed, "edit": target.edit.name, "ways": found}, [shot.picture, *made.values(), truth]


def summary(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means of each way by edit and of all; `gain_db` is by how much `by tones` is nearer than `place by place`."""
    found: dict[str, Any] = {}
    for name in (*EDITS, "all"):
        group = [record for record in records if name in (record["edit"], "all")]
        if not group:
            continue
        mean = {
            way: {figure: round(statistics.mean(each["ways"][way][figure] for each in group), 2) for figure in ("psnr", "detail")}
            for way in (PASTED, *WAYS)
        }
        gains = [each["ways"][BY_TONES]["psnr"] - each["ways"][BY_PLACE]["psnr"] for each in group]
        churches = [each["church"] for each in group]
        found[name] = {"edits": len(group), **mean, "gain_db": interval(gains, churches).rounded()}
    return found


def sheet(rows: Sequence[Sequence[Image.Image]]) -> Image.Image:
    """A row per edit: photo, pasted, place by place, by tones, true answer."""
    whole = Image.new("RGB", (PANEL * len(rows[0]), PANEL * len(rows)))
    for down, row in enumerate(rows):
        for across, picture in enumerate(row):
            whole.paste(picture.resize((PANEL, PANEL), Image.Resampling.LANCZOS), (PANEL * across, PANEL * down))
    return whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--churches", type=int, default=12)
    parser.add_argument("--sheet", type=Path, help="file for a contact sheet")
    parser.add_argument("--out", type=Path, default=Path("lab/results/scenes.json"))
    wanted = parser.parse_args()
    pipe = S2EditPipeline.from_pretrained(MODEL)
    records: list[dict[str, Any]] = []
    rows: list[list[Image.Image]] = []
    for case in islice(cases_of("church", EDITS), TUNED_ON, TUNED_ON + wanted.churches):
        for record, row in edited(pipe, case):
            records.append(record)
            rows.append(row)
            print(json.dumps(record), flush=True)
    if wanted.sheet is not None:
        sheet(rows).save(wanted.sheet, quality=88)
    setting = {"churches": wanted.churches, "edits": EDITS, "size": SIZE, "preset": "balanced", "model": pipe.backbone.fingerprint}
    found = {"setting": setting, "machine": machine(), "summary": summary(records), "records": records}
    wanted.out.write_text(dumped(found))
    print(json.dumps(found["summary"], indent=1))


if __name__ == "__main__":
    main()
