"""An identity is learned once: other jobs that need it wait, without blocking a worker."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable

import pytest

from s2edit_core.errors import NumbersNotFinite
from s2edit_core.request.spec import EditRequest, Progress
from s2edit_jobs.records.errors import StoreUnavailable
from s2edit_jobs.records.files import Upload
from s2edit_jobs.records.record import JobState
from s2edit_jobs.stores.artifacts import edit_key
from s2edit_jobs.stores.redis_store.lua import LOOK_MS
from tests.doubles import FakeEngine
from tests.unit.worker.attempts.faults import at, down, fail
from tests.unit.worker.conftest import ANN, REQUEST, InProcessService
from worker.attempts.runner import run_attempt
from worker.housekeeping.reaper import reap

CHECKPOINTS = "/checkpoint-"


def during(phase: str, step: int, act: Callable[[], object]) -> Callable[[Progress], None]:
    """Call `act` before one step, the first time only."""
    done: list[bool] = []

    def once() -> None:
        if not done:
            done.append(True)
            act()

    return at(phase, step, once)


def states(service: InProcessService, jobs: list[str]) -> list[JobState]:
    return [service.get(job_id).state for job_id in jobs]


def test_two_edits_of_one_photo_at_once_learn_it_once(service: InProcessService) -> None:
    other = FakeEngine()
    jobs = [service.accept(), service.accept(EditRequest(prompt="a photo of a woman with a hat"))]
    seen: list[str | None] = []

    def another_worker() -> None:
        service.work(other)
        seen.append(service.get(jobs[1]).waits_for)

    service.engine.on_step = during("learning", 2, another_worker)
    service.work()
    assert seen == [f"{ANN.prefix}concepts/{service.get(jobs[0]).identity}/concept.safetensors"]
    assert list(service.queue.messages) == [jobs[1]], "workers are notified as soon as the concept is stored"
    service.work(other)
    assert states(service, jobs) == [JobState.SUCCEEDED] * 2
    assert (service.engine.learned, other.learned) == (1, 0)
    assert service.get(jobs[1]).attempt == 1, "waiting does not count as an attempt"


def test_a_waiting_job_leaves_the_worker_to_others(service: InProcessService) -> None:
    other = FakeEngine()
    jobs = [service.accept(), service.accept()]
    stranger = service.accept(files={"image": Upload(b"another photo", "image/png"), "mask": Upload(b"mask", "image/png")})
    service.engine.on_step = during("learning", 2, lambda: (service.work(other), service.work(other)))
    service.work()
    assert service.get(stranger).state is JobState.SUCCEEDED
    assert service.get(jobs[1]).state is JobState.QUEUED


def test_a_hundred_edits_on_four_workers_learn_once(service: InProcessService) -> None:
    jobs = [service.accept() for _ in range(100)]
    engines = [FakeEngine(steps=5, step_s=0.001) for _ in range(4)]
    deadline = threading.Event()

    def work(engine: FakeEngine) -> None:
        while not deadline.is_set() and not all(state.over for state in states(service, jobs)):
            try:
                service.handle(engine)  # of four threads, none may let time pass: the others' leases would end
            except IndexError:
                deadline.wait(0.002)

    workers = [threading.Thread(target=work, args=(engine,)) for engine in engines]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(100)
    deadline.set()
    assert set(states(service, jobs)) == {JobState.SUCCEEDED}
    assert sum(engine.learned for engine in engines) == 1
    assert {service.get(job_id).attempt for job_id in jobs} == {1}


def test_if_the_learning_fails_those_who_wait_fail_with_its_reason(service: InProcessService) -> None:
    other = FakeEngine()
    jobs = [service.accept() for _ in range(3)]

    def wait_then_fail() -> None:
        service.work(other)
        service.work(other)
        raise NumbersNotFinite("the learning left the numbers")

    service.engine.on_step = during("learning", 2, wait_then_fail)
    service.work()
    while service.queue.messages:
        service.work(other)
    failures = [service.get(job_id).failure for job_id in jobs]
    assert failures[0] is not None
    assert failures[0].code == "numbers_not_finite"
    assert failures == [failures[0]] * 3
    assert other.events == []


def test_a_failure_after_the_learning_is_one_jobs_own(service: InProcessService) -> None:
    other = FakeEngine()
    jobs = [service.accept() for _ in range(2)]
    service.engine.on_step = lambda progress: {
        ("learning", 2): lambda: service.work(other),
        ("editing", 1): fail(NumbersNotFinite("the edit left the numbers")),
    }.get((progress.phase, progress.step), lambda: None)()
    service.work()
    service.work(other)
    assert states(service, jobs) == [JobState.FAILED, JobState.SUCCEEDED]


def test_an_attempt_that_fails_keeps_the_others_waiting_until_the_last(service: InProcessService) -> None:
    jobs = [service.accept() for _ in range(2)]
    other = FakeEngine()

    def crash() -> None:
        if jobs[1] in service.queue.messages:
            service.work(other)
        raise RuntimeError("CUDA error")

    service.engine.on_step = at("learning", 2, crash)
    for _ in range(3):
        service.work()
        reap(service.services)
    assert service.get(jobs[0]).attempt == 3
    assert other.learned == 0
    service.work(other)
    failures = [service.get(job_id).failure for job_id in jobs]
    assert [failure.code if failure else None for failure in failures] == ["parked", "parked"]
    assert other.events == []


def test_a_learner_that_dies_is_followed_by_its_own_next_attempt(service: InProcessService) -> None:
    jobs = [service.accept() for _ in range(2)]
    other = FakeEngine()

    def die() -> None:
        service.work(other)
        raise SystemExit  # ends the thread here, like a killed process

    service.engine.on_step = during("learning", 2, die)
    with pytest.raises(SystemExit):
        service.work()
    assert reap(service.services) == 0
    service.now += 16
    assert reap(service.services) == 1
    service.work()
    service.work()
    assert states(service, jobs) == [JobState.SUCCEEDED] * 2
    assert (service.engine.learned, other.learned) == (1, 0)


def test_a_canceled_learner_hands_the_learning_on(service: InProcessService) -> None:
    jobs = [service.accept() for _ in range(2)]
    other = FakeEngine()
    service.engine.on_step = during("learning", 2, lambda: (service.work(other), service.jobs.cancel(ANN, jobs[0])))
    service.engine.steps = 500
    service.engine.step_s = 0.001
    service.work()
    assert states(service, jobs) == [JobState.CANCELED, JobState.QUEUED]
    service.work(other)
    assert service.get(jobs[1]).state is JobState.SUCCEEDED
    assert other.learned == 1


def test_a_release_that_does_not_come_through_is_made_up_for(service: InProcessService) -> None:
    jobs = [service.accept() for _ in range(2)]
    other = FakeEngine()
    release = service.store.reservations.release
    service.store.reservations.release = down(StoreUnavailable("down"))  # type: ignore[method-assign]
    service.engine.on_step = during("learning", 2, lambda: service.work(other))
    service.work()
    service.store.reservations.release = release  # type: ignore[method-assign]
    service.now += LOOK_MS / 1000 + 0.1  # when the store checks the learning job again
    assert reap(service.services) == 1
    service.work(other)
    assert states(service, jobs) == [JobState.SUCCEEDED] * 2
    assert other.learned == 0


def test_a_concept_that_came_between_two_looks_is_not_learned_again(service: InProcessService) -> None:
    jobs = [service.accept() for _ in range(2)]
    reserve = service.store.reservations.reserve

    def late(*values: object) -> bool:
        service.store.reservations.reserve = reserve  # type: ignore[method-assign]
        service.work(FakeEngine())
        return reserve(*values)  # type: ignore[arg-type]

    service.store.reservations.reserve = late  # type: ignore[method-assign]
    service.work()
    assert states(service, jobs) == [JobState.SUCCEEDED] * 2
    assert service.engine.learned == 0
    third = service.accept()
    service.work()
    assert service.get(third).state is JobState.SUCCEEDED, "nothing stays reserved"


class TestCheckpoints:
    def kept(self, service: InProcessService) -> list[str]:
        return [key for key in service.artifacts.list(ANN.prefix) if CHECKPOINTS in key]

    def test_the_next_attempt_goes_on_at_the_last_one_and_they_go_when_it_is_learned(self, service: InProcessService) -> None:
        service.engine = FakeEngine(steps=10, checkpoint_every=4, on_step=during("learning", 10, fail(RuntimeError("killed"))))
        job_id = service.accept()
        service.work()
        assert [key[-len("000004.safetensors") :] for key in self.kept(service)] == ["000004.safetensors", "000008.safetensors"]
        service.work()
        assert json.loads(service.artifacts.get(service.get(job_id).artifacts["report"]))["learning_steps"] == 2
        assert service.artifacts.get(service.get(job_id).artifacts["result"]) == service.engine.result(REQUEST, service.inputs)
        assert self.kept(service) == []

    def test_a_damaged_one_is_left_out(self, service: InProcessService) -> None:
        service.engine = FakeEngine(steps=10, checkpoint_every=4, on_step=during("learning", 6, fail(RuntimeError("killed"))))
        job_id = service.accept()
        service.work()
        (key,) = self.kept(service)
        service.artifacts.put(key, b"rubbish", media_type="x/y")
        service.work()
        assert json.loads(service.artifacts.get(service.get(job_id).artifacts["report"]))["learning_steps"] == 10


def test_a_learner_whose_photo_is_damaged_fails_alone(service: InProcessService) -> None:
    learner = service.accept()
    service.engine.on_step = at("learning", 1, service.stop.set)  # it is handed back, and keeps its reservation
    service.handle()
    service.engine.on_step, _ = None, service.stop.clear()
    others = [service.accept() for _ in range(2)]
    for job_id in others:
        run_attempt(service.store.leases.claim(job_id, lease_s=15), service.services, service.engine, stop=threading.Event())
    assert all(service.get(job_id).waits_for for job_id in others)
    service.artifacts.objects[edit_key(ANN, learner, "image.png")] = b"pho"
    service.now += 10
    while service.queue.messages:
        service.work()
        service.now += 10
    assert service.get(learner).state is JobState.FAILED
    assert states(service, others) == [JobState.SUCCEEDED] * 2
