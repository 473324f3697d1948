"""Measure the prompt adherence of the shipped model: `python -m lab.judges.adherence`.

The unchanged `StableDiffusionPipeline` samples fresh captions of people, cats and churches, and the judge classifies the pictures.
A caption names every attribute that differs from the ordinary ("with glasses", "smiling", a hair colour); one that it does not name
should be ordinary. What something covers, such as eyes behind sunglasses, does not count.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionPipeline
from PIL import Image
from torch import Tensor

from lab.judges.attributes import AttributeJudge, load_judge
from lab.measures.results import machine
from lab.training.train import MODEL
from lab.world.domain import Domain
from lab.world.domains import DOMAINS
from s2edit_core.delivery.canvas import to_tensor

FIRST = 30_000_000
"""Seed of the first subject whose caption is used. No bench and no training uses subjects from here on."""
ORDINARY = frozenset(("no", "without", "front", "neutral", "adult", "day", "summer", "clear"))
"""Classes that a caption does not name."""


def drawn(pipeline: Callable[..., Any], prompts: Sequence[str], *, guidance: float, steps: int, batch: int = 8) -> Tensor:
    """Return the pictures of the prompts, `(n, 3, h, w)` in -1..1. Picture i starts from the noise of seed i."""
    made: list[Image.Image] = []
    for start in range(0, len(prompts), batch):
        some = list(prompts[start : start + batch])
        seeds = [torch.Generator().manual_seed(start + i) for i in range(len(some))]
        made += pipeline(some, num_inference_steps=steps, guidance_scale=guidance, generator=seeds).images
    return torch.stack([to_tensor(picture) for picture in made])


def measure(
    pipeline: StableDiffusionPipeline,
    domain: Domain,
    judge: AttributeJudge,
    *,
    prompts: int,
    guidance: float,
    steps: int,
    batch: int = 8,
) -> dict[str, Any]:
    """Return how often the pictures of `prompts` captions show each attribute as the caption says, by attribute."""
    wanted = [domain.sample(FIRST + i).attributes for i in range(prompts)]
    named: dict[str, list[bool]] = defaultdict(list)
    unnamed: dict[str, list[bool]] = defaultdict(list)
    captions = [domain.caption(attributes) for attributes in wanted]
    seen = judge.classes(drawn(pipeline, captions, guidance=guidance, steps=steps, batch=batch), domain.name)
    for i, attributes in enumerate(wanted):
        for name, label in domain.label(attributes).items():
            if label >= 0:
                where = unnamed if domain.labels[name][label] in ORDINARY else named
                where[name].append(int(seen[name][i]) == label)
    return {
        "named": {name: round(sum(found) / len(found), 4) for name, found in named.items()},
        "unnamed": {name: round(sum(found) / len(found), 4) for name, found in unnamed.items()},
        "cases": {name: [len(where.get(name, ())) for where in (named, unnamed)] for name in domain.labels},
        "lowest": round(min(sum(found) / len(found) for found in named.values()), 4),
        "mean": round(sum(map(sum, named.values())) / sum(map(len, named.values())), 4),
        "judge_accuracy": judge.accuracy.get(domain.name, {}),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(MODEL))
    parser.add_argument("--prompts", type=int, default=200, help="captions of each domain")
    parser.add_argument("--guidance", type=float, default=5.0)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path("lab/results/adherence.json"))
    wanted = parser.parse_args()
    judge, started = load_judge(), time.perf_counter()
    pipeline = StableDiffusionPipeline.from_pretrained(wanted.model, safety_checker=None).to(wanted.device)
    pipeline.set_progress_bar_config(disable=True)
    how = {"prompts": wanted.prompts, "guidance": wanted.guidance, "steps": wanted.steps}
    figures: dict[str, Any] = {"model": Path(wanted.model).name, **how, "machine": machine()}
    for domain in DOMAINS.values():
        figures[domain.name] = measure(pipeline, domain, judge, **how)
        print(domain.name, json.dumps(figures[domain.name]), flush=True)
    figures["seconds"] = round(time.perf_counter() - started, 1)
    wanted.out.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
