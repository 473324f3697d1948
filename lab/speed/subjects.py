"""What is measured: a model on a device in one or two precisions, and people with something to edit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from PIL import Image
from torch import nn

from lab.quality.worlds.edits import cases_of
from lab.speed.random_sd14 import build_backbone
from s2edit_core.delivery.canvas import Canvas
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.request.prompts import with_placeholder
from s2edit_core.unet.backbone import Backbone

RANDOM_SD14 = "sd14-random"
"""The name of Stable Diffusion 1.4's shape with random weights."""
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
EAGER = "-eager"
EDITS = ("kept",)
"""The group of edits that leave the layout as it is and reveal nothing."""
PHOTO_PROMPT, TARGET_PROMPT, SUBJECT = "a photo of a [I] woman", "a photo of a [I] woman with red hair", "woman"


@dataclass(frozen=True, eq=False)
class Person:
    """A photo to edit, with both prompts. `answer` is what the edit should show, where that is known."""

    canvas: Canvas
    prompt: str
    target: str
    subject: str
    answer: Image.Image | None = None


class Subject:
    """One model on one device. Everything is built when it is first needed."""

    def __init__(self, model: str, device: torch.device, seed: int = 0, *, kernels: bool = True) -> None:
        self.model, self.device, self.seed, self.kernels = model, device, seed, kernels
        self._backbones: dict[str, Backbone] = {}
        self._people: list[Person] = []
        self._cases = cases_of("person", EDITS)

    def backbone(self, engine: str) -> Backbone:
        """Return the model by the name of its engine: a precision of `DTYPES`, or that with `EAGER` behind it.

        An eager engine runs every pass as it is, without CUDA graphs, over the same weights. Other engines forget their graphs,
        which hold memory.
        """
        for name, other in self._backbones.items():
            if name != engine and other.recorded is not None:
                other.recorded.clear()
        if engine not in self._backbones:
            dtype = engine.removesuffix(EAGER)
            self._backbones[engine] = self._build(DTYPES[dtype]) if dtype == engine else _eager(self.backbone(dtype))
        return self._backbones[engine]

    def _build(self, dtype: torch.dtype) -> Backbone:
        if self.model == RANDOM_SD14:
            return build_backbone(self.device, dtype, self.seed, kernels=self.kernels)
        return Backbone.from_pretrained(self.model, device=str(self.device), dtype=dtype, kernels=self.kernels)

    def pipe(self, dtype: str) -> S2EditPipeline:
        return S2EditPipeline(self.backbone(dtype), name=Path(self.model).name)

    def stock_unet(self, dtype: str) -> nn.Module:
        """Return a copy of the UNet as diffusers builds it, with diffusers' own attention processors."""
        return stock_copy(self.backbone(dtype).unet)

    @property
    def has_answers(self) -> bool:
        """Whether the people have true answers: those of the shipped model's world do."""
        return self.model != RANDOM_SD14

    def people(self, number: int) -> tuple[Person, ...]:
        """Return `number` different people. The same index is the same person."""
        while len(self._people) < number:
            self._people.append(self._known_person() if self.has_answers else self._noise_person(len(self._people)))
        return tuple(self._people[:number])

    def _noise_person(self, index: int) -> Person:
        side = self._any_backbone.frame_size
        noise = np.random.default_rng((self.seed, index)).integers(0, 256, (side, side, 3), dtype=np.uint8)
        mask = Image.new("L", (side, side))
        mask.paste(255, (side // 8, side // 8, 7 * side // 8, side))
        canvas = self._any_pipe.canvas(Image.fromarray(noise), mask)
        return Person(canvas, PHOTO_PROMPT, TARGET_PROMPT, SUBJECT)

    def _known_person(self) -> Person:
        """Return the next person of the quality bench with the first edit that applies."""
        case = next(self._cases)
        photo, answer = case.photo, case.targets[0].answer
        prompt, target = (with_placeholder(each.prompt, photo.word, field="prompt") for each in (photo, answer))
        return Person(self._any_pipe.canvas(photo.picture, photo.mask), prompt, target, photo.word, answer.picture)

    @property
    def _any_backbone(self) -> Backbone:
        return next(iter(self._backbones.values())) if self._backbones else self.backbone("float32")

    @property
    def _any_pipe(self) -> S2EditPipeline:
        return S2EditPipeline(self._any_backbone)


def _eager(backbone: Backbone) -> Backbone:
    """Return a backbone over the same weights that records no graphs."""
    made = replace(backbone, graphs=False)
    made.fingerprints = backbone.fingerprints
    return made


def stock_copy(unet: nn.Module, dtype: torch.dtype | None = None) -> nn.Module:
    """Return a new UNet of diffusers with the configuration and weights of `unet`."""
    weights = next(unet.parameters())
    config: Any = unet.config
    with torch.device("meta"):
        copied = UNet2DConditionModel.from_config(config)
    copied = nn.Module.to_empty(copied, device=weights.device)
    nn.Module.to(copied, dtype or weights.dtype)
    copied.load_state_dict(unet.state_dict())
    assert not list(copied.buffers()), "buffers of no checkpoint would be without values"
    return copied.requires_grad_(False).eval()  # type: ignore[no-any-return]
