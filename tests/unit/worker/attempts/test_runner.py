"""One attempt at one job, whatever happens to it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from s2edit_core.errors import NumbersNotFinite
from s2edit_core.request.plan import EditPlan
from s2edit_core.request.spec import EditRequest, Progress
from s2edit_jobs.library.library import Library
from s2edit_jobs.records.errors import ArtifactsUnavailable, StoreUnavailable
from s2edit_jobs.records.record import JobState, Spent
from tests.doubles import FakeEngine
from tests.unit.worker.conftest import ANN, REQUEST, Shop
from tests.waiting import until
from worker.attempts.runner import run_job
from worker.engines.engine import Edited, EditInputs

CONCEPTS, INVERSIONS = f"{ANN.prefix}concepts/", f"{ANN.prefix}inversions/"


def at(phase: str, step: int, act: Callable[[], object]) -> Callable[[Progress], None]:
    """Do `act` before one step of the engine."""

    def on_step(progress: Progress) -> None:
        if (progress.phase, progress.step) == (phase, step):
            act()

    return on_step


def fail(error: BaseException) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


def down(error: Exception) -> Any:
    def call(*_: object, **__: object) -> None:
        raise error

    return call


def plan_of(shop: Shop, job_id: str) -> EditPlan:
    spec = shop.jobs.spec(ANN, job_id)
    return shop.engine.plan(spec.request, EditInputs(b"photo", b"mask"))


def edited(engine: FakeEngine, inputs: EditInputs) -> Edited:
    """What the engine ends in where no worker is about it."""
    steps = engine.edit(REQUEST, inputs, concept=None, inversion=None)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Edited = end.value
            return result


def test_a_job_is_done_and_published(shop: Shop) -> None:
    job_id = shop.accept()
    shop.work()
    record = shop.get(job_id)
    assert (record.state, record.attempt, record.failure) == (JobState.SUCCEEDED, 1, None)
    assert shop.artifacts.get(record.artifacts["result"]) == shop.engine.result(REQUEST, EditInputs(b"photo", b"mask"))
    report = json.loads(shop.artifacts.get(record.artifacts["report"]))
    assert report["learning_steps"] == 3
    assert report.pop("mask") == {"source": "given"}
    assert report == edited(FakeEngine(), shop.inputs).report, "and all that the engine says"
    assert shop.artifacts.media_types[record.artifacts["result"]] == "image/png"
    assert record.identity == plan_of(shop, job_id).concept_id
    assert not shop.queue.rings


def test_what_was_made_is_kept_under_the_plans_names(shop: Shop) -> None:
    plan = plan_of(shop, shop.accept())
    shop.work()
    assert shop.artifacts.exists(f"{CONCEPTS}{plan.concept_id}/concept.safetensors")
    assert shop.artifacts.exists(f"{INVERSIONS}{plan.inversion_id}/inversion.safetensors")


def test_what_was_made_is_kept_at_once_and_used_by_the_next_attempt(shop: Shop) -> None:
    shop.engine.on_step = at("inverting", 2, fail(RuntimeError()))
    job_id = shop.accept()
    shop.work()
    shop.engine.on_step = None
    shop.work()
    assert shop.get(job_id).state is JobState.SUCCEEDED
    assert (shop.engine.learned, shop.engine.inverted) == (1, 1)


def test_the_second_edit_of_a_photo_learns_nothing(shop: Shop) -> None:
    shop.accept()
    shop.work()
    second = shop.accept(EditRequest(prompt="a photo of a woman with a hat"))
    shop.work()
    report = json.loads(shop.artifacts.get(shop.get(second).artifacts["report"]))
    assert (report["learning_steps"], report["mask"]) == (0, {"source": "given"})
    assert (shop.engine.learned, shop.engine.inverted) == (1, 1)


def test_an_identity_serves_an_edit_without_an_upload(shop: Shop) -> None:
    first = shop.accept()
    shop.work()
    identity = shop.get(first).identity
    assert identity is not None
    assert Library(shop.services).identity(ANN, identity).subject == "woman"
    assert Library(shop.services).identity(ANN, identity).source_prompt == "a photo of a [I] woman"
    later = shop.accept(EditRequest(prompt="a [I] woman, smiling", identity=identity), {})
    shop.work()
    assert shop.get(later).state is JobState.SUCCEEDED
    assert shop.get(later).identity == identity
    assert shop.engine.learned == 1


def test_whoever_finds_the_concept_finds_the_identity(shop: Shop) -> None:
    keys: list[str] = []
    put = shop.artifacts.put
    shop.artifacts.put = lambda key, data, **kw: (keys.append(key), put(key, data, **kw))[1]  # type: ignore[method-assign]
    shop.accept()
    shop.work()
    names = [key.rsplit("/")[-1] for key in keys if key.startswith(CONCEPTS) and "/inversions/" not in key]
    assert names == ["image.png", "mask.png", "identity.json", "concept.safetensors"]


@pytest.mark.parametrize(
    ("damaged", "learned", "inverted"), [("inversion", 0, 1), ("concept", 1, 1)], ids=["the inversion", "the concept"]
)
def test_what_is_damaged_is_made_again_once(shop: Shop, damaged: str, learned: int, inverted: int) -> None:
    plan = plan_of(shop, shop.accept())
    shop.work()
    keys = {
        "concept": f"{CONCEPTS}{plan.concept_id}/concept.safetensors",
        "inversion": f"{INVERSIONS}{plan.inversion_id}/inversion.safetensors",
    }
    whole = shop.artifacts.get(keys[damaged])
    shop.artifacts.put(keys[damaged], b"rubbish", media_type="x/y")
    engine = FakeEngine()
    again = shop.accept()
    shop.work(engine)
    assert shop.get(again).state is JobState.SUCCEEDED
    assert (engine.learned, engine.inverted) == (learned, inverted)
    assert shop.artifacts.get(keys[damaged]) == whole


def test_progress_is_shown_while_it_works(shop: Shop) -> None:
    seen: list[tuple[str | None, int]] = []

    def look(_: Progress) -> None:
        record = shop.get(job_id)
        seen.append((record.phase, record.step))

    shop.engine = FakeEngine(steps=40, on_step=look)
    job_id = shop.accept()
    shop.work()
    phases = list(dict.fromkeys(phase for phase, _ in seen))
    assert phases == [None, "learning", "inverting", "editing"]
    assert ("learning", 40) in seen, "the last step of a phase is always shown"
    assert len(set(seen)) <= 10, "quick steps are not shown one by one"


def test_a_request_that_the_model_refuses_fails_with_its_reason(shop: Shop) -> None:
    job_id = shop.accept(EditRequest(prompt="a photo of a dog"))
    shop.work()
    failure = shop.get(job_id).failure
    assert failure is not None
    assert (failure.code, failure.field, failure.retryable) == ("subject_unknown", "subject", False)
    assert "no word of the prompt names the person" in failure.message
    assert not shop.queue.rings


def test_an_error_of_the_engine_fails_the_job_with_its_code(shop: Shop) -> None:
    shop.engine.on_step = at("editing", 1, fail(NumbersNotFinite("the edit left the numbers")))
    job_id = shop.accept()
    shop.work()
    failure = shop.get(job_id).failure
    assert failure is not None
    assert (failure.code, failure.message, failure.field) == ("numbers_not_finite", "the edit left the numbers", None)


def test_an_unexpected_error_is_tried_again(shop: Shop) -> None:
    shop.engine.on_step = at("editing", 2, fail(RuntimeError("CUDA error")))
    job_id = shop.accept()
    shop.work()
    assert shop.get(job_id).state is JobState.QUEUED
    shop.engine.on_step = None
    shop.work()
    record = shop.get(job_id)
    assert (record.state, record.attempt) == (JobState.SUCCEEDED, 2)


def test_a_job_that_fails_every_time_is_parked_with_the_reason_and_no_secrets(shop: Shop) -> None:
    shop.engine.on_step = at("editing", 2, fail(RuntimeError("password=hunter2")))
    job_id = shop.accept()
    for _ in range(3):
        shop.work()
    record = shop.get(job_id)
    assert record.failure is not None
    assert (record.state, record.failure.code) == (JobState.FAILED, "parked")
    assert "RuntimeError" in record.failure.message
    assert "hunter2" not in record.failure.message
    assert not shop.queue.rings


def test_a_job_that_kills_its_workers_is_parked(shop: Shop) -> None:
    job_id = shop.accept()
    shop.queue.rings.clear()
    for _ in range(3):  # a worker that dies says nothing
        assert shop.store.leases.claim(job_id, lease_s=15) is not None
        shop.now += 16
    run_job(job_id, shop.services, shop.engine)
    failure = shop.get(job_id).failure
    assert failure is not None
    assert failure.code == "parked"
    assert "lost 3 times" in failure.message
    assert shop.engine.events == []


def test_a_running_job_is_canceled_within_a_step(shop: Shop) -> None:
    def cancel() -> None:
        shop.jobs.cancel(ANN, job_id)
        until(lambda: shop.store.records.get(ANN, job_id).cancel_requested)
        beats = shop.store.leases.renew
        seen: list[bool] = []
        shop.store.leases.renew = lambda lease: (beats(lease), seen.append(True))[0]  # type: ignore[method-assign]
        until(lambda: len(seen) >= 2)

    shop.engine.on_step = at("inverting", 2, cancel)
    job_id = shop.accept()
    shop.work()
    record = shop.get(job_id)
    assert (record.state, record.failure, record.artifacts) == (JobState.CANCELED, None, {})
    assert shop.published(job_id) == ["outcome.json"]
    assert shop.engine.closed == 1
    assert shop.engine.events[-1] == Progress("inverting", 2, 3)


def test_a_job_canceled_before_it_is_claimed_is_not_worked_on(shop: Shop) -> None:
    job_id = shop.accept()
    shop.jobs.cancel(ANN, job_id)
    shop.work()
    assert shop.get(job_id).state is JobState.CANCELED
    assert shop.engine.events == []


def test_a_wish_to_cancel_outlives_the_worker_that_should_have_heard_it(shop: Shop) -> None:
    job_id = shop.accept()
    shop.store.leases.claim(job_id, lease_s=15)
    shop.jobs.cancel(ANN, job_id)
    shop.now += 16
    shop.work()
    assert shop.get(job_id).state is JobState.CANCELED
    assert shop.engine.events == []


def test_an_attempt_that_lost_its_lease_publishes_nothing(shop: Shop) -> None:
    job_id = shop.accept()

    def pause_past_the_lease() -> None:
        renew, shop.store.leases.renew = shop.store.leases.renew, down(StoreUnavailable("paused"))  # type: ignore[method-assign]
        shop.now += 16
        assert shop.store.leases.claim(job_id, lease_s=15) is not None
        shop.store.leases.renew = renew  # type: ignore[method-assign]

    shop.engine.on_step = at("editing", 3, pause_past_the_lease)
    shop.work()
    record = shop.get(job_id)
    assert (record.state, record.attempt, record.phase) == (JobState.RUNNING, 2, None)
    assert shop.published(job_id) == []
    assert not shop.queue.rings


def test_a_lost_lease_stops_the_engine_at_its_next_step(shop: Shop) -> None:
    job_id = shop.accept()

    def lose() -> None:
        shop.database.empty()

    shop.engine = FakeEngine(steps=50, step_s=0.01, on_step=at("learning", 2, lose))
    shop.work()
    assert shop.engine.closed == 1
    assert len(shop.engine.events) < 50
    assert shop.outcome(job_id) is None


def test_of_two_attempts_that_both_finish_one_outcome_stands(shop: Shop) -> None:
    job_id = shop.accept()

    def another_worker() -> None:
        shop.database.empty()
        shop.now += 1
        shop.jobs.rebuild()
        run_job(job_id, shop.services, FakeEngine())

    for role, name in ((shop.store.leases, "renew"), (shop.store.events, "progress")):  # so neither hears of the other
        setattr(role, name, down(StoreUnavailable("down")))
    shop.engine.on_step = at("editing", 3, another_worker)
    shop.work()
    results = [name for name in shop.published(job_id) if name.startswith("result-")]
    assert len(results) == 2, "each attempt has its own key"
    outcome = shop.outcome(job_id)
    assert outcome is not None
    assert shop.get(job_id).artifacts == outcome.artifacts
    assert shop.artifacts.get(outcome.artifacts["result"]) == shop.engine.result(REQUEST, EditInputs(b"photo", b"mask"))


def test_an_outcome_that_was_written_before_its_worker_died_is_taken_over(shop: Shop) -> None:
    job_id = shop.accept()
    finish = shop.store.records.finish
    shop.store.records.finish = down(StoreUnavailable("down"))  # type: ignore[method-assign]
    hand_back, shop.store.leases.hand_back = shop.store.leases.hand_back, down(StoreUnavailable("down"))  # type: ignore[method-assign]
    shop.work()
    shop.store.records.finish, shop.store.leases.hand_back = finish, hand_back  # type: ignore[method-assign]
    assert shop.get(job_id).state is JobState.RUNNING
    shop.now += 16
    engine = FakeEngine()
    run_job(job_id, shop.services, engine)
    assert shop.get(job_id).state is JobState.SUCCEEDED
    assert engine.events == []


def test_a_stopping_worker_hands_its_job_back_and_that_is_no_attempt(shop: Shop) -> None:
    shop.engine.on_step = at("learning", 2, shop.stop.set)
    job_id = shop.accept()
    shop.work()
    record = shop.get(job_id)
    assert (record.state, record.attempt) == (JobState.QUEUED, 0)
    assert shop.engine.closed == 1
    assert list(shop.queue.rings) == [job_id]
    shop.work()
    assert list(shop.queue.rings) == [job_id], "a worker that stops takes no job"
    assert shop.get(job_id) == record


def test_a_store_that_is_down_while_it_works_does_no_harm(shop: Shop) -> None:
    job_id = shop.accept()
    for role, name in ((shop.store.leases, "renew"), (shop.store.events, "progress")):
        setattr(role, name, down(StoreUnavailable("down")))
    shop.work()
    assert shop.get(job_id).state is JobState.SUCCEEDED


def test_an_object_store_that_is_down_costs_no_attempt(shop: Shop) -> None:
    job_id = shop.accept()
    get = shop.artifacts.get
    shop.artifacts.get = down(ArtifactsUnavailable("down"))  # type: ignore[method-assign]
    shop.work()
    shop.artifacts.get = get  # type: ignore[method-assign]
    record = shop.get(job_id)
    assert (record.state, record.attempt) == (JobState.QUEUED, 0)
    assert not shop.queue.rings, "the reaper rings later: at once would be a busy loop"


def test_an_upload_that_changed_in_the_store_is_not_used(shop: Shop) -> None:
    job_id = shop.accept()
    shop.artifacts.put(f"{ANN.prefix}edits/{job_id}/image.png", b"another photo", media_type="image/png")
    for _ in range(3):
        shop.work()
    failure = shop.get(job_id).failure
    assert failure is not None
    assert "InputDamaged" in failure.message
    assert shop.engine.events == []


def test_an_erased_job_is_let_go_and_nothing_is_written_for_it(shop: Shop) -> None:
    shop.accept()
    shop.artifacts.delete_prefix(ANN.prefix)
    shop.work()
    assert shop.artifacts.objects == {}
    assert shop.store.leases.orphans() == []


def test_a_ring_for_an_unknown_job_or_one_in_other_hands_does_nothing(shop: Shop) -> None:
    job_id = shop.accept()
    shop.store.leases.claim(job_id, lease_s=15)
    before = shop.get(job_id)
    run_job(job_id, shop.services, shop.engine)
    run_job("e_" + "0" * 32, shop.services, shop.engine)
    assert shop.get(job_id) == before
    assert shop.engine.events == []


def test_a_job_store_that_is_down_at_the_claim_is_left_to_the_reaper(shop: Shop) -> None:
    job_id = shop.accept()
    claim, shop.store.leases.claim = shop.store.leases.claim, down(StoreUnavailable("down"))  # type: ignore[method-assign]
    shop.work()
    shop.store.leases.claim = claim  # type: ignore[method-assign]
    assert shop.store.leases.orphans() == [job_id]


def test_a_wish_to_cancel_is_heard_with_the_next_progress(shop: Shop) -> None:
    """Without waiting for a beat of the heart."""
    shop.store.leases.renew = down(StoreUnavailable("down"))  # type: ignore[method-assign]
    job_id = shop.accept()
    shop.engine = FakeEngine(steps=3, on_step=at("inverting", 1, lambda: shop.jobs.cancel(ANN, job_id)))
    shop.work()
    assert shop.get(job_id).state is JobState.CANCELED
    assert shop.engine.events[-1] == Progress("inverting", 1, 3)


def test_a_wish_to_cancel_ends_no_other_job(shop: Shop) -> None:
    running = shop.accept()
    waiting = shop.accept(EditRequest(prompt="a photo of a woman with a hat"))
    shop.engine.on_step = at("editing", 1, lambda: shop.jobs.cancel(ANN, waiting))
    shop.work()
    assert (shop.get(running).state, shop.get(waiting).state) == (JobState.SUCCEEDED, JobState.CANCELED)


def test_a_job_that_runs_past_its_deadline_ends_at_its_next_step(shop: Shop) -> None:
    shop.engine = FakeEngine(steps=500, step_s=0.002)
    job_id = shop.accept(deadline_s=0.05)
    shop.work()
    failure = shop.get(job_id).failure
    assert failure is not None
    assert (failure.code, failure.retryable) == ("deadline_exceeded", True)
    assert shop.engine.closed == 1
    assert len(shop.engine.events) < 500


def test_a_job_with_time_left_is_done(shop: Shop) -> None:
    job_id = shop.accept(deadline_s=3600)
    shop.work()
    assert shop.get(job_id).state is JobState.SUCCEEDED


def test_what_a_success_took_is_measured_by_phase(shop: Shop) -> None:
    shop.engine = FakeEngine(steps=2, step_s=0.01)
    shop.accept()
    shop.work()
    later = shop.accept()
    seconds = shop.store.estimates.outlook(ANN, later).seconds
    assert set(seconds) == {"learning", "inverting", "editing", "finishing", "total"}
    assert seconds["total"] == pytest.approx(sum(seconds.values()) - seconds["total"], abs=0.01)
    assert seconds["learning"] >= 0.02


def test_what_an_edit_used_is_booked_on_its_tenant(shop: Shop) -> None:
    shop.engine = FakeEngine(steps=2, step_s=0.01)
    shop.accept()
    shop.work()
    first = shop.store.usage.spent(ANN.tenant)
    assert first.learnings == 1
    assert 0.06 <= first.worker_s < 10
    shop.accept()
    shop.work()
    second = shop.store.usage.spent(ANN.tenant)
    assert second.learnings == 1
    assert second.worker_s >= first.worker_s + 0.02
    assert shop.store.usage.spent("another") == Spent()


def test_what_was_used_in_vain_is_booked_too(shop: Shop) -> None:
    shop.engine.on_step = at("editing", 2, fail(NumbersNotFinite("no")))
    job_id = shop.accept()
    shop.work()
    assert shop.get(job_id).state is JobState.FAILED
    assert shop.store.usage.spent(ANN.tenant).learnings == 1
    assert shop.store.usage.spent(ANN.tenant).worker_s > 0


def test_a_wish_to_cancel_is_heard_between_two_evaluations_of_one_step(shop: Shop) -> None:
    """A step of null-text optimisation is many evaluations; no progress and no beat of the heart comes between them."""
    evaluations: list[float] = []

    def one_long_step() -> None:
        shop.jobs.cancel(ANN, job_id)
        canceled_at = time.monotonic()
        while time.monotonic() < canceled_at + 20:
            shop.engine.check()
            evaluations.append(time.monotonic() - canceled_at)
            time.sleep(0.01)

    services = replace(shop.services, settings=shop.services.settings.model_copy(update={"heartbeat_interval_s": 60.0}))
    shop.engine.on_step = at("inverting", 2, one_long_step)
    job_id = shop.accept()
    run_job(job_id, services, shop.engine)
    assert shop.get(job_id).state is JobState.CANCELED
    assert shop.engine.closed == 0, "it did not come so far that it had to be closed"
    assert max(evaluations) < 10
