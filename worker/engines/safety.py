"""A look at every photo before anything is learned from it, and at every result before it leaves.

What the model finds unsafe is refused as by the policy: the job fails with `policy_refused`, and nothing of the result is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from PIL import Image, ImageChops

from s2edit_core.errors import PolicyRefused
from s2edit_core.pictures.files import decode_photo
from s2edit_core.request.plan import EditPlan, digest
from s2edit_core.request.spec import EditRequest, LearningRequest, Progress
from s2edit_core.vision.safety import SafetyModel
from s2edit_jobs.records.record import JobRequest
from s2edit_jobs.stores.model_facts import ModelFacts
from worker.engines.engine import Edited, EditInputs, Engine, Found, Made

CHANGED_LEVELS = 16
"""By how much a channel differs where the edit has changed the photo; an invisible watermark moves less."""
MARGIN = 0.25
"""Of the changed region, on each side: a classifier needs the surroundings."""


class SafeEngine:
    """Any engine, with its photos and results shown to `model`. Goes inside whatever alters results, such as signing."""

    def __init__(self, engine: Engine, model: SafetyModel) -> None:
        self._engine = engine
        self._model = model
        self._passed: str | None = None  # the digest of the photo that passed last: planning and editing look at one

    @property
    def facts(self) -> ModelFacts:
        return self._engine.facts

    def find_mask(
        self, request: JobRequest, photo: bytes, *, check: Callable[[], None] | None = None
    ) -> Generator[Progress, None, Found]:
        found = yield from self._engine.find_mask(request, photo, check=check)
        self._check_photo(photo, request.max_pixels)
        return found

    def plan_learning(self, request: LearningRequest, inputs: EditInputs) -> str:
        concept_id = self._engine.plan_learning(request, inputs)  # it decodes pictures where nothing can happen to the worker
        self._check_photo(inputs.image, request.max_pixels)
        return concept_id

    def learn(
        self,
        request: LearningRequest,
        inputs: EditInputs,
        *,
        checkpoint: bytes | None = None,
        check: Callable[[], None] | None = None,
    ) -> Generator[Progress | Made, None, dict[str, Any]]:
        self._check_photo(inputs.image, request.max_pixels)
        return (yield from self._engine.learn(request, inputs, checkpoint=checkpoint, check=check))

    def plan(self, request: EditRequest, inputs: EditInputs) -> EditPlan:
        plan = self._engine.plan(request, inputs)
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
        check: Callable[[], None] | None = None,
    ) -> Generator[Progress | Made, None, Edited]:
        self._check_photo(inputs.image, request.max_pixels)
        steps = self._engine.edit(request, inputs, concept=concept, inversion=inversion, checkpoint=checkpoint, check=check)
        edited = yield from steps
        photo = decode_photo(inputs.image, request.max_pixels)
        for data in (edited.picture, *edited.variants):
            if any(self._model.is_unsafe(view) for view in _views(photo, decode_photo(data))):
                raise PolicyRefused(
                    "the result shows something that this service does not deliver: ask for something else", field="result"
                )
        return edited

    def _check_photo(self, photo: bytes, max_pixels: int | None) -> None:
        """Raises `PolicyRefused`."""
        named = digest(photo)
        if named == self._passed:
            return
        if self._model.is_unsafe(decode_photo(photo, max_pixels)):
            raise PolicyRefused("the photo shows something that this service does not edit: send another", field="image")
        self._passed = named


def _views(photo: Image.Image, result: Image.Image) -> list[Image.Image]:
    """The result as a whole, and what the edit has changed in it: a classifier sees a small region of a large photo badly."""
    if photo.size != result.size:
        return [result]
    apart = ImageChops.difference(photo, result).point(lambda level: 255 if level > CHANGED_LEVELS else 0)
    box = apart.getbbox()
    if box is None:
        return [result]
    left, top, right, bottom = box
    x, y = round(MARGIN * (right - left)), round(MARGIN * (bottom - top))
    wide = (max(0, left - x), max(0, top - y), min(photo.width, right + x), min(photo.height, bottom + y))
    return [result] if wide == (0, 0, *photo.size) else [result, result.crop(wide)]
