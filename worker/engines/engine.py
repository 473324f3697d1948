"""The engine port: what a worker needs of the model. An edit is a generator; closing it cancels the edit."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import copy
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, Self

from s2edit_core.request.plan import EditPlan
from s2edit_core.request.spec import PLACEHOLDER, EditRequest, LearningRequest, MaskMode, Progress
from s2edit_jobs.decoding.decoders import decoders
from s2edit_jobs.records.record import JobRequest
from s2edit_jobs.stores.model_facts import ModelFacts


@dataclass(frozen=True, slots=True)
class Artifact:
    """An intermediate artifact. The worker stores `data` under `id` before it resumes the generator.

    A `checkpoint` holds the state of learning the concept `id`. A later attempt is given the checkpoint with the most steps.
    """

    kind: Literal["concept", "inversion", "checkpoint"]
    id: str
    data: bytes  # safetensors
    source_prompt: str | None = None  # of a concept, as resolved; the default of later edits that name the identity
    subject: str | None = None
    placeholder: str = PLACEHOLDER
    step: int = 0  # of a checkpoint: learning steps done


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PreviewedProgress(Progress):
    """Progress of which a preview can be drawn. `draw` returns WebP of at most `MAX_PREVIEW_BYTES`, or raises.

    Drawing takes milliseconds, so the worker decides when it does. The generator must not have been resumed since.
    """

    draw: Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class EditResult:
    """The result of an edit."""

    picture: bytes  # a file of type `media_type`, as are the variants
    report: dict[str, Any] = field(default_factory=dict)  # JSON values
    variants: tuple[bytes, ...] = ()  # more pictures, if the request asks for variants
    watermarked: bool = False  # whether the pictures have the watermark of `s2edit_core.delivery.watermark`
    media_type: str = "image/png"


@dataclass(frozen=True, slots=True)
class DetectedMask:
    """The mask of a person that the engine found, with details for the report."""

    mask_png: bytes  # mode L, of the photo's size: 255 inside, 0 outside
    segmenter: str
    people: int  # people found in the photo
    confidence: float  # of the chosen person, 0..1
    box: tuple[int, int, int, int]  # left, top, right, bottom of the chosen person, in pixels of the photo


@dataclass(frozen=True, slots=True)
class EditInputs:
    """The input files of an edit. `mask` is the one sent or the one found.

    Only pixels inside `edit_mask` may change; without it, those inside `mask`, dilated a little. The modes say how to read the
    masks. `attributes` holds the concept files of the attributes that the request names. They act inside the edit mask.
    """

    image: bytes
    mask: bytes
    edit_mask: bytes | None = None
    attributes: tuple[bytes, ...] = ()
    mask_mode: MaskMode = "auto"
    edit_mask_mode: MaskMode = "auto"


@dataclass(frozen=True, slots=True)
class PassStats:
    """What the passes of the UNet have done since the process began, by stage: editing, inverting, learning."""

    passes: int = 0
    rows: Mapping[str, int] = field(default_factory=dict)
    waited_s: Mapping[str, float] = field(default_factory=dict)  # of rows for their passes, summed over rows


def check_pictures(inputs: EditInputs, max_pixels: int | None = None, *, person: bool = True) -> None:
    """Decode the pictures in the sandbox (`s2edit_jobs.decoding`) before the engine decodes them in its own process.

    The API skips this for files that look plain and complete. `person` says whether the mask marks a person. Raise `ImageInvalid`
    or `MaskInvalid`.
    """
    masks = {"mask": inputs.mask} | ({"edit_mask": inputs.edit_mask} if inputs.edit_mask is not None else {})
    modes = {"mask": inputs.mask_mode, "edit_mask": inputs.edit_mask_mode}
    decoders().check(inputs.image, masks, modes, max_pixels=max_pixels, person=person)


class Check(Protocol):
    """Raises what ends a generator of the engine. Called before each evaluation of the model, and again while one is awaited."""

    def __call__(self, *, advanced: bool = True) -> None:
        """`advanced` is False if the model has done nothing since the last call."""


class Engine(Protocol):
    """An engine, used by one job at a time. Each of several jobs at a time uses a `session` of its own."""

    @property
    def facts(self) -> ModelFacts:
        """The facts about the model that the worker reports to the API."""

    def peak_memory_bytes(self) -> int | None:
        """Return the most memory of the device that this process has used at a time, or None without a device of its own.

        Any thread may call this at any time.
        """

    def most_jobs(self) -> int | None:
        """Return how many sessions at a time the memory of the device allows, or None if that was not measured."""

    def session(self, owner: str) -> AbstractContextManager[Engine]:
        """Return an engine over the same model for one attempt, used by one thread. Attempts of one `owner` share its turns.

        Any thread may call this at any time. Entering and leaving a session takes no time.
        """

    def pass_stats(self) -> PassStats | None:
        """Return what the sessions' rows have cost so far, or None without a device. Any thread may call this at any time."""

    def companions_s(self) -> float:
        """Return for how many seconds this session has waited while the device worked for other sessions. 0 without a device."""

    def close(self) -> None:
        """End the threads of the engine once all sessions have ended. Repeating this is safe."""

    def find_mask(
        self, request: JobRequest, photo: bytes, *, check: Check | None = None
    ) -> Generator[Progress, None, DetectedMask]:
        """Find the person in a photo that came without a mask. The result is deterministic.

        Raise `MaskInvalid` with the reason `mask_not_found` if there is nobody. Also raise what `plan` raises.
        """

    def plan_learning(self, request: LearningRequest, inputs: EditInputs) -> str:
        """Return the id of the concept. Raise `InvalidInput` for prompts and pictures that cannot be learned from."""

    def learn(
        self,
        request: LearningRequest,
        inputs: EditInputs,
        *,
        checkpoint: bytes | None = None,
        check: Check | None = None,
    ) -> Generator[Progress | Artifact, None, dict[str, Any]]:
        """Learn the concept, resuming from `checkpoint` if given. Return the report. Raise as `edit`."""

    def plan(self, request: EditRequest, inputs: EditInputs) -> EditPlan:
        """Return the ids of the edit's concept and inversion. Raise `InvalidInput` for unusable prompts and pictures."""

    def edit(
        self,
        request: EditRequest,
        inputs: EditInputs,
        *,
        concept: bytes | None,
        inversion: bytes | None,
        checkpoint: bytes | None = None,
        check: Check | None = None,
    ) -> Generator[Progress | Artifact, None, EditResult]:
        """Run the edit. A given `concept` or `inversion` is used instead of computed, and learning resumes from `checkpoint`.

        Raise `S2EditError`, in particular `ArtifactMismatch` if a given artifact is damaged or belongs to another model.
        """


class EngineWrapper:
    """An engine that passes every call on to another one. Subclasses override what they add to."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def _around(self) -> AbstractContextManager[None]:
        """Return what encloses every use of the model by the other engine."""
        return nullcontext()

    @contextmanager
    def session(self, owner: str) -> Iterator[Engine]:
        with self._engine.session(owner) as engine:
            yield self._wrapping(engine)

    def _wrapping(self, engine: Engine) -> Self:
        """Return this wrapper around a session of its engine."""
        made = copy(self)
        made._engine = engine
        return made

    def pass_stats(self) -> PassStats | None:
        return self._engine.pass_stats()

    def companions_s(self) -> float:
        return self._engine.companions_s()

    def close(self) -> None:
        self._engine.close()

    @property
    def facts(self) -> ModelFacts:
        return self._engine.facts

    def most_jobs(self) -> int | None:
        return self._engine.most_jobs()

    def peak_memory_bytes(self) -> int | None:
        return self._engine.peak_memory_bytes()

    def find_mask(
        self, request: JobRequest, photo: bytes, *, check: Check | None = None
    ) -> Generator[Progress, None, DetectedMask]:
        with self._around():
            return (yield from self._engine.find_mask(request, photo, check=check))

    def plan_learning(self, request: LearningRequest, inputs: EditInputs) -> str:
        with self._around():
            return self._engine.plan_learning(request, inputs)

    def learn(
        self,
        request: LearningRequest,
        inputs: EditInputs,
        *,
        checkpoint: bytes | None = None,
        check: Check | None = None,
    ) -> Generator[Progress | Artifact, None, dict[str, Any]]:
        with self._around():
            return (yield from self._engine.learn(request, inputs, checkpoint=checkpoint, check=check))

    def plan(self, request: EditRequest, inputs: EditInputs) -> EditPlan:
        with self._around():
            return self._engine.plan(request, inputs)

    def edit(
        self,
        request: EditRequest,
        inputs: EditInputs,
        *,
        concept: bytes | None,
        inversion: bytes | None,
        checkpoint: bytes | None = None,
        check: Check | None = None,
    ) -> Generator[Progress | Artifact, None, EditResult]:
        with self._around():
            steps = self._engine.edit(request, inputs, concept=concept, inversion=inversion, checkpoint=checkpoint, check=check)
            return (yield from steps)
