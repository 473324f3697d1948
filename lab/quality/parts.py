"""Outputs of a method for a group of cases, cached on disk so that an interrupted run resumes.

The name of a part is a digest of everything that it depends on: model, guidance, method and cases. So stale parts are never used,
and new measures or more people repeat no edit.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from PIL import Image

from lab.quality.phases import Case, Cost, Method, Reference
from lab.quality.recipes import recipe
from s2edit_core.delivery.canvas import to_image
from s2edit_core.pipeline import S2EditPipeline

VERSION = 2
"""Version of the methods' code. Raise it when the same recipe gives other pictures."""


@dataclass(frozen=True, eq=False)
class Part:
    """Raw pictures of the frame's size by (case, edit), costs by phase, and the figures of each case's [I]."""

    pictures: Mapping[tuple[int, str], Image.Image]
    costs: Mapping[str, Cost]
    about: Sequence[Mapping[str, float]]


def name_of(model: str, guidance: float, method: Method | Reference, cases: Sequence[Case]) -> str:
    """Return the digest of everything that a part depends on. `model` is the model's fingerprint."""
    depends_on = {
        "version": VERSION,
        "model": model,
        "guidance": guidance,
        "method": recipe(method),
        "cases": [case.about() for case in cases],
    }
    return hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()[:24]


def load_or_run(pipe: S2EditPipeline, method: Method | Reference, cases: Sequence[Case], guidance: float, folder: Path) -> Part:
    """Return the part for `cases`. Loads it from `folder`, or runs the method and saves the part there."""
    path = folder / name_of(pipe.backbone.fingerprint, guidance, method, cases)
    keys = [(i, name) for i, case in enumerate(cases) for name in case.prompts()]
    if not path.exists():
        outcome = method.run(pipe, cases, guidance)
        pictures = {key: to_image(pipe.backbone.decode_latent(outcome.latents[key])) for key in keys}
        _save(Part(pictures, outcome.costs, outcome.about), path)
    return _load(path, keys)


def _save(part: Part, path: Path) -> None:
    """Write the part to a temporary folder and rename it, so that no incomplete part is ever loaded."""
    unfinished = path.with_name(f"{path.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    for (case, edit), picture in part.pictures.items():
        picture.save(unfinished / f"{case}-{edit}.png")
    facts = {"costs": {phase: asdict(cost) for phase, cost in part.costs.items()}, "about": list(part.about)}
    (unfinished / "part.json").write_text(json.dumps(facts))
    unfinished.rename(path)


def _load(path: Path, keys: Sequence[tuple[int, str]]) -> Part:
    facts = json.loads((path / "part.json").read_text())
    pictures = {}
    for case, edit in keys:
        with Image.open(path / f"{case}-{edit}.png") as picture:
            pictures[case, edit] = picture.convert("RGB")
    return Part(pictures, {phase: Cost(**cost) for phase, cost in facts["costs"].items()}, facts["about"])
