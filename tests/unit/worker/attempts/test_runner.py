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
from s2edit_jobs.records.record import DailyUsage, JobState
from tests.doubles import FakeEngine
from tests.unit.worker.conftest import ANN, REQUEST, InProcessService
from tests.waiting import until
from worker.attempts.runner import run_job
from worker.engines.engine import EditInputs, EditResult

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


def plan_of(service: InProcessService, job_id: str) -> EditPlan:
    spec = service.jobs.spec(ANN, job_id)
    return service.engine.plan(spec.request, EditInputs(b"photo", b"mask"))


def edited(engine: FakeEngine, inputs: EditInputs) -> EditResult:
    """What the engine ends in where no worker is about it."""
    steps = engine.edit(REQUEST, inputs, concept=None, inversion=None)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: EditResult = end.value
            return result


def test_a_job_is_done_and_published(service: InProcessService) -> None:
    job_id = service.accept()
    service.work()
    record = service.get(job_id)
    assert (record.state, record.attempt, record.failure) == (JobState.SUCCEEDED, 1, None)
    assert service.artifacts.get(record.artifacts["result"]) == service.engine.result(REQUEST, EditInputs(b"photo", b"mask"))
    report = json.loads(service.artifacts.get(record.artifacts["report"]))
    assert report["learning_steps"] == 3
    assert report.pop("mask") == {"source": "given"}
    assert report == edited(FakeEngine(), service.inputs).report, "and all that the engine says"
    assert service.artifacts.media_types[record.artifacts["result"]] == "image/png"
    assert record.identity == plan_of(service, job_id).concept_id
    assert not service.queue.messages


def test_what_was_made_is_kept_under_the_plans_names(service: InProcessService) -> None:
    plan = plan_of(service, service.accept())
    service.work()
    assert service.artifacts.exists(f"{CONCEPTS}{plan.concept_id}/concept.safetensors")
    assert service.artifacts.exists(f"{INVERSIONS}{plan.inversion_id}/inversion.safetensors")


def test_what_was_made_is_kept_at_once_and_used_by_the_next_attempt(service: InProcessService) -> None:
    service.engine.on_step = at("inverting", 2, fail(RuntimeError()))
    job_id = service.accept()
    service.work()
    service.engine.on_step = None
    service.work()
    assert service.get(job_id).state is JobState.SUCCEEDED
    assert (service.engine.learned, service.engine.inverted) == (1, 1)


def test_the_second_edit_of_a_photo_learns_nothing(service: InProcessService) -> None:
    service.accept()
    service.work()
    second = service.accept(EditRequest(prompt="a photo of a woman with a hat"))
    service.work()
    report = json.loads(service.artifacts.get(service.get(second).artifacts["report"]))
    assert (report["learning_steps"], report["mask"]) == (0, {"source": "given"})
    assert (service.engine.learned, service.engine.inverted) == (1, 1)


def test_an_identity_serves_an_edit_without_an_upload(service: InProcessService) -> None:
    first = service.accept()
    service.work()
    identity = service.get(first).identity
    assert identity is not None
    assert Library(service.services).identity(ANN, identity).subject == "woman"
    assert Library(service.services).identity(ANN, identity).source_prompt == "a photo of a [I] woman"
    later = service.accept(EditRequest(prompt="a [I] woman, smiling", identity=identity), {})
    service.work()
    assert service.get(later).state is JobState.SUCCEEDED
    assert service.get(later).identity == identity
    assert service.engine.learned == 1


def test_whoever_finds_the_concept_finds_the_identity(service: InProcessService) -> None:
    keys: list[str] = []
    put = service.artifacts.put
    service.artifacts.put = lambda key, data, **kw: (keys.append(key), put(key, data, **kw))[1]  # type: ignore[method-assign]
    service.accept()
    service.work()
    names = [key.rsplit("/")[-1] for key in keys if key.startswith(CONCEPTS) and "/inversions/" not in key]
    assert names == ["image.png", "mask.png", "identity.json", "concept.safetensors"]


@pytest.mark.parametrize(
    ("damaged", "learned", "inverted"), [("inversion", 0, 1), ("concept", 1, 1)], ids=["the inversion", "the concept"]
)
def test_what_is_damaged_is_made_again_once(service: InProcessService, damaged: str, learned: int, inverted: int) -> None:
    plan = plan_of(service, service.accept())
    service.work()
    keys = {
        "concept": f"{CONCEPTS}{plan.concept_id}/concept.safetensors",
        "inversion": f"{INVERSIONS}{plan.inversion_id}/inversion.safetensors",
    }
    whole = service.artifacts.get(keys[damaged])
    service.artifacts.put(keys[damaged], b"rubbish", media_type="x/y")
    engine = FakeEngine()
    again = service.accept()
    service.work(engine)
    assert service.get(again).state is JobState.SUCCEEDED
    assert (engine.learned, engine.inverted) == (learned, inverted)
    assert service.artifacts.get(keys[damaged]) == whole


def test_progress_is_shown_while_it_works(service: InProcessService) -> None:
    seen: list[tuple[str | None, int]] = []

    def look(_: Progress) -> None:
        record = service.get(job_id)
        seen.append((record.phase, record.step))

    service.engine = FakeEngine(steps=40, on_step=look)
    job_id = service.accept()
    service.work()
    phases = list(dict.fromkeys(phase for phase, _ in seen))
    assert phases == [None, "learning", "inverting", "editing"]
    assert ("learning", 40) in seen, "the last step of a phase is always shown"
    assert len(set(seen)) <= 10, "quick steps are not shown one by one"


def test_a_request_that_the_model_refuses_fails_with_its_reason(service: InProcessService) -> None:
    job_id = service.accept(EditRequest(prompt="a photo of a dog"))
    service.work()
    failure = service.get(job_id).failure
    assert failure is not None
    assert (failure.code, failure.field, failure.retryable) == ("subject_unknown", "subject", False)
    assert "no word of the prompt names the person" in failure.message
    assert not service.queue.messages


def test_an_error_of_the_engine_fails_the_job_with_its_code(service: InProcessService) -> None:
    service.engine.on_step = at("editing", 1, fail(NumbersNotFinite("the edit left the numbers")))
    job_id = service.accept()
    service.work()
    failure = service.get(job_id).failure
    assert failure is not None
    assert (failure.code, failure.message, failure.field) == ("numbers_not_finite", "the edit left the numbers", None)


def test_an_unexpected_error_is_tried_again(service: InProcessService) -> None:
    service.engine.on_step = at("editing", 2, fail(RuntimeError("CUDA error")))
    job_id = service.accept()
    service.work()
    assert service.get(job_id).state is JobState.QUEUED
    service.engine.on_step = None
    service.work()
    record = service.get(job_id)
    assert (record.state, record.attempt) == (JobState.SUCCEEDED, 2)


def test_a_job_that_fails_every_time_is_parked_with_the_reason_and_no_secrets(service: InProcessService) -> None:
    service.engine.on_step = at("editing", 2, fail(RuntimeError("password=hunter2")))
    job_id = service.accept()
    for _ in range(3):
        service.work()
    record = service.get(job_id)
    assert record.failure is not None
    assert (record.state, record.failure.code) == (JobState.FAILED, "parked")
    assert "RuntimeError" in record.failure.message
    assert "hunter2" not in record.failure.message
    assert not service.queue.messages


def test_a_job_that_kills_its_workers_is_parked(service: InProcessService) -> None:
    job_id = service.accept()
    service.queue.messages.clear()
    for _ in range(3):  # a worker that dies says nothing
        assert service.store.leases.claim(job_id, lease_s=15) is not None
        service.now += 16
    run_job(job_id, service.services, service.engine)
    failure = service.get(job_id).failure
    assert failure is not None
    assert failure.code == "parked"
    assert "lost 3 times" in failure.message
    assert service.engine.events == []


def test_a_running_job_is_canceled_within_a_step(service: InProcessService) -> None:
    def cancel() -> None:
        service.jobs.cancel(ANN, job_id)
        until(lambda: service.store.records.get(ANN, job_id).cancel_requested)
        beats = service.store.leases.renew
        seen: list[bool] = []
        service.store.leases.renew = lambda lease: (beats(lease), seen.append(True))[0]  # type: ignore[method-assign]
        until(lambda: len(seen) >= 2)

    service.engine.on_step = at("inverting", 2, cancel)
    job_id = service.accept()
    service.work()
    record = service.get(job_id)
    assert (record.state, record.failure, record.artifacts) == (JobState.CANCELED, None, {})
    assert service.published(job_id) == ["outcome.json"]
    assert service.engine.closed == 1
    assert service.engine.events[-1] == Progress("inverting", 2, 3)


def test_a_job_canceled_before_it_is_claimed_is_not_worked_on(service: InProcessService) -> None:
    job_id = service.accept()
    service.jobs.cancel(ANN, job_id)
    service.work()
    assert service.get(job_id).state is JobState.CANCELED
    assert service.engine.events == []


def test_a_wish_to_cancel_outlives_the_worker_that_should_have_heard_it(service: InProcessService) -> None:
    job_id = service.accept()
    service.store.leases.claim(job_id, lease_s=15)
    service.jobs.cancel(ANN, job_id)
    service.now += 16
    service.work()
    assert service.get(job_id).state is JobState.CANCELED
    assert service.engine.events == []


def test_an_attempt_that_lost_its_lease_publishes_nothing(service: InProcessService) -> None:
    job_id = service.accept()

    def pause_past_the_lease() -> None:
        renew, service.store.leases.renew = service.store.leases.renew, down(StoreUnavailable("paused"))  # type: ignore[method-assign]
        service.now += 16
        assert service.store.leases.claim(job_id, lease_s=15) is not None
        service.store.leases.renew = renew  # type: ignore[method-assign]

    service.engine.on_step = at("editing", 3, pause_past_the_lease)
    service.work()
    record = service.get(job_id)
    assert (record.state, record.attempt, record.phase) == (JobState.RUNNING, 2, None)
    assert service.published(job_id) == []
    assert not service.queue.messages


def test_a_lost_lease_stops_the_engine_at_its_next_step(service: InProcessService) -> None:
    job_id = service.accept()

    def lose() -> None:
        service.database.empty()

    service.engine = FakeEngine(steps=50, step_s=0.01, on_step=at("learning", 2, lose))
    service.work()
    assert service.engine.closed == 1
    assert len(service.engine.events) < 50
    assert service.outcome(job_id) is None


def test_of_two_attempts_that_both_finish_one_outcome_stands(service: InProcessService) -> None:
    job_id = service.accept()

    def another_worker() -> None:
        service.database.empty()
        service.now += 1
        service.jobs.rebuild()
        run_job(job_id, service.services, FakeEngine())

    for role, name in ((service.store.leases, "renew"), (service.store.events, "progress")):  # so neither hears of the other
        setattr(role, name, down(StoreUnavailable("down")))
    service.engine.on_step = at("editing", 3, another_worker)
    service.work()
    results = [name for name in service.published(job_id) if name.startswith("result-")]
    assert len(results) == 2, "each attempt has its own key"
    outcome = service.outcome(job_id)
    assert outcome is not None
    assert service.get(job_id).artifacts == outcome.artifacts
    assert service.artifacts.get(outcome.artifacts["result"]) == service.engine.result(REQUEST, EditInputs(b"photo", b"mask"))


def test_an_outcome_that_was_written_before_its_worker_died_is_taken_over(service: InProcessService) -> None:
    job_id = service.accept()
    finish = service.store.records.finish
    service.store.records.finish = down(StoreUnavailable("down"))  # type: ignore[method-assign]
    hand_back, service.store.leases.hand_back = service.store.leases.hand_back, down(StoreUnavailable("down"))  # type: ignore[method-assign]
    service.work()
    service.store.records.finish, service.store.leases.hand_back = finish, hand_back  # type: ignore[method-assign]
    assert service.get(job_id).state is JobState.RUNNING
    service.now += 16
    engine = FakeEngine()
    run_job(job_id, service.services, engine)
    assert service.get(job_id).state is JobState.SUCCEEDED
    assert engine.events == []


def test_a_stopping_worker_hands_its_job_back_and_that_is_no_attempt(service: InProcessService) -> None:
    service.engine.on_step = at("learning", 2, service.stop.set)
    job_id = service.accept()
    service.work()
    record = service.get(job_id)
    assert (record.state, record.attempt) == (JobState.QUEUED, 0)
    assert service.engine.closed == 1
    assert list(service.queue.messages) == [job_id]
    service.work()
    assert list(service.queue.messages) == [job_id], "a worker that stops takes no job"
    assert service.get(job_id) == record


def test_a_store_that_is_down_while_it_works_does_no_harm(service: InProcessService) -> None:
    job_id = service.accept()
    for role, name in ((service.store.leases, "renew"), (service.store.events, "progress")):
        setattr(role, name, down(StoreUnavailable("down")))
    service.work()
    assert service.get(job_id).state is JobState.SUCCEEDED


def test_an_object_store_that_is_down_costs_no_attempt(service: InProcessService) -> None:
    job_id = service.accept()
    get = service.artifacts.get
    service.artifacts.get = down(ArtifactsUnavailable("down"))  # type: ignore[method-assign]
    service.work()
    service.artifacts.get = get  # type: ignore[method-assign]
    record = service.get(job_id)
    assert (record.state, record.attempt) == (JobState.QUEUED, 0)
    assert not service.queue.messages, "the reaper rings later: at once would be a busy loop"


def test_an_upload_that_changed_in_the_store_is_not_used(service: InProcessService) -> None:
    job_id = service.accept()
    service.artifacts.put(f"{ANN.prefix}edits/{job_id}/image.png", b"another photo", media_type="image/png")
    for _ in range(3):
        service.work()
    failure = service.get(job_id).failure
    assert failure is not None
    assert "InputDamaged" in failure.message
    assert service.engine.events == []


def test_an_erased_job_is_let_go_and_nothing_is_written_for_it(service: InProcessService) -> None:
    service.accept()
    service.artifacts.delete_prefix(ANN.prefix)
    service.work()
    assert service.artifacts.objects == {}
    assert service.store.leases.orphans() == []


def test_a_ring_for_an_unknown_job_or_one_in_other_hands_does_nothing(service: InProcessService) -> None:
    job_id = service.accept()
    service.store.leases.claim(job_id, lease_s=15)
    before = service.get(job_id)
    run_job(job_id, service.services, service.engine)
    run_job("e_" + "0" * 32, service.services, service.engine)
    assert service.get(job_id) == before
    assert service.engine.events == []


def test_a_job_store_that_is_down_at_the_claim_is_left_to_the_reaper(service: InProcessService) -> None:
    job_id = service.accept()
    claim, service.store.leases.claim = service.store.leases.claim, down(StoreUnavailable("down"))  # type: ignore[method-assign]
    service.work()
    service.store.leases.claim = claim  # type: ignore[method-assign]
    assert service.store.leases.orphans() == [job_id]


def test_a_wish_to_cancel_is_heard_with_the_next_progress(service: InProcessService) -> None:
    """Without waiting for a beat of the heart."""
    service.store.leases.renew = down(StoreUnavailable("down"))  # type: ignore[method-assign]
    job_id = service.accept()
    service.engine = FakeEngine(steps=3, on_step=at("inverting", 1, lambda: service.jobs.cancel(ANN, job_id)))
    service.work()
    assert service.get(job_id).state is JobState.CANCELED
    assert service.engine.events[-1] == Progress("inverting", 1, 3)


def test_a_wish_to_cancel_ends_no_other_job(service: InProcessService) -> None:
    running = service.accept()
    waiting = service.accept(EditRequest(prompt="a photo of a woman with a hat"))
    service.engine.on_step = at("editing", 1, lambda: service.jobs.cancel(ANN, waiting))
    service.work()
    assert (service.get(running).state, service.get(waiting).state) == (JobState.SUCCEEDED, JobState.CANCELED)


def test_a_job_that_runs_past_its_deadline_ends_at_its_next_step(service: InProcessService) -> None:
    service.engine = FakeEngine(steps=500, step_s=0.002)
    job_id = service.accept(deadline_s=0.05)
    service.work()
    failure = service.get(job_id).failure
    assert failure is not None
    assert (failure.code, failure.retryable) == ("deadline_exceeded", True)
    assert service.engine.closed == 1
    assert len(service.engine.events) < 500


def test_a_job_with_time_left_is_done(service: InProcessService) -> None:
    job_id = service.accept(deadline_s=3600)
    service.work()
    assert service.get(job_id).state is JobState.SUCCEEDED


def test_what_a_success_took_is_measured_by_phase(service: InProcessService) -> None:
    service.engine = FakeEngine(steps=2, step_s=0.01)
    service.accept()
    service.work()
    later = service.accept()
    seconds = service.store.estimates.outlook(ANN, later).seconds
    assert set(seconds) == {"learning", "inverting", "editing", "finishing", "total"}
    assert seconds["total"] == pytest.approx(sum(seconds.values()) - seconds["total"], abs=0.01)
    assert seconds["learning"] >= 0.02


def test_what_an_edit_used_is_booked_on_its_tenant(service: InProcessService) -> None:
    service.engine = FakeEngine(steps=2, step_s=0.01)
    service.accept()
    service.work()
    first = service.store.usage.spent(ANN.tenant)
    assert first.learnings == 1
    assert 0.06 <= first.worker_s < 10
    service.accept()
    service.work()
    second = service.store.usage.spent(ANN.tenant)
    assert second.learnings == 1
    assert second.worker_s >= first.worker_s + 0.02
    assert service.store.usage.spent("another") == DailyUsage()


def test_what_was_used_in_vain_is_booked_too(service: InProcessService) -> None:
    service.engine.on_step = at("editing", 2, fail(NumbersNotFinite("no")))
    job_id = service.accept()
    service.work()
    assert service.get(job_id).state is JobState.FAILED
    assert service.store.usage.spent(ANN.tenant).learnings == 1
    assert service.store.usage.spent(ANN.tenant).worker_s > 0


def test_a_wish_to_cancel_is_heard_between_two_evaluations_of_one_step(service: InProcessService) -> None:
    """A step of null-text optimisation is many evaluations; no progress and no beat of the heart comes between them."""
    evaluations: list[float] = []

    def one_long_step() -> None:
        service.jobs.cancel(ANN, job_id)
        canceled_at = time.monotonic()
        while time.monotonic() < canceled_at + 20:
            service.engine.check()
            evaluations.append(time.monotonic() - canceled_at)
            time.sleep(0.01)

    services = replace(service.services, settings=service.services.settings.model_copy(update={"heartbeat_interval_s": 60.0}))
    service.engine.on_step = at("inverting", 2, one_long_step)
    job_id = service.accept()
    run_job(job_id, services, service.engine)
    assert service.get(job_id).state is JobState.CANCELED
    assert service.engine.closed == 0, "it did not come so far that it had to be closed"
    assert max(evaluations) < 10
