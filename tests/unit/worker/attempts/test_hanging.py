"""A hung attempt: its lease is not renewed, its worker ends, and the job moves on."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from s2edit_jobs.records.record import JobState
from tests.doubles import FakeEngine
from tests.logged import Logged, logging_to_memory
from tests.unit.worker.attempts.conftest import WatchClock
from tests.unit.worker.attempts.faults import at
from tests.unit.worker.conftest import InProcessService
from tests.waiting import until
from worker.attempts import progress_watch, tallies
from worker.attempts.progress_watch import COLD_MARKS, ProcessProgress, worker_progress
from worker.attempts.runner import run_job
from worker.attempts.worker_health import EXIT_HUNG

TIMEOUT_S = 20.0


@pytest.fixture
def logged() -> Iterator[Logged]:
    with logging_to_memory() as stream:
        yield stream


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> ProcessProgress:
    """A warm process, whose stretches so far were short."""
    monkeypatch.setattr(worker_progress, "longest_s", 0.0)
    monkeypatch.setattr(worker_progress, "_marks", COLD_MARKS)
    monkeypatch.setattr(progress_watch, "FACTOR", 0.0)  # the machine of the tests may be slow at any time
    return worker_progress


class Work:
    """A worker in a thread, whose engine stops in the middle until the test lets it go on."""

    def __init__(self, service: InProcessService, engine: FakeEngine, timeout_s: float = TIMEOUT_S) -> None:
        settings = service.services.settings.model_copy(update={"pass_timeout_s": timeout_s})
        self.services = replace(service.services, settings=settings)
        self.renewed = 0
        renew = service.store.leases.renew

        def counted(lease: object) -> object:
            self.renewed += 1
            return renew(lease)  # type: ignore[arg-type]

        service.store.leases.renew = counted  # type: ignore[method-assign, assignment]
        health = service.health
        self.thread = threading.Thread(
            target=run_job, args=("e_any", self.services, engine), kwargs={"stop": service.stop, "health": health}, daemon=True
        )
        self.thread.start()

    def until_renewed(self) -> None:
        """Wait until the heartbeat has looked for a hang once more, and has found none."""
        renewed = self.renewed
        until(lambda: self.renewed >= renewed + 2)


class Hang:
    """A call that takes longer than any may, and ends when the test lets it go on."""

    def __init__(self, clock: WatchClock) -> None:
        self._clock = clock
        self.go_on = threading.Event()

    def __call__(self) -> None:
        self._clock.pass_time(TIMEOUT_S + 1)
        self.go_on.wait()


@pytest.fixture
def hang(watch_clock: WatchClock) -> Hang:
    return Hang(watch_clock)


def test_a_hung_attempt_loses_its_lease_and_ends_its_worker(
    service: InProcessService, process: ProcessProgress, logged: Logged, hang: Hang
) -> None:
    before = tallies.counts()["hangs"]
    job_id = service.accept()
    work = Work(service, FakeEngine(on_step=at("editing", 2, hang)))
    until(lambda: service.exits == [EXIT_HUNG])
    assert process.is_hung(), "a liveness probe sees it too"
    assert tallies.counts()["hangs"] == before + 1
    renewed = work.renewed
    time.sleep(0.1)
    assert work.renewed == renewed, "the lease is left to expire"
    (line,) = logged.of("hung")
    assert line["job_id"] == job_id
    assert "faults.py" in line["stack"], "the log shows where it hangs"
    assert service.stop.is_set()

    service.stop.clear()  # another worker
    service.pass_time(16)
    service.work()
    record = service.get(job_id)
    assert (record.state, record.attempt) == (JobState.SUCCEEDED, 2)
    hang.go_on.set()  # the hang ends after all: the attempt must not publish anything
    work.thread.join(timeout=30)
    assert service.get(job_id) == record


def test_a_job_that_hangs_every_worker_is_parked(service: InProcessService, process: ProcessProgress, hang: Hang) -> None:
    job_id = service.accept()
    for number in (1, 2, 3):
        work = Work(service, FakeEngine(on_step=at("editing", 1, hang)))
        until(lambda number=number: len(service.exits) == number)  # type: ignore[misc]
        service.stop.clear()
        service.pass_time(16)
        hang.go_on.set()
        work.thread.join(timeout=30)
        hang.go_on.clear()
    service.queue.notify(job_id)
    service.work()
    failure = service.get(job_id).failure
    assert failure is not None
    assert failure.code == "parked"


def test_a_long_step_of_many_evaluations_is_no_hang(
    service: InProcessService, process: ProcessProgress, watch_clock: WatchClock
) -> None:
    def evaluate() -> None:
        for _ in range(5):
            watch_clock.pass_time(0.75 * TIMEOUT_S)
            work.until_renewed()
            engine.check()

    engine = FakeEngine(on_step=at("inverting", 2, evaluate))
    job_id = service.accept()
    work = Work(service, engine)
    work.thread.join(timeout=60)
    assert service.exits == []
    assert service.get(job_id).state is JobState.SUCCEEDED


def test_a_slow_store_is_no_hang_unless_one_write_takes_too_long(
    service: InProcessService, process: ProcessProgress, watch_clock: WatchClock
) -> None:
    put, puts = service.artifacts.put, []

    def slowly(*given: object, **named: object) -> None:
        watch_clock.pass_time(0.15 * TIMEOUT_S)
        work.until_renewed()
        puts.append(given)
        put(*given, **named)  # type: ignore[arg-type]

    job_id = service.accept()
    service.artifacts.put = slowly  # type: ignore[method-assign]
    work = Work(service, FakeEngine())
    work.thread.join(timeout=60)
    assert service.exits == []
    assert service.get(job_id).state is JobState.SUCCEEDED
    assert len(puts) * 0.15 > 1
    assert process.longest_s < TIMEOUT_S


def test_after_an_attempt_nothing_is_watched(service: InProcessService, process: ProcessProgress) -> None:
    service.accept()
    service.work()
    assert (process.stuck_s(), process.is_hung()) == (None, False)
    service.accept()
    service.engine.on_step = lambda _: (_ for _ in ()).throw(RuntimeError())
    service.work()
    assert process.stuck_s() is None


def test_in_test_mode_a_hang_costs_the_lease_alone(service: InProcessService, process: ProcessProgress, hang: Hang) -> None:
    service.health = None  # type: ignore[assignment]
    service.accept()
    work = Work(service, FakeEngine(on_step=at("editing", 2, hang)))
    until(process.is_hung)
    renewed = work.renewed
    until(lambda: work.renewed == renewed)
    hang.go_on.set()
    work.thread.join(timeout=30)
    assert (service.exits, service.stop.is_set()) == ([], False)


def test_a_sleeping_engine_of_test_mode_marks_its_steps(service: InProcessService, process: ProcessProgress) -> None:
    engine = FakeEngine(steps=30, step_s=0.08)
    job_id = service.accept()
    work = Work(service, engine, timeout_s=2.0)
    work.thread.join(timeout=60)
    assert service.get(job_id).state is JobState.SUCCEEDED
    assert service.exits == []


def test_an_attempt_that_has_lost_its_lease_may_hang_too(service: InProcessService, process: ProcessProgress, hang: Hang) -> None:
    def lose_and_hang() -> None:
        service.database.empty()
        hang()

    service.accept()
    work = Work(service, FakeEngine(on_step=at("editing", 2, lose_and_hang)))
    until(lambda: service.exits == [EXIT_HUNG])
    hang.go_on.set()
    work.thread.join(timeout=30)
