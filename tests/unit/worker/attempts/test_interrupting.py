"""Interrupted attempts: cancellation, deadlines, lost leases, stopping workers and stores that are down."""

from __future__ import annotations

import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from s2edit_core.request.spec import EditRequest, Progress
from s2edit_jobs.lifecycle.survey import rebuild
from s2edit_jobs.records.errors import ArtifactsUnavailable, StoreUnavailable
from s2edit_jobs.records.record import JobState
from s2edit_jobs.stores.object_store.layout import LAYOUT
from tests.doubles import FakeEngine
from tests.unit.worker.attempts.faults import at, down
from tests.unit.worker.conftest import ANN, REQUEST, InProcessService
from tests.waiting import until
from worker.attempts.runner import DOWN_WAIT_S, run_job
from worker.engines.engine import EditInputs
from worker.housekeeping.reaper import reap


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
    assert service.published(job_id) == ["cancellation.json", "outcome.json"]
    assert service.engine.closed == 1
    assert service.engine.events[-1] == Progress("inverting", 2, 3)


def test_a_job_canceled_before_it_is_claimed_is_not_worked_on(service: InProcessService) -> None:
    job_id = service.accept()
    service.jobs.cancel(ANN, job_id)
    service.work()
    assert service.get(job_id).state is JobState.CANCELED
    assert service.engine.events == []


def test_a_cancellation_outlives_the_worker_that_should_have_noticed_it(service: InProcessService) -> None:
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
    job_id, keys, put = service.accept(), set[str](), service.artifacts.put
    service.artifacts.put = lambda key, data, **kw: (keys.add(key), put(key, data, **kw))[1]  # type: ignore[method-assign]

    def another_worker() -> None:
        service.database.empty()
        service.now += 1
        rebuild(service.services)
        run_job(job_id, service.services, FakeEngine())

    for role, name in ((service.store.leases, "renew"), (service.store.events, "progress")):  # so neither attempt notices the other
        setattr(role, name, down(StoreUnavailable("down")))
    service.engine.on_step = at("editing", 3, another_worker)
    service.work()
    assert len([key for key in keys if "/result-" in key]) == 2, "each attempt has its own key"
    outcome = service.outcome(job_id)
    assert outcome is not None
    results = [name for name in service.published(job_id) if name.startswith("result-")]
    assert outcome.artifacts["result"].endswith(*results), "the late attempt keeps nothing"
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
    assert not service.queue.messages, "the reaper notifies later; notifying at once would be a busy loop"
    assert service.store.leases.claim(lease_s=15) is None, "housekeepers need no notification of test jobs: they would be as busy"
    service.now += DOWN_WAIT_S
    assert service.store.leases.claim(lease_s=15) is not None


def test_an_erased_job_is_let_go_and_nothing_is_written_for_it(service: InProcessService) -> None:
    service.accept()
    service.artifacts.delete_prefix(ANN.prefix)
    service.work()
    reap(service.services)
    assert [key for key in service.artifacts.objects if key != LAYOUT] == []
    assert service.store.leases.orphans() == []


def test_a_notification_of_an_unknown_or_leased_job_does_nothing(service: InProcessService) -> None:
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


def test_a_cancellation_is_noticed_with_the_next_progress(service: InProcessService) -> None:
    """It does not wait for a heartbeat."""
    service.store.leases.renew = down(StoreUnavailable("down"))  # type: ignore[method-assign]
    job_id = service.accept()
    service.engine = FakeEngine(steps=3, on_step=at("inverting", 1, lambda: service.jobs.cancel(ANN, job_id)))
    service.work()
    assert service.get(job_id).state is JobState.CANCELED
    assert service.engine.events[-1] == Progress("inverting", 1, 3)


def test_a_cancellation_ends_no_other_job(service: InProcessService) -> None:
    running = service.accept()
    waiting = service.accept(EditRequest(prompt="a photo of a woman with a hat"))
    service.engine.on_step = at("editing", 1, lambda: service.jobs.cancel(ANN, waiting))
    service.work()
    assert (service.get(running).state, service.get(waiting).state) == (JobState.SUCCEEDED, JobState.CANCELED)


def test_a_job_that_runs_past_its_deadline_ends_at_its_next_step(
    service: InProcessService, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = SimpleNamespace(time=lambda: time.time() + 61, monotonic=time.monotonic)
    service.engine.on_step = at("inverting", 2, lambda: monkeypatch.setattr("worker.attempts.control.time", later))
    job_id = service.accept(deadline_s=60)
    service.work()
    failure = service.get(job_id).failure
    assert failure is not None
    assert (failure.code, failure.retryable) == ("deadline_exceeded", True)
    assert service.engine.closed == 1
    assert service.engine.events[-1] == Progress("inverting", 2, 3)


def test_a_job_with_time_left_is_done(service: InProcessService) -> None:
    job_id = service.accept(deadline_s=3600)
    service.work()
    assert service.get(job_id).state is JobState.SUCCEEDED


def test_a_cancellation_is_noticed_between_two_evaluations_of_one_step(service: InProcessService) -> None:
    """One step of null-text optimisation needs many evaluations, without progress updates or heartbeats between them."""
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
    assert service.engine.closed == 0, "the generator ended by itself"
    assert max(evaluations) < 10
