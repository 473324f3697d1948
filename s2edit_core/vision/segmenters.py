"""The segmenters that find the person where no mask is given: one protocol, and the choice among its adapters.

    "card"                      the small network in the folder `segmenter` of the base model (`person_network`)
    "mediapipe", "x.tflite"     a LiteRT file: MediaPipe's selfie segmentation or another (`litert`)
    "model"                     the base model itself: where the prompt changes its predictions (`method.base_model_masks`)
    "transformers:x"            a segmentation model of transformers, by folder or hub id (`transformers_segmenter`)

`S2EDIT_SEGMENTER` names one. If it is empty, the base model's card does: the shipped model's names "card". If neither does, it is
"mediapipe" where that is installed, else "model". `worker.attempts.job_mask` decides whether a job needs a segmenter at all.

Adapters predict a probability per pixel, and `people.choose_person` derives the mask of one person. This module loads no torch;
adapters load what they need when they are created.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from s2edit_core.base_model.model_card import ModelCard
from s2edit_core.errors import ImageInvalid, ModelUnusable
from s2edit_core.vision.people import Predictor, choose_person, find_person
from s2edit_core.vision.segmenter_names import checked_card_choice, has_litert, mediapipe_file, unknown_segmenter


@dataclass(frozen=True, eq=False)
class FoundMask:
    """One person's mask, found by a segmenter."""

    mask: Image.Image
    """L, of the photo's size: 255 inside, 0 outside."""
    confidence: float
    """Mean probability inside the mask, 0.5..1."""
    people: int
    """How many separate people were found: regions of at least a fifth of the largest. People who touch count as one."""
    segmenter: str
    """The segmenter's name, for the report."""

    def facts(self) -> dict[str, Any]:
        """Return the facts for a report."""
        return {"segmenter": self.segmenter, "confidence": round(self.confidence, 3), "people": self.people}


class Segmenter(Protocol):
    """Finds a person in a photo."""

    name: str

    def find(self, photo: Image.Image, *, prompt: str, at: tuple[int, int] | None = None) -> FoundMask:
        """Find a person in `photo` (RGB, upright): the largest, or the one at the pixel `at` (x, y).

        `prompt` describes the person; only adapters that read text use it. Raises `MaskInvalid` with reason `mask_not_found` if
        nobody is found, or nobody at `at`.
        """
        ...


class _Backbone(Protocol):
    @property
    def card(self) -> ModelCard: ...

    @property
    def device(self) -> object: ...


class BaseModel(Protocol):
    """The part of the base model that segmenters use. `S2EditPipeline` implements it."""

    @property
    def backbone(self) -> _Backbone: ...

    def find_probability(self, photo: Image.Image, prompt: str) -> NDArray[np.float32]: ...


def mask_of(probability: NDArray[np.float32], photo: Image.Image, at: tuple[int, int] | None, name: str) -> FoundMask:
    """Convert a probability map `(h, w)` in 0..1 that covers `photo` to the mask of one person."""
    mask, confidence, people = choose_person(probability, photo.size, at)
    return FoundMask(mask, confidence, people, name)


def check_photo(photo: Image.Image) -> None:
    """Raise `ImageInvalid` for a photo that is not RGB."""
    if photo.mode != "RGB":
        raise ImageInvalid(f"the image has the mode {photo.mode}: convert it to RGB", field="image", reason="image_mode")


class BaseModelSegmenter:
    """Uses the base model itself: the person is where the prompt changes its predictions."""

    name = "model"

    def __init__(self, pipeline: BaseModel) -> None:
        self._pipeline = pipeline

    def find(self, photo: Image.Image, *, prompt: str, at: tuple[int, int] | None = None) -> FoundMask:
        """See `Segmenter.find`."""
        check_photo(photo)
        return mask_of(self._pipeline.find_probability(photo, prompt), photo, at, self.name)


class CardNetwork:
    """Uses the small network that comes with the base model."""

    name = "card"

    def __init__(self, folder: Path) -> None:
        """Raises `ModelUnusable` if the folder holds no network."""
        from s2edit_core.vision.person_network import load_network, predict

        network, config = load_network(folder)
        self._predict: Predictor = lambda picture: predict(network, picture, config["sides"])

    def find(self, photo: Image.Image, *, prompt: str, at: tuple[int, int] | None = None) -> FoundMask:  # noqa: ARG002 - reads no text
        """See `Segmenter.find`. The prompt is not used."""
        check_photo(photo)
        return FoundMask(*find_person(self._predict, photo, at), self.name)


def open_segmenter(name: str | None, pipeline: BaseModel) -> Segmenter:
    """Return the segmenter `name`.

    The default is the one that the model's card names, otherwise MediaPipe's if its file and LiteRT are installed, otherwise the
    base model. Raises `ModelUnusable` with a remedy.
    """
    chosen = name or checked_card_choice(pipeline.backbone.card.segmenter) or ("mediapipe" if _has_mediapipe() else "model")
    if chosen == "model":
        return BaseModelSegmenter(pipeline)
    if chosen == "card":
        return CardNetwork(_card_folder(pipeline))
    if chosen == "mediapipe" or chosen.endswith(".tflite"):
        from s2edit_core.vision.litert import LiteRTSegmenter

        path = mediapipe_file() if chosen == "mediapipe" else Path(chosen)
        return LiteRTSegmenter(path, "mediapipe" if chosen == "mediapipe" else path.name)
    if model := chosen.partition("transformers:")[2]:
        from s2edit_core.vision.transformers_segmenter import open_transformers

        return open_transformers(model, str(pipeline.backbone.device))
    raise unknown_segmenter(chosen)


def _has_mediapipe() -> bool:
    return mediapipe_file().is_file() and has_litert()


def _card_folder(pipeline: BaseModel) -> Path:
    folder = pipeline.backbone.card.folder
    if folder is None:
        raise ModelUnusable("this model has no segmenter of its own, as it has no s2edit.json: use model or mediapipe")
    return folder / "segmenter"
