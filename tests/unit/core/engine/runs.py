"""One edit of a small portrait, run to its end on an engine."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from lab.world.person import DOMAIN
from s2edit_core.pictures.files import encode_png
from s2edit_core.request.spec import EditRequest, LearningRequest, Progress
from worker.engines.engine import Artifact, EditInputs, EditResult, Engine

LEARNING = LearningRequest(kind="identity", prompt="a photo of a woman with black hair")
REQUEST = EditRequest(
    prompt="a photo of a woman with red hair", source_prompt="a photo of a woman with black hair", preset="instant", steps=4
)


HAT = LearningRequest(kind="attribute", prompt="a woman with [A] hat", preset="instant")
SIZE = (300, 128)


def photo() -> Image.Image:
    """A portrait in a wider picture, so that the crop is a part of it."""
    wide = Image.new("RGB", SIZE, (90, 120, 150))
    wide.paste(DOMAIN.render(DOMAIN.sample(1)), (40, 0))
    return wide


def mask_of(box: tuple[int, int, int, int] | None = None) -> Image.Image:
    mask = Image.new("L", SIZE)
    if box is None:
        mask.paste(DOMAIN.mask(DOMAIN.sample(1)), (40, 0))
    else:
        mask.paste(255, box)
    return mask


INPUTS = EditInputs(image=encode_png(photo()), mask=encode_png(mask_of()))


class Run:
    """One edit, driven to its end, and what it yielded. `between` is called after each step."""

    def __init__(
        self,
        engine: Engine,
        request: EditRequest = REQUEST,
        inputs: EditInputs = INPUTS,
        *,
        concept: bytes | None = None,
        inversion: bytes | None = None,
        checkpoint: bytes | None = None,
        between: Callable[[], object] = lambda: None,
    ) -> None:
        self.progress: list[Progress] = []
        self.made: dict[str, Artifact] = {}
        steps = engine.edit(request, inputs, concept=concept, inversion=inversion, checkpoint=checkpoint)
        while True:
            try:
                event = next(steps)
            except StopIteration as end:
                self.edited: EditResult = end.value
                return
            if isinstance(event, Artifact):
                self.made[event.kind] = event
            else:
                self.progress.append(event)
            between()

    def saved(self) -> dict[str, Any]:
        return {kind: made.data for kind, made in self.made.items()}

    def pixels(self) -> np.ndarray[Any, np.dtype[np.uint8]]:
        return np.asarray(Image.open(io.BytesIO(self.edited.picture)))
