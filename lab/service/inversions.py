"""Compare inversions in half and in single precision: `python -m lab.service.inversions`.

Each person is learned once and inverted twice per preset: as the service does it, and with the rounding switched off. Each edit is
then drawn from both. `apart_db` is the PSNR between the two drawn frames, `half_db` and `single_db` are their distances to the
ground truth. The sizes for Stable Diffusion are those of files with its shapes. Results of other presets are kept in the file.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from lab.measures.metrics import psnr
from lab.measures.results import dumped, machine
from lab.photos.people import unseen
from lab.quality.worlds.edits import Case
from lab.training.train import MODEL
from s2edit_core.concepts.concept import Concept
from s2edit_core.method.inversion import Inversion, rounded
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.request.options import InversionTier
from s2edit_core.request.presets import PRESETS, Preset

SHAPES = {"Stable Diffusion 1.x, 512 pixels": (64, 768), "Stable Diffusion 2.1, 768 pixels": (96, 1024)}
"""Side of the latent and width of the text states by title."""
TOKENS = 77
EDITS = ("hair colour", "smiling", "glasses")


@contextmanager
def single_precision() -> Iterator[None]:
    """Invert without rounding."""
    with patch("s2edit_core.method.inversion.rounded", lambda tensor: tensor):
        yield


def file_bytes(tier: InversionTier, steps: int, side: int, width: int) -> dict[str, int]:
    """Return the size of an inversion's file in both precisions."""

    def size(number: torch.Tensor) -> int:
        path = number.expand(steps + 1, 4, side, side)
        nulls = number.expand(steps if tier == "null_text" else 1, TOKENS, width)
        return len(Inversion(path, nulls, path[1:] if tier == "residual" else torch.zeros(0), tier, 7.5).to_bytes())

    tenth = torch.tensor(0.1)
    return {"half": size(rounded(tenth)), "single": size(tenth)}


def frames_of(pipe: S2EditPipeline, case: Case, concept: Concept, inversion: Inversion, preset: Preset) -> list[Any]:
    prompts, photo = [target.answer.prompt for target in case.targets], case.photo
    output = pipe(prompts, image=photo.picture, mask=photo.mask, inversion=inversion, identity=concept, injection=preset.injection)
    return [np.asarray(frame) for frame in output.frames]


def compared(pipe: S2EditPipeline, case: Case, preset: Preset) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Return a record per edit, and the bytes of the two inversions."""
    photo = case.photo
    concept = pipe.learn(photo.picture, photo.mask, photo.prompt, options=preset.learning)

    def inverted() -> Inversion:
        return pipe.invert(
            photo.picture,
            photo.mask,
            photo.prompt,
            concept,
            options=preset.inversion,
            num_inference_steps=preset.steps,
            guidance_scale=pipe.guidance(None, preset.name),
        )

    half = inverted()
    with single_precision():
        single = inverted()
    records = []
    for target, one, other in zip(
        case.targets,
        frames_of(pipe, case, concept, half, preset),
        frames_of(pipe, case, concept, single, preset),
        strict=True,
    ):
        truth = np.asarray(target.answer.picture)
        apart = int(np.abs(one.astype(int) - other.astype(int)).max())
        records.append(
            {
                "person": case.seed,
                "edit": target.edit.name,
                "apart_db": round(psnr(one, other), 2),
                "largest_level": apart,
                "half_db": round(psnr(one, truth), 3),
                "single_db": round(psnr(other, truth), 3),
            }
        )
    return records, {"half": len(half.to_bytes()), "single": len(single.to_bytes())}


def measure(pipe: S2EditPipeline, people: int, name: str) -> dict[str, Any]:
    """Return the comparison for the preset `name`."""
    preset = PRESETS[name]  # type: ignore[index]
    records: list[dict[str, Any]] = []
    for case in unseen(people, EDITS):
        found, sizes = compared(pipe, case, preset)
        records += found
        print(name, case.seed, [record["apart_db"] for record in found], flush=True)
    return {
        "bytes": sizes,
        "people": people,
        "edits": len(records),
        "apart_db": {"mean": round(fmean(one["apart_db"] for one in records), 2), "least": min(one["apart_db"] for one in records)},
        "largest_level": max(one["largest_level"] for one in records),
        "truth_db": {which: round(fmean(one[f"{which}_db"] for one in records), 3) for which in ("half", "single")},
        "records": records,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=4)
    parser.add_argument("--presets", default=",".join(PRESETS))
    parser.add_argument("--out", type=Path, default=Path("lab/results/inversions.json"))
    wanted = parser.parse_args()
    pipe = S2EditPipeline.from_pretrained(MODEL)
    earlier = json.loads(wanted.out.read_text())["presets"] if wanted.out.exists() else {}
    presets = earlier | {name: measure(pipe, wanted.people, name) for name in wanted.presets.split(",")}
    computed = {
        title: {name: file_bytes(preset.inversion.tier, preset.steps, *shape) for name, preset in PRESETS.items()}
        for title, shape in SHAPES.items()
    }
    results = {"machine": machine(), "presets": presets, "stable_diffusion_bytes": computed}
    wanted.out.write_text(dumped(results))


if __name__ == "__main__":
    main()
