"""Measure the prompt adherence of the shipped model: `python -m lab.judges.obedience`.

The unchanged `StableDiffusionPipeline` samples fresh captions that name every attribute, and the judge classifies the pictures. An
attribute counts if the caption names it ("with glasses", "smiling", "long", a hair colour, a gender) and nothing covers it. Covered
attributes, such as eye shadow behind sunglasses, are counted separately.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionPipeline

from lab.judges.judge import NAMES, Judge, load_judge
from lab.training.train import MODEL
from lab.world.people import Attributes, caption, sample_person
from s2edit_core.delivery.canvas import to_tensor

FIRST_PERSON = 30_000_000
"""Number of the first person whose caption is used. No bench and no training draws people from here on."""

COVERED_BY = {"eye_shadow": "sunglasses"}


def named(attributes: Attributes) -> list[str]:
    """Return the attributes that the full caption names."""
    always = ["gender", "hair_colour", "hair_length"]
    expression = ["expression"] if attributes.expression != "neutral" else []
    present = [name for name in NAMES if getattr(attributes, name) is True]
    return always + expression + present


def measure(folder: str, judge: Judge, *, prompts: int, guidance: float, steps: int, batch: int = 8) -> dict[str, Any]:
    pipeline = StableDiffusionPipeline.from_pretrained(folder, safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    wanted = [sample_person(FIRST_PERSON + i).attributes for i in range(prompts)]
    hits: dict[str, list[bool]] = {name: [] for name in (*NAMES, *(f"{name} under {cover}" for name, cover in COVERED_BY.items()))}
    started = time.perf_counter()
    for start in range(0, prompts, batch):
        part = wanted[start : start + batch]
        seeds = [torch.Generator().manual_seed(start + i) for i in range(len(part))]
        images = pipeline(
            [caption(attributes) for attributes in part], num_inference_steps=steps, guidance_scale=guidance, generator=seeds
        ).images
        for attributes, seen in zip(part, judge(torch.stack([to_tensor(image) for image in images])), strict=True):
            for name in named(attributes):
                cover = COVERED_BY.get(name)
                key = f"{name} under {cover}" if cover and getattr(attributes, cover) else name
                hits[key].append(seen[name] == getattr(attributes, name))
    shares = {name: round(sum(found) / len(found), 4) for name, found in hits.items() if found}
    present = {name: share for name, share in shares.items() if name in NAMES}
    return {
        "prompts": prompts,
        "guidance_scale": guidance,
        "steps": steps,
        "present": present,
        "covered": {name: share for name, share in shares.items() if name not in NAMES},
        "cases": {name: len(found) for name, found in hits.items()},
        "lowest": min(present.values()),
        "mean": round(sum(sum(hits[name]) for name in NAMES) / sum(len(hits[name]) for name in NAMES), 4),
        "judge_accuracy": {name: round(value, 4) for name, value in judge.accuracy.items()},
        "seconds": round(time.perf_counter() - started, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(MODEL))
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--guidance", type=float, default=5.0)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--out", type=Path, default=Path("lab/results/obedience.json"))
    wanted = parser.parse_args()
    judge = load_judge()
    figures = measure(wanted.model, judge, prompts=wanted.prompts, guidance=wanted.guidance, steps=wanted.steps)
    figures["torch"] = torch.__version__
    wanted.out.write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
