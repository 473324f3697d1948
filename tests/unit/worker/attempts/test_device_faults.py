"""A sick device: its worker hands jobs back and ends, and neither a sick worker nor a poison job takes others down."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from s2edit_core.errors import DeviceFault, DeviceOutOfMemory, NumbersNotFinite
from s2edit_core.request.plan import EditPlan
from s2edit_core.request.spec import EditRequest, Progress
from s2edit_jobs.records.record import JobState
from s2edit_jobs.settings import ROOT
from tests.doubles import FakeEngine
from tests.unit.worker.attempts.faults import at, fail
from tests.unit.worker.conftest import ANN, FILES, LONGEST_WAIT_S, REQUEST, InProcessService
from worker.attempts import tallies
from worker.attempts.runner import DELAY_GROWTH, FIRST_DELAY_S, PARKED
from worker.attempts.worker_health import EXIT_DEVICE_FAULT, EXIT_FAILING, FAILED_JOBS, WorkerHealth
from worker.engines.engine import EditInputs, EngineWrapper
from worker.engines.guarded import GuardedEngine

LOST: Callable[[], Exception] = lambda: torch.AcceleratorError("CUDA error: an illegal memory access was encountered")  # noqa: E731
FULL: Callable[[], Exception] = lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")  # noqa: E731


@dataclass
class SickDevice:
    """An engine on a device that fails in every call, as the worker sees it."""

    service: InProcessService
    error: Callable[[], Exception] = LOST

    def __post_init__(self) -> None:
        self.calls = 0

        class Sick(FakeEngine):
            def plan(inner, request: EditRequest, inputs: EditInputs) -> EditPlan:  # noqa: N805
                self.calls += 1
                raise self.error()

        self.engine: Any = GuardedEngine(Sick())


def messages(service: InProcessService, count: int) -> None:
    for _ in range(count):
        service.queue.notify("e_any")


def test_a_sick_worker_parks_nothing_however_often_it_is_notified(service: InProcessService) -> None:
    """Before: 20 of 20 jobs parked by 60 notifications."""
    jobs = [service.accept() for _ in range(20)]
    sick = SickDevice(service)
    messages(service, 40)
    for _ in range(60):
        service.work(sick.engine)
    assert sick.calls == 1, "it claims nothing any more"
    assert service.exits == [EXIT_DEVICE_FAULT]
    assert service.stop.is_set()
    records = [service.get(job_id) for job_id in jobs]
    assert {(record.state, record.attempt) for record in records} == {(JobState.QUEUED, 0)}


def test_all_is_done_once_another_worker_takes_over(service: InProcessService) -> None:
    jobs = [service.accept() for _ in range(5)]
    service.work(SickDevice(service).engine)
    service.stop.clear()  # a new process
    service.pass_time(LONGEST_WAIT_S)
    while service.queue.messages:
        service.work()
    assert {service.get(job_id).state for job_id in jobs} == {JobState.SUCCEEDED}
    assert {service.get(job_id).attempt for job_id in jobs} == {1}


@pytest.mark.parametrize(("error", "code", "status"), [(LOST, PARKED, 3), (FULL, "out_of_memory", 0)], ids=["lost", "full"])
def test_a_job_that_is_the_reason_ends_after_as_many_faults_as_attempts(
    service: InProcessService, error: Callable[[], Exception], code: str, status: int
) -> None:
    """A bad index, say, makes every device fail. Each worker that meets it ends, but not for ever."""
    job_id = service.accept()
    for number in (1, 2, 3):
        assert not service.get(job_id).state.over
        service.work(SickDevice(service, error).engine)
        service.stop.clear()
        if number < 3:
            assert (service.get(job_id).state, service.get(job_id).attempt) == (JobState.QUEUED, 0)
    failure = service.get(job_id).failure
    assert failure is not None
    assert (failure.code, failure.retryable) == (code, True)
    assert "after 3 attempts: " in failure.message
    assert "; try again later, " in failure.message
    assert "CUDA" not in failure.message
    assert len(service.exits) == status


def test_device_faults_and_failures_of_its_own_are_counted_apart(service: InProcessService) -> None:
    job_id = service.accept()
    service.engine.on_step = at("editing", 1, fail(RuntimeError("a bug")))
    for engine in (SickDevice(service).engine, service.engine, SickDevice(service).engine, service.engine):
        service.work(engine)
        service.stop.clear()
    assert (service.get(job_id).state, service.get(job_id).attempt) == (JobState.QUEUED, 2)
    service.engine.on_step = None
    service.work()
    assert service.get(job_id).state is JobState.SUCCEEDED


def test_without_memory_a_worker_goes_on_until_that_is_no_ones_fault_but_its_own(service: InProcessService) -> None:
    jobs = [service.accept() for _ in range(5)]
    full = SickDevice(service, FULL)
    for _ in range(FAILED_JOBS - 1):
        service.work(full.engine)
    assert (service.exits, service.stop.is_set()) == ([], False)
    service.work(full.engine)
    assert service.exits == [EXIT_FAILING]
    assert {service.get(job_id).state for job_id in jobs} == {JobState.QUEUED}


@pytest.mark.parametrize("error", [RuntimeError("an error that nobody has foreseen"), NumbersNotFinite("not finite")], ids=repr)
def test_a_worker_that_fails_one_job_after_the_other_ends(service: InProcessService, error: Exception) -> None:
    """A fault that nobody recognises, or a device that computes wrong numbers without an error."""
    for _ in range(10):
        service.accept()
    service.engine.on_step = at("editing", 1, fail(error))
    messages(service, 30)
    for _ in range(40):
        service.work()
    assert service.exits == [EXIT_FAILING]
    assert sum(progress.phase == "editing" for progress in service.engine.events) == FAILED_JOBS


def test_a_success_between_failures_shows_that_the_worker_is_well(service: InProcessService) -> None:
    for _ in range(4):
        for step in (at("editing", 1, fail(RuntimeError())), None):
            service.accept()
            service.engine.on_step = step
            service.work()
    assert service.exits == []


def test_one_job_that_fails_again_and_again_does_not_end_the_worker(service: InProcessService) -> None:
    job_id = service.accept()
    service.engine.on_step = at("editing", 1, fail(RuntimeError()))
    for _ in range(3):
        service.work()
    assert service.get(job_id).state is JobState.FAILED
    assert service.exits == []


@pytest.mark.parametrize("sick", [False, True], ids=["counted", "device fault"])
def test_the_wait_grows_and_holds_up_no_other_job_of_the_owner(service: InProcessService, sick: bool) -> None:
    poison = service.accept()
    service.engine.on_step = at("editing", 1, fail(RuntimeError("poison")))
    for delay_s in (FIRST_DELAY_S, FIRST_DELAY_S * DELAY_GROWTH):
        service.queue.notify(poison)
        service.work(SickDevice(service).engine if sick else None)
        service.stop.clear()
        before = service.get(poison)
        service.now += delay_s - 0.5
        assert service.store.leases.claim(lease_s=15) is None
        assert service.store.leases.orphans() == []
        assert service.get(poison) == before
        other = service.accept(EditRequest(prompt="a photo of a woman with a hat"))
        service.work(FakeEngine())
        assert service.get(other).state is JobState.SUCCEEDED
        service.now += 0.5
        assert service.store.leases.orphans() == [poison]


def test_a_deadline_ends_a_job_that_waits(service: InProcessService) -> None:
    service.engine.on_step = at("editing", 1, fail(RuntimeError("poison")))
    job_id = service.accept(deadline_s=1.0)
    service.work()
    service.now += 1.5
    service.jobs.end_overdue()
    failure = service.get(job_id).failure
    assert failure is not None
    assert failure.code == "deadline_exceeded"


class Everywhere(EngineWrapper):
    """Raises in one call of the engine."""

    def __init__(self, where: str, error: BaseException) -> None:
        super().__init__(FakeEngine())
        self.where, self.error = where, error

    def find_mask(self, *given: Any, **named: Any) -> Generator[Progress, None, Any]:
        if self.where == "find_mask":
            raise self.error
        return (yield from super().find_mask(*given, **named))

    def plan(self, *given: Any) -> EditPlan:
        if self.where == "plan":
            raise self.error
        return super().plan(*given)

    def edit(self, *given: Any, **named: Any) -> Generator[Any, None, Any]:
        edited = yield from super().edit(*given, **named)
        if self.where == "edit":
            raise self.error
        return edited


@pytest.mark.parametrize("where", ["find_mask", "plan", "edit"])
@pytest.mark.parametrize("error", [LOST(), RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR")], ids=["CUDA", "cuDNN"])
def test_wherever_the_device_fails_it_is_noticed(service: InProcessService, where: str, error: Exception) -> None:
    """The segmenter, the captioner, the safety model, and what comes after the last evaluation."""
    job_id = service.accept(REQUEST, {"image": FILES["image"]})
    service.work(GuardedEngine(Everywhere(where, error)))  # type: ignore[arg-type]
    assert (service.get(job_id).state, service.get(job_id).attempt) == (JobState.QUEUED, 0)
    assert service.exits == [EXIT_DEVICE_FAULT]


def test_memory_that_the_host_lacks_counts_too(service: InProcessService) -> None:
    before = tallies.counts()["out_of_memory"]
    job_id = service.accept()
    service.work(Everywhere("edit", MemoryError()))  # type: ignore[arg-type]  # not guarded: raised by the worker's own code, say
    assert (service.get(job_id).state, service.get(job_id).attempt, service.exits) == (JobState.QUEUED, 0, [])
    assert tallies.counts()["out_of_memory"] == before + 1


@pytest.mark.parametrize(("stopping", "attempt"), [(True, 0), (False, 1)], ids=["told to stop", "for no reason"])
def test_an_exit_in_the_middle_hands_the_job_back(service: InProcessService, stopping: bool, attempt: int) -> None:
    def leave() -> None:
        if stopping:
            service.stop.set()
        raise SystemExit(1)

    job_id = service.accept()
    service.engine.on_step = at("editing", 1, leave)
    with pytest.raises(SystemExit):
        service.work()
    assert (service.get(job_id).state, service.get(job_id).attempt) == (JobState.QUEUED, attempt)


def test_a_cancellation_is_no_fault(service: InProcessService) -> None:
    """Exceptions of the worker pass through the guard unchanged."""
    job_id = service.accept()
    engine = FakeEngine(on_step=at("inverting", 1, lambda: service.jobs.cancel(ANN, job_id)))
    service.work(GuardedEngine(engine))  # type: ignore[arg-type]
    assert service.get(job_id).state is JobState.CANCELED


def test_a_worker_without_a_process_of_its_own_ends_none() -> None:
    """Test mode runs in threads beside other things."""
    service = InProcessService()
    service.health = None  # type: ignore[assignment]
    job_id = service.accept()
    service.work(SickDevice(service).engine)
    assert service.get(job_id).state is JobState.QUEUED
    assert not service.stop.is_set()


class TestHealth:
    def test_it_stops_the_claiming_before_it_ends_the_process(self) -> None:
        stop, seen = threading.Event(), []
        health = WorkerHealth(stop, lambda status: seen.append((status, stop.is_set())))
        health.device_failed("e_1", DeviceFault("lost"))
        assert seen == [(EXIT_DEVICE_FAULT, True)]

    def test_a_lack_of_memory_is_forgotten_with_the_next_success(self) -> None:
        ended: list[int] = []
        health = WorkerHealth(threading.Event(), ended.append)
        for number in range(10):
            health.device_failed(f"e_{number}", DeviceOutOfMemory("full"))
            if number % 2:
                health.succeeded()
        assert ended == []

    def test_the_process_ends_at_once_whatever_else_runs_in_it(self) -> None:
        """Neither a thread that never ends nor a handler at exit, as CUDA's, holds it up."""
        code = (
            "import atexit, threading, time\n"
            "from s2edit_core.errors import DeviceFault\n"
            "from worker.attempts.worker_health import WorkerHealth\n"
            "threading.Thread(target=time.sleep, args=(60,)).start()\n"
            "atexit.register(time.sleep, 60)\n"
            "print('begun')\n"
            "WorkerHealth(threading.Event()).device_failed('e_1', DeviceFault('lost'))\n"
        )
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=50, check=False)
        assert done.returncode == EXIT_DEVICE_FAULT
        assert "begun" in done.stdout, "what was written is not lost"
        assert "worker_ends" in done.stdout + done.stderr

    def test_a_computation_that_holds_the_interpreters_lock_is_ended_too(self) -> None:
        code = (
            "import ctypes, threading\n"
            "from worker.attempts.worker_health import WorkerHealth\n"
            "WorkerHealth(threading.Event()).guard(0.5)\n"
            "ctypes.PyDLL(None).sleep(60)\n"  # unlike CDLL, it keeps the lock
        )
        began = time.monotonic()
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=50, check=False)
        assert done.returncode not in (0, -signal.SIGKILL)
        assert time.monotonic() - began < 40
        assert "Timeout" in done.stderr
