"""Whoever needs an identity that is being learned waits for it, and in nobody's way."""

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
from s2edit_jobs.stores.redis_store.lua import LOOK_MS
from tests.doubles import FakeEngine
from tests.unit.worker.attempts.test_runner import at, down, fail
from tests.unit.worker.conftest import ANN, REQUEST, Shop
from worker.housekeeping.reaper import reap

CHECKPOINTS = "/checkpoint-"


def during(phase: str, step: int, act: Callable[[], object]) -> Callable[[Progress], None]:
    """Do `act` before one step, the first time it comes."""
    done: list[bool] = []

    def once() -> None:
        if not done:
            done.append(True)
            act()

    return at(phase, step, once)


def states(shop: Shop, jobs: list[str]) -> list[JobState]:
    return [shop.get(job_id).state for job_id in jobs]


def test_two_edits_of_one_photo_at_once_learn_it_once(shop: Shop) -> None:
    other = FakeEngine()
    jobs = [shop.accept(), shop.accept(EditRequest(prompt="a photo of a woman with a hat"))]
    seen: list[str | None] = []

    def another_worker() -> None:
        shop.work(other)
        seen.append(shop.get(jobs[1]).waits_for)

    shop.engine.on_step = during("learning", 2, another_worker)
    shop.work()
    assert seen == [f"{ANN.prefix}concepts/{shop.get(jobs[0]).identity}/concept.safetensors"]
    assert list(shop.queue.rings) == [jobs[1]], "it is rung for as soon as the concept is there"
    shop.work(other)
    assert states(shop, jobs) == [JobState.SUCCEEDED] * 2
    assert (shop.engine.learned, other.learned) == (1, 0)
    assert shop.get(jobs[1]).attempt == 1, "waiting is no attempt"


def test_a_waiting_job_leaves_the_worker_to_others(shop: Shop) -> None:
    other = FakeEngine()
    jobs = [shop.accept(), shop.accept()]
    stranger = shop.accept(files={"image": Upload(b"another photo", "image/png"), "mask": Upload(b"mask", "image/png")})
    shop.engine.on_step = during("learning", 2, lambda: (shop.work(other), shop.work(other)))
    shop.work()
    assert shop.get(stranger).state is JobState.SUCCEEDED
    assert shop.get(jobs[1]).state is JobState.QUEUED


def test_a_hundred_edits_on_four_workers_learn_once(shop: Shop) -> None:
    jobs = [shop.accept() for _ in range(100)]
    engines = [FakeEngine(steps=5, step_s=0.001) for _ in range(4)]
    deadline = threading.Event()

    def work(engine: FakeEngine) -> None:
        while not deadline.is_set() and not all(state.over for state in states(shop, jobs)):
            try:
                shop.work(engine)
            except IndexError:
                deadline.wait(0.002)

    workers = [threading.Thread(target=work, args=(engine,)) for engine in engines]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(20)
    deadline.set()
    assert set(states(shop, jobs)) == {JobState.SUCCEEDED}
    assert sum(engine.learned for engine in engines) == 1
    assert {shop.get(job_id).attempt for job_id in jobs} == {1}


def test_if_the_learning_fails_those_who_wait_fail_with_its_reason(shop: Shop) -> None:
    other = FakeEngine()
    jobs = [shop.accept() for _ in range(3)]

    def wait_then_fail() -> None:
        shop.work(other)
        shop.work(other)
        raise NumbersNotFinite("the learning left the numbers")

    shop.engine.on_step = during("learning", 2, wait_then_fail)
    shop.work()
    while shop.queue.rings:
        shop.work(other)
    failures = [shop.get(job_id).failure for job_id in jobs]
    assert failures[0] is not None
    assert failures[0].code == "numbers_not_finite"
    assert failures == [failures[0]] * 3
    assert other.events == []


def test_a_failure_after_the_learning_is_one_jobs_own(shop: Shop) -> None:
    other = FakeEngine()
    jobs = [shop.accept() for _ in range(2)]
    shop.engine.on_step = lambda progress: {
        ("learning", 2): lambda: shop.work(other),
        ("editing", 1): fail(NumbersNotFinite("the edit left the numbers")),
    }.get((progress.phase, progress.step), lambda: None)()
    shop.work()
    shop.work(other)
    assert states(shop, jobs) == [JobState.FAILED, JobState.SUCCEEDED]


def test_an_attempt_that_fails_keeps_the_others_waiting_until_the_last(shop: Shop) -> None:
    jobs = [shop.accept() for _ in range(2)]
    other = FakeEngine()

    def crash() -> None:
        if jobs[1] in shop.queue.rings:
            shop.work(other)
        raise RuntimeError("CUDA error")

    shop.engine.on_step = at("learning", 2, crash)
    for _ in range(3):
        shop.work()
        reap(shop.services)
    assert shop.get(jobs[0]).attempt == 3
    assert other.learned == 0
    shop.work(other)
    failures = [shop.get(job_id).failure for job_id in jobs]
    assert [failure.code if failure else None for failure in failures] == ["parked", "parked"]
    assert other.events == []


def test_a_learner_that_dies_is_followed_by_its_own_next_attempt(shop: Shop) -> None:
    jobs = [shop.accept() for _ in range(2)]
    other = FakeEngine()

    def die() -> None:
        shop.work(other)
        raise SystemExit  # nothing after this line happens, as when the process is killed

    shop.engine.on_step = during("learning", 2, die)
    with pytest.raises(SystemExit):
        shop.work()
    assert reap(shop.services) == 0
    shop.now += 16
    assert reap(shop.services) == 1
    shop.work()
    shop.work()
    assert states(shop, jobs) == [JobState.SUCCEEDED] * 2
    assert (shop.engine.learned, other.learned) == (1, 0)


def test_a_canceled_learner_hands_the_learning_on(shop: Shop) -> None:
    jobs = [shop.accept() for _ in range(2)]
    other = FakeEngine()
    shop.engine.on_step = during("learning", 2, lambda: (shop.work(other), shop.jobs.cancel(ANN, jobs[0])))
    shop.engine.steps = 500
    shop.engine.step_s = 0.001
    shop.work()
    assert states(shop, jobs) == [JobState.CANCELED, JobState.QUEUED]
    shop.work(other)
    assert shop.get(jobs[1]).state is JobState.SUCCEEDED
    assert other.learned == 1


def test_a_release_that_does_not_come_through_is_made_up_for(shop: Shop) -> None:
    jobs = [shop.accept() for _ in range(2)]
    other = FakeEngine()
    release = shop.store.reservations.release
    shop.store.reservations.release = down(StoreUnavailable("down"))  # type: ignore[method-assign]
    shop.engine.on_step = during("learning", 2, lambda: shop.work(other))
    shop.work()
    shop.store.reservations.release = release  # type: ignore[method-assign]
    shop.now += LOOK_MS / 1000 + 0.1  # when the store looks at the learner again
    assert reap(shop.services) == 1
    shop.work(other)
    assert states(shop, jobs) == [JobState.SUCCEEDED] * 2
    assert other.learned == 0


def test_a_concept_that_came_between_two_looks_is_not_learned_again(shop: Shop) -> None:
    jobs = [shop.accept() for _ in range(2)]
    reserve = shop.store.reservations.reserve

    def late(*values: object) -> bool:
        shop.store.reservations.reserve = reserve  # type: ignore[method-assign]
        shop.work(FakeEngine())
        return reserve(*values)  # type: ignore[arg-type]

    shop.store.reservations.reserve = late  # type: ignore[method-assign]
    shop.work()
    assert states(shop, jobs) == [JobState.SUCCEEDED] * 2
    assert shop.engine.learned == 0
    third = shop.accept()
    shop.work()
    assert shop.get(third).state is JobState.SUCCEEDED, "nothing stays reserved"


class TestCheckpoints:
    def kept(self, shop: Shop) -> list[str]:
        return [key for key in shop.artifacts.list(ANN.prefix) if CHECKPOINTS in key]

    def test_the_next_attempt_goes_on_at_the_last_one_and_they_go_when_it_is_learned(self, shop: Shop) -> None:
        shop.engine = FakeEngine(steps=10, checkpoint_every=4, on_step=during("learning", 10, fail(RuntimeError("killed"))))
        job_id = shop.accept()
        shop.work()
        assert [key[-len("000004.safetensors") :] for key in self.kept(shop)] == ["000004.safetensors", "000008.safetensors"]
        shop.work()
        assert json.loads(shop.artifacts.get(shop.get(job_id).artifacts["report"]))["learning_steps"] == 2
        assert shop.artifacts.get(shop.get(job_id).artifacts["result"]) == shop.engine.result(REQUEST, shop.inputs)
        assert self.kept(shop) == []

    def test_a_damaged_one_is_left_out(self, shop: Shop) -> None:
        shop.engine = FakeEngine(steps=10, checkpoint_every=4, on_step=during("learning", 6, fail(RuntimeError("killed"))))
        job_id = shop.accept()
        shop.work()
        (key,) = self.kept(shop)
        shop.artifacts.put(key, b"rubbish", media_type="x/y")
        shop.work()
        assert json.loads(shop.artifacts.get(shop.get(job_id).artifacts["report"]))["learning_steps"] == 10
