"""What a method made of a group of cases, on disk: a long run can be cut and goes on with the first group that is missing.

A part's name is the digest of everything that it depends on: model, guidance, method and the cases themselves. So nothing stale
is ever used, and measuring anew, or raising the number of people, repeats no edit.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from PIL import Image

from lab.quality.method import Case, Cost, Method, Reference, recipe
from s2edit_core.delivery.canvas import to_image
from s2edit_core.pipeline import S2EditPipeline

VERSION = 2
"""Of what a method's code does: raised when the same recipe leads to other pictures."""


@dataclass(frozen=True, eq=False)
class Part:
    """Raw pictures, of the frame's size, by (case, edit); costs by phase; what was measured of each case's [I]."""

    pictures: Mapping[tuple[int, str], Image.Image]
    costs: Mapping[str, Cost]
    about: Sequence[Mapping[str, float]]


def name_of(model: str, guidance: float, method: Method | Reference, cases: Sequence[Case]) -> str:
    """The digest of what a part depends on; `model` is the model's fingerprint."""
    depends_on = {
        "version": VERSION,
        "model": model,
        "guidance": guidance,
        "method": recipe(method),
        "cases": [case.about() for case in cases],
    }
    return hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()[:24]


def made(pipe: S2EditPipeline, method: Method | Reference, cases: Sequence[Case], guidance: float, folder: Path) -> Part:
    """The part for `cases`: from `folder` if it lies there, else run now and kept there."""
    place = folder / name_of(pipe.backbone.fingerprint, guidance, method, cases)
    keys = [(i, name) for i, case in enumerate(cases) for name in case.prompts()]
    if not place.exists():
        outcome = method.run(pipe, cases, guidance)
        pictures = {key: to_image(pipe.backbone.decode_latent(outcome.latents[key])) for key in keys}
        _save(Part(pictures, outcome.costs, outcome.about), place)
    return _load(place, keys)


def _save(part: Part, place: Path) -> None:
    """All or nothing: the folder gets its name once it is whole."""
    unfinished = place.with_name(f"{place.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    for (case, edit), picture in part.pictures.items():
        picture.save(unfinished / f"{case}-{edit}.png")
    facts = {"costs": {phase: asdict(cost) for phase, cost in part.costs.items()}, "about": list(part.about)}
    (unfinished / "part.json").write_text(json.dumps(facts))
    unfinished.rename(place)


def _load(place: Path, keys: Sequence[tuple[int, str]]) -> Part:
    facts = json.loads((place / "part.json").read_text())
    pictures = {}
    for case, edit in keys:
        with Image.open(place / f"{case}-{edit}.png") as picture:
            pictures[case, edit] = picture.convert("RGB")
    return Part(pictures, {phase: Cost(**cost) for phase, cost in facts["costs"].items()}, facts["about"])
