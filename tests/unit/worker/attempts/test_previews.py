"""Previews in an attempt: how often they are drawn, and that no edit fails for them."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from s2edit_core.request.spec import Progress
from s2edit_jobs.records.record import JobRecord, JobState
from tests.doubles import FakeEngine
from tests.unit.worker.conftest import ANN, InProcessService
from worker.attempts import control
from worker.engines.painters import DigestPainter


def shown(service: InProcessService, job_id: str) -> list[JobRecord]:
    """Return the job's record at each new preview."""
    records, _ = service.store.events.since(ANN, job_id, after=0)
    return [record for record in records if record.preview == record.sequence]


def test_they_are_drawn_at_the_first_step_and_about_once_a_second(
    service: InProcessService, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = {"editing 1": 0.0, "editing 2": 0.6, "editing 3": 0.9, "editing 4": 1.2, "editing 5": 1.5}
    now = [0.0]

    def pass_time(progress: Progress) -> None:
        now[0] = 100 + seconds.get(f"{progress.phase} {progress.step}", 0.0)

    class Time:
        monotonic = staticmethod(lambda: now[0])
        time = staticmethod(control.time.time)

    monkeypatch.setattr(control, "time", Time)
    job_id = service.accept()
    service.work(FakeEngine(steps=5, on_step=pass_time))
    assert [(record.phase, record.step) for record in shown(service, job_id)] == [("editing", 1), ("editing", 4)]


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

        def preview(self, *_: object) -> bytes:
            self.tries += 1
            raise RuntimeError

    painter = Broken()
    job_id = service.accept()
    with capture_logs() as logs:
        service.work(FakeEngine(painter=painter))
    assert service.get(job_id).state is JobState.SUCCEEDED
    assert (painter.tries, shown(service, job_id)) == (1, [])
    assert [log["action"] for log in logs if log["action"] == "preview_failed"] == ["preview_failed"]
