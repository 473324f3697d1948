"""The engine as a port: what a worker needs of the model. One edit is a generator; closing it cancels."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from s2edit_core.request.plan import EditPlan
from s2edit_core.request.spec import PLACEHOLDER, EditRequest, LearningRequest, MaskMode, Progress
from s2edit_jobs.decoding.decoders import decoders
from s2edit_jobs.records.record import JobRequest
from s2edit_jobs.stores.model_facts import ModelFacts


@dataclass(frozen=True, slots=True)
class Made:
    """Something worth keeping was made: the worker stores `data` under the plan's id before it goes on.

    A `checkpoint` is how far the learning of the concept `id` has come; whoever goes on with it is given the one of most steps.
    """

    kind: Literal["concept", "inversion", "checkpoint"]
    id: str
    data: bytes  # safetensors
    source_prompt: str | None = None  # of a concept: as resolved; a later edit that names the identity starts from them
    subject: str | None = None
    placeholder: str = PLACEHOLDER
    step: int = 0  # of a checkpoint: learning steps done


@dataclass(frozen=True, slots=True)
class Edited:
    """The end of an edit."""

    picture: bytes  # a file of `media_type`, and so are the variants
    report: dict[str, Any] = field(default_factory=dict)  # JSON values
    variants: tuple[bytes, ...] = ()  # further pictures, if the request asked for them
    watermarked: bool = False  # whether the pictures carry the mark of `s2edit_core.delivery.watermark`
    media_type: str = "image/png"


@dataclass(frozen=True, slots=True)
class Found:
    """The mask of a person, and what a report says of how it was found."""

    mask_png: bytes  # L, of the photo's size: 255 inside, 0 outside
    segmenter: str
    people: int  # how many were seen
    confidence: float  # 0..1, that the one who was chosen is there
    box: tuple[int, int, int, int]  # left, top, right, bottom of that one, in pixels of the photo


@dataclass(frozen=True, slots=True)
class EditInputs:
    """The files' bytes as uploaded; the mask may have been found. Without `edit_mask` the mask, grown a little, is what may change.
    The modes say how masks are read.

    `attributes`: the concepts, as they were kept, of those that the request names. They act where the edit may change the photo.
    """

    image: bytes
    mask: bytes
    edit_mask: bytes | None = None
    attributes: tuple[bytes, ...] = ()
    mask_mode: MaskMode = "auto"
    edit_mask_mode: MaskMode = "auto"


def check_pictures(inputs: EditInputs, max_pixels: int | None = None, *, person: bool = True) -> None:
    """Have them decoded where nothing can happen to the worker, before the engine does it in its own process.

    `person`: whether the mask marks a person. Raises `ImageInvalid` or `MaskInvalid`: the API believes files that look plain and
    whole.
    """
    masks = {"mask": inputs.mask} | ({"edit_mask": inputs.edit_mask} if inputs.edit_mask is not None else {})
    modes = {"mask": inputs.mask_mode, "edit_mask": inputs.edit_mask_mode}
    decoders().check(inputs.image, masks, modes, max_pixels=max_pixels, person=person)


class Engine(Protocol):
    @property
    def facts(self) -> ModelFacts:
        """What the API must know of the model."""

    def find_mask(
        self, request: JobRequest, photo: bytes, *, check: Callable[[], None] | None = None
    ) -> Generator[Progress, None, Found]:
        """Find the person in a photo that came without a mask. The same photo and request end in the same bytes.

        `check` as of `edit`. Raises `MaskInvalid` with the reason `mask_not_found` where there is nobody, and what `plan` raises.
        """

    def plan_learning(self, request: LearningRequest, inputs: EditInputs) -> str:
        """Name the concept. Raises `InvalidInput` for prompts and pictures that nothing can be learned from."""

    def learn(
        self,
        request: LearningRequest,
        inputs: EditInputs,
        *,
        checkpoint: bytes | None = None,
        check: Callable[[], None] | None = None,
    ) -> Generator[Progress | Made, None, dict[str, Any]]:
        """Learn the concept, and end with a report; `checkpoint`, `check` and errors as of `edit`."""

    def plan(self, request: EditRequest, inputs: EditInputs) -> EditPlan:
        """Name the concept and the inversion of this edit. Raises `InvalidInput` for prompts and pictures it can't be made from."""

    def edit(
        self,
        request: EditRequest,
        inputs: EditInputs,
        *,
        concept: bytes | None,
        inversion: bytes | None,
        checkpoint: bytes | None = None,
        check: Callable[[], None] | None = None,
    ) -> Generator[Progress | Made, None, Edited]:
        """Run the edit; what is given as `concept` or `inversion` is not made again, and learning goes on at `checkpoint`.

        `check` is called before every evaluation of the model; what it raises ends the edit.
        Raises `S2EditError`; `ArtifactMismatch` where what is given does not fit.
        """
