"""Previews in an attempt: how often they are drawn, and that no edit fails for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from structlog.testing import capture_logs

from s2edit_core.request.spec import EditRequest, Progress
from s2edit_jobs.records.record import JobRecord, JobState
from tests.doubles import FakeEngine
from tests.unit.worker.conftest import ANN, InProcessService
from worker.attempts import control
from worker.engines.engine import EditInputs
from worker.engines.painters import DigestPainter


def shown(service: InProcessService, job_id: str) -> list[JobRecord]:
    """Return the job's record at each new preview."""
    records, _ = service.store.events.since(ANN, job_id, after=0)
    return [record for record in records if record.preview == record.sequence]


def test_they_are_drawn_at_the_first_step_and_about_once_a_second(
    service: InProcessService, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert steps_shown(service, monkeypatch, [0.0, 0.6, 0.9, 1.2, 1.5]) == [1, 4]


@pytest.mark.parametrize(
    ("waited_s", "computed_s", "steps"),
    [
        ([0.3], [0.0], [1, 2, 3, 4, 5, 6]),  # a busy machine
        ([0.0], [0.1, 0.001], [1, 2, 3, 4, 5, 6]),  # the first one prepares what the others use
        ([0.0], [0.001, 0.01], [1, 2, 4, 6]),  # a slow machine: 10 ms are 0.5 % of 2 s
    ],
)
def test_only_what_drawing_computes_makes_the_next_one_later(
    waited_s: list[float],
    computed_s: list[float],
    steps: list[int],
    service: InProcessService,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at = [0.0, 1.5, 3.0, 4.5, 6.0, 7.5]
    assert steps_shown(service, monkeypatch, at, waited_s=waited_s, computed_s=computed_s) == steps


def steps_shown(
    service: InProcessService,
    monkeypatch: pytest.MonkeyPatch,
    at: list[float],
    waited_s: Sequence[float] = (0.0,),
    computed_s: Sequence[float] = (0.0,),
) -> list[int]:
    """Run an edit whose steps end at these seconds, and return those with a preview. Each one drawn takes the next of the seconds
    that it waits for the machine, and of those that it computes; the last of each counts for the rest.
    """
    now, cpu = [0.0], [0.0]
    waits, computes = iter(waited_s), iter(computed_s)

    def pass_time(progress: Progress) -> None:
        now[0] = 100 + (at[progress.step - 1] if progress.phase == "editing" else 0.0)

    class Time:
        monotonic = staticmethod(lambda: now[0])
        thread_time = staticmethod(lambda: cpu[0])
        time = staticmethod(control.time.time)

    class Slow(DigestPainter):
        def previews(self, request: EditRequest, prompt: str, inputs: EditInputs) -> Callable[[float], bytes]:
            draw = super().previews(request, prompt, inputs)

            def slowly(share: float) -> bytes:
                computed = next(computes, computed_s[-1])
                cpu[0] += computed
                now[0] += computed + next(waits, waited_s[-1])
                return draw(share)

            return slowly

    monkeypatch.setattr(control, "time", Time)
    job_id = service.accept()
    service.work(FakeEngine(steps=len(at), on_step=pass_time, painter=Slow()))
    records = shown(service, job_id)
    assert {record.phase for record in records} == {"editing"}
    return [record.step for record in records]


def test_they_are_the_same_for_the_same_edit(service: InProcessService) -> None:
    pictures = []
    for _ in range(2):
        job_id = service.accept()
        service.work()
        found = service.store.events.preview(ANN, job_id)
        assert found is not None
        assert service.get(job_id).preview == found.number
        pictures.append(found.picture)
    assert pictures[0] == pictures[1]


def test_an_edit_does_not_fail_for_a_preview(service: InProcessService) -> None:
    class Broken(DigestPainter):
        tries = 0

        def previews(self, *_: object) -> Callable[[float], bytes]:
            return self._broken

        def _broken(self, share: float) -> bytes:
            self.tries += 1
            raise RuntimeError

    painter = Broken()
    job_id = service.accept()
    with capture_logs() as logs:
        service.work(FakeEngine(painter=painter))
    assert service.get(job_id).state is JobState.SUCCEEDED
    assert (painter.tries, shown(service, job_id)) == (1, [])
    assert [log["action"] for log in logs if log["action"] == "preview_failed"] == ["preview_failed"]
