"""`python -m lab.photos.maskless`: do edits by photo and sentence alone succeed as often as those with the true mask?

Each unseen person is edited twice: with the true mask, and with the one that the segmenter finds. Photo and target sentence are all
that is given otherwise: the source prompt is "a photo of a woman". The judge looks at the picture as it is delivered. Intervals are
of a bootstrap over people. Resumable: results of the same setting stay.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from lab.judges.attributes import AttributeJudge, load_judge
from lab.measures.bootstrap import interval
from lab.measures.results import dumped, machine
from lab.photos.editing import EDITS, edits_of, judged
from lab.photos.masks import overlap
from lab.photos.people import unseen
from lab.quality.worlds.edits import Case
from lab.training.train import MODEL
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.request.presets import PRESETS, Preset

TRUE, FOUND = "true mask", "found mask"


def edits_with(
    pipe: S2EditPipeline, case: Case, mask: Image.Image, preset: Preset, judge: AttributeJudge
) -> dict[str, dict[str, Any]]:
    """By edit: whether the delivered picture shows what was asked for, and how many other attributes changed."""
    source = f"a photo of a {case.photo.word}"
    found = {}
    for target, out in edits_of(pipe, case, case.photo.picture, mask, source, preset):
        (delivered,) = list(out.images)
        found[target.edit.name] = judged(judge, delivered, target)
    return found


def records_of(
    pipe: S2EditPipeline, case: Case, number: int, segmenter: str | None, preset: Preset, judge: AttributeJudge
) -> list[dict[str, Any]]:
    """A record per edit of one person, with both masks."""
    true = case.photo.mask
    mask = pipe.segmenter(segmenter).find(case.photo.picture, prompt=f"a photo of a {case.photo.word}").mask
    both = {name: edits_with(pipe, case, each, preset, judge) for name, each in ((TRUE, true), (FOUND, mask))}
    return [
        {
            "person": number,
            "edit": edit,
            "iou": round(overlap(mask, true), 3),
            **{f"{figure}, {name}": both[name][edit][figure] for figure in ("success", "side_effects") for name in both},
        }
        for edit in (target.edit.name for target in case.targets)
    ]


def summary(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Rates of success with both masks and their difference, with intervals; side effects by mean."""
    people = [record["person"] for record in records]
    won = {name: [float(record[f"success, {name}"]) for record in records] for name in (TRUE, FOUND)}
    difference = [found - true for found, true in zip(won[FOUND], won[TRUE], strict=True)]
    return {
        "edits": len(records),
        "people": len(set(people)),
        "success": {name: interval(values, people).rounded() for name, values in won.items()},
        "success, found minus true": interval(difference, people).rounded(),
        "side_effects": {
            name: round(statistics.fmean(record[f"side_effects, {name}"] for record in records), 3) for name in (TRUE, FOUND)
        },
        "iou": round(statistics.fmean(record["iou"] for record in records), 3),
    }


def run(pipe: S2EditPipeline, wanted: argparse.Namespace, judge: AttributeJudge) -> None:
    """Person by person, written after each, until all are done or `--minutes` have passed."""
    setting = {
        "preset": wanted.preset,
        "segmenter": wanted.segmenter or pipe.backbone.card.segmenter,
        "model": pipe.backbone.fingerprint,
    }
    saved: dict[str, Any] = json.loads(wanted.out.read_text()) if wanted.out.exists() else {}
    if saved.get("setting") != setting:
        saved = {"setting": setting, "records": []}
    done = {record["person"] for record in saved["records"]}
    began = time.monotonic()
    for number, case in enumerate(unseen(wanted.people, EDITS)):
        if number in done:
            continue
        if time.monotonic() - began > 60 * wanted.minutes:
            break
        saved["records"] += records_of(pipe, case, number, wanted.segmenter, PRESETS[wanted.preset], judge)
        saved = {"setting": setting, "summary": summary(saved["records"]), "machine": machine(), "records": saved["records"]}
        wanted.out.write_text(dumped(saved))
        print(number + 1, "people", json.dumps(saved["summary"]), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(MODEL))
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=60, help="begin nobody after that time")
    parser.add_argument("--preset", choices=tuple(PRESETS), default="instant")
    parser.add_argument("--segmenter", default=None, help="default: the model card's")
    parser.add_argument("--out", type=Path, default=Path("lab/results/maskless.json"))
    wanted = parser.parse_args()
    run(S2EditPipeline.from_pretrained(wanted.model), wanted, load_judge())


if __name__ == "__main__":
    main()
