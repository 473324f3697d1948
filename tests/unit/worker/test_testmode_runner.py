"""The threads that run test-mode jobs beside the live ones."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from s2edit_jobs.records.record import JobState
from tests.doubles import FakeEngine
from tests.unit.worker.conftest import ANN, InProcessService
from tests.unit.worker.engines.testmode import (
    TEST,
    accept,
)
from tests.waiting import until
from worker.attempts.runner import run_job
from worker.testmode_runner import MAX_CONCURRENT, ModelessRunner


@pytest.fixture
def runner(service: InProcessService) -> Iterator[ModelessRunner]:
    """A runner that is never notified and polls instead."""
    runner = ModelessRunner(service.services, FakeEngine.facts, service.stop, poll_s=0.01)
    yield runner
    service.stop.set()


def test_a_slow_one_shows_how_far_it_is_and_can_be_canceled(service: InProcessService, runner: ModelessRunner) -> None:
    job_id = accept(service, "[test:slow 60]")
    assert runner.take_next()
    until(lambda: service.jobs.get(TEST, job_id).phase == "editing")
    assert service.jobs.get(TEST, job_id).total == 600
    service.jobs.cancel(TEST, job_id)
    until(lambda: service.jobs.get(TEST, job_id).state is JobState.CANCELED)


def test_slow_ones_hold_up_neither_each_other_nor_the_live(service: InProcessService, runner: ModelessRunner) -> None:
    slow = [accept(service, f"[test:slow 60] {i}") for i in range(MAX_CONCURRENT - 1)]
    quick, live = accept(service), accept(service, owner=ANN)
    runner.start()
    until(lambda: service.jobs.get(TEST, quick).state.over)
    run_job(live, service.services, service.engine)
    assert service.jobs.get(ANN, live).state is JobState.SUCCEEDED
    assert {service.jobs.get(TEST, job_id).state for job_id in slow} == {JobState.RUNNING}


def test_a_worker_that_ends_gives_its_jobs_back_uncounted(service: InProcessService, runner: ModelessRunner) -> None:
    job_id = accept(service, "[test:slow 60]")
    assert runner.take_next()
    until(lambda: service.jobs.get(TEST, job_id).phase == "editing")
    service.stop.set()
    until(lambda: service.jobs.get(TEST, job_id).state is JobState.QUEUED)
    assert service.jobs.get(TEST, job_id).attempt == 0


def test_a_notification_wakes_it(service: InProcessService) -> None:
    runner = ModelessRunner(service.services, FakeEngine.facts, service.stop, poll_s=60)
    runner.start()
    try:
        job_id = accept(service)
        runner.notify()
        until(lambda: service.jobs.get(TEST, job_id).state.over)
    finally:
        service.stop.set()
        runner.notify()


def test_what_it_can_not_claim_now_it_claims_later(
    service: InProcessService, runner: ModelessRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim, refused = service.store.leases.claim, threading.Event()

    def down(*given: Any, **named: Any) -> Any:
        if not refused.is_set():
            refused.set()
            raise RuntimeError("no such thing was thought of")
        return claim(*given, **named)

    monkeypatch.setattr(service.store.leases, "claim", down)
    job_id = accept(service)
    runner.start()
    until(lambda: service.jobs.get(TEST, job_id).state.over)
    assert refused.is_set()
