"""Who finds the person where no mask is given: one port, and the choice among its adapters.

    "model"                     the base model's own eye: where the prompt matters (`find_mask`); needs nothing else

An adapter answers with a probability per pixel; `people.choose_person` makes the mask of one person of it. This module loads no
torch: an adapter loads what it needs when it is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from s2edit_core.errors import ImageInvalid, ModelUnusable
from s2edit_core.people import choose_person

if TYPE_CHECKING:
    from s2edit_core.pipeline import S2EditPipeline


@dataclass(frozen=True, eq=False)
class FoundMask:
    """One person's mask, found by a segmenter."""

    mask: Image.Image
    """L, of the photo's size: 255 inside, 0 outside."""
    confidence: float
    """Mean probability inside the mask, 0.5..1."""
    people: int
    """How many separate people were seen: regions of at least a fifth of the largest. People who touch count as one."""
    segmenter: str
    """Its name, for the report."""


class Segmenter(Protocol):
    name: str

    def find(self, photo: Image.Image, *, prompt: str, at: tuple[int, int] | None = None) -> FoundMask:
        """Find a person in `photo` (RGB, upright): the largest, or the one at the pixel `at` (x, y).

        `prompt` describes the person; only adapters that read text use it. Raises `MaskInvalid` with reason `mask_not_found` where
        nobody is found or nobody is at `at`.
        """
        ...


def found(probability: NDArray[np.float32], photo: Image.Image, at: tuple[int, int] | None, name: str) -> FoundMask:
    """Make an answer of a probability map `(h, w)` in 0..1 that covers `photo`."""
    mask, confidence, people = choose_person(probability, photo.size, at)
    return FoundMask(mask, confidence, people, name)


def check_photo(photo: Image.Image) -> None:
    """Raise `ImageInvalid` for a photo that is not RGB."""
    if photo.mode != "RGB":
        raise ImageInvalid(f"the image is {photo.mode}: convert it to RGB", field="image", reason="image_mode")


class ModelEye:
    """The base model itself: the person is where the prompt changes its predictions."""

    name = "model"

    def __init__(self, pipeline: S2EditPipeline) -> None:
        self._pipeline = pipeline

    def find(self, photo: Image.Image, *, prompt: str, at: tuple[int, int] | None = None) -> FoundMask:
        check_photo(photo)
        return found(self._pipeline.find_probability(photo, prompt), photo, at, self.name)


def open_segmenter(name: str | None, pipeline: S2EditPipeline) -> Segmenter:
    """Return the segmenter of that name; without one, the one that the model's card names, else "model".

    Raises `ModelUnusable` with the way to mend it.
    """
    chosen = name or pipeline.backbone.card.segmenter or "model"
    if chosen == "model":
        return ModelEye(pipeline)
    raise ModelUnusable(f"there is no segmenter {chosen!r}; known is model")
