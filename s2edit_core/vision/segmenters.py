"""Who finds the person where no mask is given: one port, and the choice among its adapters.

    "model"                     the base model's own eye: where the prompt matters (`find_mask`); needs nothing else
    "card"                      the small network in the folder `segmenter` of the base model (`person_network.py`)
    "mediapipe", "x.tflite"     a LiteRT file: MediaPipe's selfie segmentation, or another one (`litert.py`)
    "transformers:x"            a segmentation model of transformers, by folder or hub id (`auto_segmenter.py`)

An adapter answers with a probability per pixel; `people.choose_person` makes the mask of one person of it. This module loads no
torch: an adapter loads what it needs when it is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from s2edit_core.checkpoints.model_card import ModelCard
from s2edit_core.errors import ImageInvalid, ModelUnusable
from s2edit_core.vision.people import Look, choose_person, find_person
from s2edit_core.vision.segmenter_names import checked_card_choice, has_litert, mediapipe_file, unknown


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

    def facts(self) -> dict[str, Any]:
        """What a report says of it."""
        return {"segmenter": self.segmenter, "confidence": round(self.confidence, 3), "people": self.people}


class Segmenter(Protocol):
    name: str

    def find(self, photo: Image.Image, *, prompt: str, at: tuple[int, int] | None = None) -> FoundMask:
        """Find a person in `photo` (RGB, upright): the largest, or the one at the pixel `at` (x, y).

        `prompt` describes the person; only adapters that read text use it. Raises `MaskInvalid` with reason `mask_not_found` where
        nobody is found or nobody is at `at`.
        """
        ...


class _Backbone(Protocol):
    @property
    def card(self) -> ModelCard: ...

    @property
    def device(self) -> object: ...


class BaseModel(Protocol):
    """What a segmenter asks of the base model: `S2EditPipeline` has it."""

    @property
    def backbone(self) -> _Backbone: ...

    def find_probability(self, photo: Image.Image, prompt: str) -> NDArray[np.float32]: ...


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

    def __init__(self, pipeline: BaseModel) -> None:
        self._pipeline = pipeline

    def find(self, photo: Image.Image, *, prompt: str, at: tuple[int, int] | None = None) -> FoundMask:
        check_photo(photo)
        return found(self._pipeline.find_probability(photo, prompt), photo, at, self.name)


class CardNetwork:
    """The small network that a model brings along."""

    name = "card"

    def __init__(self, folder: Path) -> None:
        """Raises `ModelUnusable` where the folder has none."""
        from s2edit_core.vision.person_network import load_network, look

        network, config = load_network(folder)
        self._look: Look = lambda picture: look(network, picture, config["sides"])

    def find(self, photo: Image.Image, *, prompt: str, at: tuple[int, int] | None = None) -> FoundMask:  # noqa: ARG002 - reads no text
        check_photo(photo)
        return FoundMask(*find_person(self._look, photo, at), self.name)


def open_segmenter(name: str | None, pipeline: BaseModel) -> Segmenter:
    """Return the segmenter of that name.

    Without one: what the model's card names; else MediaPipe's where its file and LiteRT are there; else the model's own eye. Raises
    `ModelUnusable` with the way to mend it.
    """
    chosen = name or checked_card_choice(pipeline.backbone.card.segmenter) or ("mediapipe" if _has_mediapipe() else "model")
    if chosen == "model":
        return ModelEye(pipeline)
    if chosen == "card":
        return CardNetwork(_card_folder(pipeline))
    if chosen == "mediapipe" or chosen.endswith(".tflite"):
        from s2edit_core.vision.litert import LiteRTSegmenter

        path = mediapipe_file() if chosen == "mediapipe" else Path(chosen)
        return LiteRTSegmenter(path, "mediapipe" if chosen == "mediapipe" else path.name)
    if model := chosen.partition("transformers:")[2]:
        from s2edit_core.vision.auto_segmenter import open_transformers

        return open_transformers(model, str(pipeline.backbone.device))
    raise unknown(chosen)


def _has_mediapipe() -> bool:
    return mediapipe_file().is_file() and has_litert()


def _card_folder(pipeline: BaseModel) -> Path:
    folder = pipeline.backbone.card.folder
    if folder is None:
        raise ModelUnusable("this model brings no segmenter: it has no folder with s2edit.json; say model or mediapipe")
    return folder / "segmenter"
