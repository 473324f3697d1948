"""Doubles for tests. The engine's is shipped beside its port, for the storm bench needs it too."""

from collections.abc import Callable, Generator

from s2edit_core.request.plan import EditPlan
from s2edit_core.request.spec import EditRequest, LearningRequest, Progress
from s2edit_jobs.decoding.decoders import decoders
from s2edit_jobs.records.record import JobRequest
from worker.engines.engine import EditInputs, Found, check_pictures
from worker.engines.fake_engine import FakeEngine

__all__ = ["DecodingEngine", "FakeEngine"]


class DecodingEngine(FakeEngine):
    """Looks at pictures as the real one does; the other takes any bytes."""

    def find_mask(
        self, request: JobRequest, photo: bytes, *, check: Callable[[], None] | None = None
    ) -> Generator[Progress, None, Found]:
        decoders().check(photo, {}, max_pixels=request.max_pixels)
        return (yield from super().find_mask(request, photo, check=check))

    def plan(self, request: EditRequest, inputs: EditInputs) -> EditPlan:
        check_pictures(inputs, request.max_pixels)
        return super().plan(request, inputs)

    def plan_learning(self, request: LearningRequest, inputs: EditInputs) -> str:
        check_pictures(inputs, request.max_pixels, person=request.kind == "identity")
        return super().plan_learning(request, inputs)
