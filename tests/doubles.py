"""The engine of tests: the one without a model, on bytes instead of pictures, with counters and a hook."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from s2edit_core.request.spec import EditRequest, LearningRequest, Progress
from s2edit_jobs.decoding.decoders import decoders
from s2edit_jobs.records.record import JobRequest
from s2edit_jobs.stores.model_facts import ModelFacts
from worker.engines.engine import Edited, EditInputs, Found, Made, check_pictures
from worker.engines.modeless_engine import ModelessEngine
from worker.engines.painters import DigestPainter, Painter

FACTS = ModelFacts(fingerprint="fake", width=4, layers=((6, 4), (8, 4)), subjects=("woman", "man"))
Result = TypeVar("Result")


@dataclass
class FakeEngine(ModelessEngine):
    """Stands for the live engine. `on_step` is called before every step: there a test raises, waits or meddles."""

    facts: ModelFacts = FACTS
    name: str = "fake"
    painter: Painter = field(default_factory=DigestPainter)
    steps: int = 3
    own_photo: bool = True
    on_step: Callable[[Progress], None] | None = None
    found: int = 0
    learned: int = 0
    inverted: int = 0
    closed: int = 0  # edits that were closed before their end
    events: list[Progress] = field(default_factory=list)
    check: Callable[[], None] = lambda: None  # what the edit under way was given; a step here is one evaluation, so nobody calls it

    def find_mask(
        self, request: JobRequest, photo: bytes, *, check: Callable[[], None] | None = None
    ) -> Generator[Progress, None, Found]:
        found = yield from self._watched(super().find_mask(request, photo), check)
        self.found += 1
        return found

    def learn(
        self, request: LearningRequest, inputs: EditInputs, *, check: Callable[[], None] | None = None, **kept: Any
    ) -> Generator[Progress | Made, None, dict[str, Any]]:
        return (yield from self._watched(super().learn(request, inputs, **kept), check))

    def edit(
        self, request: EditRequest, inputs: EditInputs, *, check: Callable[[], None] | None = None, **kept: Any
    ) -> Generator[Progress | Made, None, Edited]:
        return (yield from self._watched(super().edit(request, inputs, **kept), check))

    def result(self, request: EditRequest, inputs: EditInputs) -> bytes:
        """What any edit of these inputs ends in."""
        return self.painter.draw(request, self._begin(request, inputs).prompts.target, inputs)[0][0]

    def mask(self, photo: bytes, at: tuple[int, int] | None) -> bytes:
        """The one that is found."""
        assert isinstance(self.painter, DigestPainter)
        return self.painter.mask(photo, at)

    def _watched(self, steps: Generator[Any, None, Result], check: Callable[[], None] | None) -> Generator[Any, None, Result]:
        """The same steps; what they make is counted before it is handed on."""
        self.check = check or (lambda: None)
        try:
            while True:
                try:
                    step = next(steps)
                except StopIteration as end:
                    result: Result = end.value
                    return result
                if isinstance(step, Made):
                    self.learned += step.kind == "concept"
                    self.inverted += step.kind == "inversion"
                yield step
        except GeneratorExit:
            steps.close()
            self.closed += 1
            raise

    def _take_step(self, progress: Progress, lasts_s: float) -> None:
        self.events.append(progress)
        if self.on_step is not None:
            self.on_step(progress)
        super()._take_step(progress, lasts_s)


class CheckedDigestPainter(DigestPainter):
    """Looks at pictures as the real engine does; the other takes any bytes."""

    def check(self, request: EditRequest | LearningRequest, inputs: EditInputs) -> None:
        check_pictures(inputs, request.max_pixels, person=isinstance(request, EditRequest) or request.kind == "identity")

    def find(self, request: JobRequest, photo: bytes, segmenter: str) -> Found | None:
        decoders().check(photo, {}, max_pixels=request.max_pixels)
        return super().find(request, photo, segmenter)


@dataclass
class DecodingEngine(FakeEngine):
    painter: Painter = field(default_factory=CheckedDigestPainter)
