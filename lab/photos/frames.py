"""What the model draws for photographs of unseen people: the decoded source and edits, kept so that deliveries can be compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from lab.quality.worlds.edits import Case
from lab.world.full_size import photograph
from s2edit_core.method.inputs import with_identity
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.request.presets import PRESETS, PresetName
from s2edit_core.unet.rows import finish
from s2edit_core.whole_files import write_whole

EDITS = ("hair colour", "smiling", "glasses", "hat", "glasses off", "sunglasses off", "hat off")
DRAWN_AT = 1024
"""Side of the photograph that the model sees. The frame is far smaller, so the same frame serves the person at any size."""


@dataclass(frozen=True, eq=False)
class Frames:
    """Decodes `(3, h, w)` in -1..1: of the photograph's own latent, and by edit of the edited one."""

    source: Tensor
    edited: Mapping[str, Tensor]


def frames_of(pipe: S2EditPipeline, case: Case, preset: PresetName, folder: Path) -> Frames:
    """Learn, invert and edit once; afterwards read from `folder`."""
    path = frames_path(folder, pipe.backbone.fingerprint, preset, case.seed)
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, save(_drawn(pipe, case, preset)))
    return read_frames(path)


def frames_path(folder: Path, fingerprint: str, preset: PresetName, number: int) -> Path:
    return folder / f"{fingerprint[:8]}-{preset}-{number}.safetensors"


def read_frames(path: Path) -> Frames:
    with safe_open(path, framework="pt") as file:
        drawn = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    return Frames(drawn.pop("source"), drawn)


def _drawn(pipe: S2EditPipeline, case: Case, preset: PresetName) -> dict[str, Tensor]:
    how, photo = PRESETS[preset], case.photo
    shot = photograph(photo.subject, DRAWN_AT, case.seed)
    identity = pipe.learn(shot.picture, shot.mask, photo.prompt, photo.word, options=how.learning)
    canvas = pipe.canvas(shot.picture, shot.mask, subject="person")
    inverting = pipe.inverting(
        canvas,
        with_identity(photo.prompt, identity, "source_prompt"),
        identity,
        how.inversion,
        steps=how.steps,
        guidance_scale=how.guidance(pipe.guidance(None, preset)),
    )
    inversion = finish(inverting, None)
    latents = {"source": inversion.path[0]}
    for target in case.targets:
        prompt = with_identity(target.answer.prompt, identity, "prompt")
        latents[target.edit.name] = finish(pipe.editing(canvas, prompt, identity, inversion, injection=how.injection), None)
    with torch.no_grad():
        return {name: pipe.backbone.decode_latent(latent).cpu().contiguous() for name, latent in latents.items()}
