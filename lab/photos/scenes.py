"""`python -m lab.photos.scenes`: churches in another light or season, delivered by tones or place by place, beside the true answer.

Each church is unseen, and none of those on which the windows' length was chosen. It is drawn at 768 pixels and edited with
`balanced`. One frame is delivered in every way: pasted; place by place, as if the words asked for anything; and by tones, as they
are read. Only edits whose words ask for other tones count. PSNR is of the whole photo, detail the energy of its Laplacian in
percent of the true answer's. Figures are means, and intervals those of a bootstrap over churches.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lab.measures.bootstrap import interval
from lab.measures.metrics import psnr_of
from lab.measures.zones import energy, laplacian, squared_error
from lab.photos.editing import edits_of
from lab.photos.ways import BY_PLACE, SIZE, Delivered, deliveries, means, run_bench
from lab.quality.population import shot_of
from lab.quality.worlds.edits import Case, cases_of
from s2edit_core.delivery.asked import Asked, asked_for
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.request.presets import PRESETS

EDITS = ("night", "sunset", "autumn")
TUNED_ON = 7
"""The first churches chose the windows."""
BY_TONES = "by tones"
WAYS: Mapping[str, Asked] = {BY_PLACE: "anything", BY_TONES: "tones"}


def figures(result: Image.Image, truth: Image.Image) -> dict[str, float]:
    """PSNR in dB, and detail in percent of the true answer's."""
    made, true = (np.asarray(each, dtype=np.float32) for each in (result, truth))
    error = float(squared_error(made, true).mean())
    return {"psnr": round(psnr_of(error), 3), "detail": round(100 * energy(laplacian(made)) / energy(laplacian(true)), 1)}


def edited(pipe: S2EditPipeline, case: Case) -> Delivered:
    """A record and the pictures of each edit of a church that asks for other tones: photo, ways, true answer."""
    shot, source = shot_of(case.photo, SIZE, case.seed), case.photo.prompt
    canvas = pipe.canvas(shot.picture, shot.mask, subject=case.photo.word)
    before = pipe.decoded(pipe.backbone.encode_image(canvas.source()))
    for target, out in edits_of(pipe, case, shot.picture, shot.mask, source, PRESETS["balanced"]):
        if asked_for(source, target.answer.prompt) != "tones":
            continue
        truth, drawn = shot_of(target.answer, SIZE, case.seed).picture, pipe.decoded(out.latents[0])
        made = deliveries(pipe, canvas, before, drawn, WAYS)
        found = {way: figures(picture, truth) for way, picture in made.items()}
        yield {"church": case.seed, "edit": target.edit.name, "ways": found}, [shot.picture, *made.values(), truth]


def summary(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means of each way by edit and of all; `gain_db` is by how much `by tones` is nearer than `place by place`."""
    found: dict[str, Any] = {}
    for name in (*EDITS, "all"):
        group = [record for record in records if name in (record["edit"], "all")]
        if not group:
            continue
        gains = [each["ways"][BY_TONES]["psnr"] - each["ways"][BY_PLACE]["psnr"] for each in group]
        churches = [each["church"] for each in group]
        found[name] = {"edits": len(group), **means(group, ("psnr", "detail")), "gain_db": interval(gains, churches).rounded()}
    return found


def of_churches(pipe: S2EditPipeline, number: int) -> Delivered:
    """Edit so many churches."""
    for case in islice(cases_of("church", EDITS), TUNED_ON, TUNED_ON + number):
        yield from edited(pipe, case)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--churches", type=int, default=12)
    parser.add_argument("--sheet", type=Path, help="file for a contact sheet")
    parser.add_argument("--out", type=Path, default=Path("lab/results/scenes.json"))
    wanted = parser.parse_args()
    edits = partial(of_churches, number=wanted.churches)
    run_bench(wanted.out, wanted.sheet, edits, summary, churches=wanted.churches, edits=EDITS)


if __name__ == "__main__":
    main()
