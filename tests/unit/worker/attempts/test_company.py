"""Attempts beside each other in one process: who must be alone, and who leaves before the process ends."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from s2edit_core.errors import DeviceFault
from s2edit_core.request.spec import EditRequest, Progress
from s2edit_jobs.records.record import JobState, Lease, Owner
from tests.doubles import FakeEngine
from tests.unit.worker.attempts.conftest import WatchClock
from tests.unit.worker.conftest import InProcessService
from tests.waiting import until
from worker.attempts import worker_health
from worker.attempts.company import Company, must_run_alone
from worker.attempts.progress_watch import COLD_MARKS, worker_progress
from worker.attempts.runner import run_attempt, run_job
from worker.attempts.worker_health import EXIT_DEVICE_FAULT, EXIT_FAILING, EXIT_HUNG

PATIENCE_S = 20.0


class Canceled(Exception):
    pass


def lease(attempt: int, faults: int = 0) -> Lease:
    return Lease("e_1", Owner("app", "ann"), fence=1, attempt=attempt, lease_s=6.0, device_faults=faults)


@pytest.mark.parametrize(
    ("attempt", "faults", "most", "alone"),
    [(1, 0, 3, False), (2, 0, 3, False), (3, 0, 3, True), (4, 0, 3, True), (1, 1, 3, False), (1, 2, 3, True), (1, 0, 1, False)],
)
def test_a_last_attempt_after_lost_ones_runs_alone(attempt: int, faults: int, most: int, alone: bool) -> None:
    assert must_run_alone(lease(attempt, faults), most) is alone


def test_who_must_be_alone_waits_for_others_and_keeps_new_ones_out() -> None:
    company, order = Company(), list[str]()
    inside, leave = threading.Event(), threading.Event()

    def work(name: str, alone: bool) -> None:
        with company.working(alone=alone, while_waiting=lambda: None):
            order.append(f"{name} begins")
            if name == "first":
                inside.set()
                assert leave.wait(PATIENCE_S)
            order.append(f"{name} ends")

    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(work, "first", False)
        assert inside.wait(PATIENCE_S)
        alone = pool.submit(work, "alone", True)
        until(lambda: company._alone == 1)
        late = pool.submit(work, "late", False)
        leave.set()
        for each in (first, alone, late):
            each.result(PATIENCE_S)
    assert order == ["first begins", "first ends", "alone begins", "alone ends", "late begins", "late ends"]


def test_a_wait_to_be_alone_can_be_interrupted() -> None:
    company = Company()

    def cancel() -> None:
        raise Canceled

    with company.working(alone=False, while_waiting=lambda: None):
        with pytest.raises(Canceled), company.working(alone=True, while_waiting=cancel):
            pass
        company.take_place()
        with company.working(alone=False, while_waiting=cancel):
            pass


class Attempts:
    """Attempts at different jobs, each in a thread of one process."""

    def __init__(self, service: InProcessService, pool: ThreadPoolExecutor) -> None:
        self.service, self.pool = service, pool
        self.go_on = threading.Event()
        self.running = threading.Semaphore(0)

    def engine(self, then: Exception | None = None) -> FakeEngine:
        """Return an engine that raises `then` when the test lets it go on, or else works until the worker stops."""

        def on_step(progress: Progress) -> None:
            if (progress.phase, progress.step) == ("editing", 1):
                self.running.release()
                assert (self.go_on if then is not None else self.service.stop).wait(PATIENCE_S)
                if then is not None:
                    raise then

        return FakeEngine(on_step=on_step)

    def begin(self, prompt: str, engine: FakeEngine) -> str:
        service = self.service
        job_id = service.accept(EditRequest(prompt=f"a photo of a woman with {prompt} hair", seed=len(prompt)))
        self.pool.submit(run_job, job_id, service.services, engine, stop=service.stop, health=service.health)
        assert self.running.acquire(timeout=PATIENCE_S)
        return job_id


def test_others_hand_their_jobs_back_before_a_sick_process_ends(service: InProcessService, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the attempts of its companions would count as lost."""
    monkeypatch.setattr(worker_health, "LEAVE_S", PATIENCE_S)
    states: list[list[JobState]] = []
    with ThreadPoolExecutor(3) as pool:
        attempts = Attempts(service, pool)
        jobs = [
            attempts.begin("red", attempts.engine(DeviceFault("lost"))),
            *(attempts.begin(name, attempts.engine()) for name in ("grey", "white")),
        ]

        def end(status: int) -> None:
            states.append([service.get(job).state for job in jobs])
            service.exits.append(status)

        service.health._end = end
        attempts.go_on.set()
        until(lambda: bool(service.exits))
    assert service.exits == [EXIT_DEVICE_FAULT]
    assert states == [[JobState.QUEUED] * 3]
    service.stop.clear()
    service.pass_time(16)
    again = [service.store.leases.claim(lease_s=15) for _ in jobs]
    assert [each.attempt for each in again if each is not None] == [1, 1, 1], "no attempt was counted"


def test_a_process_whose_device_is_lost_in_every_attempt_ends_once_and_soon(
    service: InProcessService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_health, "LEAVE_S", PATIENCE_S)
    with ThreadPoolExecutor(3) as pool:
        attempts = Attempts(service, pool)
        for name in ("red", "grey", "white"):
            attempts.begin(name, attempts.engine(DeviceFault("lost")))
        attempts.go_on.set()
    assert service.exits == [EXIT_DEVICE_FAULT]


def test_a_hang_counts_for_every_attempt_that_has_waited_through_it(
    service: InProcessService, monkeypatch: pytest.MonkeyPatch, watch_clock: WatchClock
) -> None:
    """Any of them may be the reason. Their last attempts run alone, so nobody is parked for another's hang."""
    monkeypatch.setattr(worker_health, "LEAVE_S", 0.5)
    monkeypatch.setattr(worker_progress, "longest_s", 0.0)
    monkeypatch.setattr(worker_progress, "_marks", COLD_MARKS)
    monkeypatch.setattr("worker.attempts.progress_watch.FACTOR", 0.0)

    class Waiting(FakeEngine):
        """An engine that waits for the device, and asks whether to go on, as a client of the row scheduler does."""

        def edit(self, *values: object, check: object = None, **kept: object):  # type: ignore[no-untyped-def,override]
            attempts.running.release()
            while not attempts.go_on.wait(0.05):
                check(advanced=False)  # type: ignore[operator]
            return (yield from super().edit(*values, **kept))  # type: ignore[arg-type]

    with ThreadPoolExecutor(2) as pool:
        attempts = Attempts(service, pool)
        jobs = [attempts.begin(name, Waiting()) for name in ("red", "grey")]
        watch_clock.pass_time(service.services.settings.pass_timeout_s + 1)
        until(lambda: service.exits == [EXIT_HUNG])
        attempts.go_on.set()
    service.stop.clear()
    service.pass_time(16)
    second = [service.store.leases.claim(lease_s=15) for _ in jobs]
    assert [each.attempt for each in second if each is not None] == [2, 2]


def test_a_thread_that_is_ended_ends_the_process(service: InProcessService) -> None:
    from worker.attempts.slots import AttemptSlots

    def ended() -> None:
        raise SystemExit(3)

    slots = AttemptSlots(2, service.health)
    slots.run(ended)
    slots.finish()
    assert service.exits == [EXIT_FAILING]


def test_a_job_that_was_lost_twice_gets_its_last_attempt_alone(service: InProcessService) -> None:
    lost = service.accept(EditRequest(prompt="a photo of a woman with blond hair"))
    for _ in range(2):
        assert service.store.leases.claim(lease_s=15) is not None
        service.pass_time(16)
    events: list[str] = []

    def companion(progress: Progress) -> None:
        if not events:
            events.append("companion works")
            until(lambda: service.health.company._alone == 1)  # the other one waits for its end
            assert service.get(lost).state is JobState.RUNNING, "and holds its lease meanwhile"
        events.append("companion works")

    def last(progress: Progress) -> None:
        events.append("last attempt")

    def run(engine: FakeEngine) -> None:
        run_job("e_any", service.services, engine, stop=service.stop, health=service.health)

    with ThreadPoolExecutor(2) as pool:
        lease = service.store.leases.claim(lease_s=15)
        assert lease is not None
        assert (lease.job_id, lease.attempt) == (lost, 3)
        other = service.accept(EditRequest(prompt="a photo of a woman with grey hair", seed=1))
        first = pool.submit(run, FakeEngine(on_step=companion))
        until(lambda: bool(events))
        second = pool.submit(
            run_attempt, lease, service.services, FakeEngine(on_step=last), stop=service.stop, health=service.health
        )
        first.result(PATIENCE_S)
        second.result(PATIENCE_S)
    assert {service.get(job).state for job in (lost, other)} == {JobState.SUCCEEDED}
    assert events == sorted(events), "one after the other"
