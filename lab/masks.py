"""`python -m lab.masks`: how well the model finds the person by itself, beside the true mask of unseen portraits.

Intersection over union of what `S2EditPipeline.find_mask` marks with the portrait's own mask, once with the whole caption as the
prompt and once with no more than "a photo of a woman".
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lab.edits import Subject, unseen
from lab.portraits import caption, person_mask
from lab.runs import machine
from lab.train import MODEL
from s2edit_core.pipeline import S2EditPipeline


def overlap(found: Image.Image, true: Image.Image) -> float:
    """Intersection over union of two masks, white inside; 0..1."""
    a, b = (np.asarray(mask) > 127 for mask in (found, true))
    return float((a & b).sum() / max(1, (a | b).sum()))


def measure(pipe: S2EditPipeline, subjects: Sequence[Subject]) -> dict[str, Any]:
    found: dict[str, list[float]] = {"caption": [], "short": []}
    for subject in subjects:
        has = subject.person.attributes
        for name, prompt in (("caption", caption(has)), ("short", f"a photo of a {has.gender}")):
            found[name].append(overlap(pipe.find_mask(subject.picture, prompt), person_mask(subject.person)))
    return {
        name: {"mean": round(statistics.fmean(values), 3), "worst": round(min(values), 3), "each": [round(v, 3) for v in values]}
        for name, values in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(MODEL))
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument("--out", type=Path, default=Path("lab/results/masks.json"))
    wanted = parser.parse_args()
    pipe = S2EditPipeline.from_pretrained(wanted.model)
    figures = {
        "people": wanted.people,
        "intersection_over_union": measure(pipe, unseen(wanted.people)),
        "seed": 0,
        "machine": machine(),
    }
    wanted.out.write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
