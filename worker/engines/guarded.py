"""Convert failures of the device to one exception type, in all parts of the engine: model, segmenter, captioner, safety model."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from s2edit_core.device_faults import raising_device_faults
from s2edit_core.request.plan import EditPlan
from s2edit_core.request.spec import EditRequest, LearningRequest, Progress
from s2edit_jobs.records.record import JobRequest
from worker.engines.engine import Artifact, DetectedMask, EditInputs, EditResult, EngineWrapper


class GuardedEngine(EngineWrapper):
    """A wrapper of an engine that raises `DeviceFault` in place of what torch raises. It wraps all others.

    CUDA reports errors late, at the next synchronisation with the device. So this guards whole calls, not single computations.
    """

    def find_mask(
        self, request: JobRequest, photo: bytes, *, check: Callable[[], None] | None = None
    ) -> Generator[Progress, None, DetectedMask]:
        with raising_device_faults():
            return (yield from super().find_mask(request, photo, check=check))

    def plan_learning(self, request: LearningRequest, inputs: EditInputs) -> str:
        with raising_device_faults():
            return super().plan_learning(request, inputs)

    def learn(
        self,
        request: LearningRequest,
        inputs: EditInputs,
        *,
        checkpoint: bytes | None = None,
        check: Callable[[], None] | None = None,
    ) -> Generator[Progress | Artifact, None, dict[str, Any]]:
        with raising_device_faults():
            return (yield from super().learn(request, inputs, checkpoint=checkpoint, check=check))

    def plan(self, request: EditRequest, inputs: EditInputs) -> EditPlan:
        with raising_device_faults():
            return super().plan(request, inputs)

    def edit(
        self,
        request: EditRequest,
        inputs: EditInputs,
        *,
        concept: bytes | None,
        inversion: bytes | None,
        checkpoint: bytes | None = None,
        check: Callable[[], None] | None = None,
    ) -> Generator[Progress | Artifact, None, EditResult]:
        with raising_device_faults():
            steps = super().edit(request, inputs, concept=concept, inversion=inversion, checkpoint=checkpoint, check=check)
            return (yield from steps)
