"""Check every photo before it is used, and every result before it is stored, with a safety model.

Unsafe pictures are refused like prompts that break the policy: the job fails with `policy_refused`, and the result is not stored.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import closing
from typing import Any, Self, TypeVar

from PIL import Image, ImageChops

from s2edit_core.errors import PolicyRefused
from s2edit_core.pictures.files import decode_photo
from s2edit_core.request.plan import EditPlan, digest
from s2edit_core.request.spec import EditRequest, LearningRequest, Progress
from s2edit_core.vision.safety import SafetyModel
from s2edit_jobs.records.record import JobRequest
from worker.engines.engine import Artifact, Check, DetectedMask, EditInputs, EditResult, Engine, EngineWrapper, PreviewedProgress

Result = TypeVar("Result")
MIN_CHANGE = 16
"""Smallest difference of a channel (0..255) that counts as changed by the edit. An invisible watermark changes less."""
MARGIN = 0.25
"""Margin on each side of the changed region, as a fraction of its size: a classifier needs the surroundings."""


class SafeEngine(EngineWrapper):
    """A wrapper of an engine that checks photos and results with `model`. Edits show no previews, which nothing has checked.

    Wrappers that alter results, such as signing, must wrap this one.
    """

    def __init__(self, engine: Engine, model: SafetyModel) -> None:
        super().__init__(engine)
        self._model = model
        self._turn = threading.Lock()  # the model is shared by all sessions
        self._passed: str | None = None  # digest of the photo that passed last, so that `plan` and `edit` check it once

    def _wrapping(self, engine: Engine) -> Self:
        made = super()._wrapping(engine)
        made._passed = None
        return made

    def find_mask(
        self, request: JobRequest, photo: bytes, *, check: Check | None = None
    ) -> Generator[Progress, None, DetectedMask]:
        found = yield from super().find_mask(request, photo, check=check)
        self._check_photo(photo, request.max_pixels)
        return found

    def plan_learning(self, request: LearningRequest, inputs: EditInputs) -> str:
        concept_id = super().plan_learning(request, inputs)  # first, because it decodes the pictures in the sandbox
        self._check_photo(inputs.image, request.max_pixels)
        return concept_id

    def learn(
        self,
        request: LearningRequest,
        inputs: EditInputs,
        *,
        checkpoint: bytes | None = None,
        check: Check | None = None,
    ) -> Generator[Progress | Artifact, None, dict[str, Any]]:
        self._check_photo(inputs.image, request.max_pixels)
        return (yield from super().learn(request, inputs, checkpoint=checkpoint, check=check))

    def plan(self, request: EditRequest, inputs: EditInputs) -> EditPlan:
        plan = super().plan(request, inputs)
        self._check_photo(inputs.image, request.max_pixels)
        return plan

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
        self._check_photo(inputs.image, request.max_pixels)
        steps = super().edit(request, inputs, concept=concept, inversion=inversion, checkpoint=checkpoint, check=check)
        edited = yield from _without_previews(steps)
        photo = decode_photo(inputs.image, request.max_pixels)
        for data in (edited.picture, *edited.variants):
            yield Progress("finishing", 0, 1)  # the worker must see that it advances
            if any(self._is_unsafe(view) for view in _views(photo, decode_photo(data))):
                raise PolicyRefused("the safety model rejected the result: change the prompt, or try another seed", field="result")
        return edited

    def _check_photo(self, photo: bytes, max_pixels: int | None) -> None:
        """Raise `PolicyRefused` if the photo is unsafe."""
        named = digest(photo)
        if named == self._passed:
            return
        if self._is_unsafe(decode_photo(photo, max_pixels)):
            raise PolicyRefused("the safety model rejected the photo: send another photo", field="image")
        self._passed = named

    def _is_unsafe(self, picture: Image.Image) -> bool:
        with self._turn:
            return self._model.is_unsafe(picture)


def _without_previews(steps: Generator[Progress | Artifact, None, Result]) -> Generator[Progress | Artifact, None, Result]:
    with closing(steps):
        while True:
            try:
                step = next(steps)
            except StopIteration as end:
                result: Result = end.value
                return result
            yield Progress(step.phase, step.step, step.total) if isinstance(step, PreviewedProgress) else step


def _views(photo: Image.Image, result: Image.Image) -> list[Image.Image]:
    """Return the result and a crop of what the edit changed. A classifier often misses a small region of a large picture."""
    if photo.size != result.size:
        return [result]
    apart = ImageChops.difference(photo, result).point(lambda level: 255 if level > MIN_CHANGE else 0)
    box = apart.getbbox()
    if box is None:
        return [result]
    left, top, right, bottom = box
    x, y = round(MARGIN * (right - left)), round(MARGIN * (bottom - top))
    wide = (max(0, left - x), max(0, top - y), min(photo.width, right + x), min(photo.height, bottom + y))
    return [result] if wide == (0, 0, *photo.size) else [result, result.crop(wide)]
