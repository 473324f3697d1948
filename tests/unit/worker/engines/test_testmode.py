"""Jobs of test mode: the same attempts as live jobs, with the outcome that the prompt asks for."""

from __future__ import annotations

import json
import time

import pytest

from s2edit_core.request.spec import LearningRequest
from s2edit_jobs.intake.drafts import draft
from s2edit_jobs.library.concepts import Library
from s2edit_jobs.lifecycle.jobs import DEADLINE
from s2edit_jobs.records.record import DailyUsage, JobState
from s2edit_jobs.records.testmode import FAILURES
from s2edit_jobs.stores.artifacts import concept_key
from tests.unit.worker.conftest import ANN, InProcessService
from tests.unit.worker.engines.testmode import (
    FILES,
    TEST,
    accept,
    edited,
    report_of,
    work,
)
from worker.attempts.runner import PARKED, run_job


def test_a_job_of_test_mode_is_done_and_published_like_any_other(service: InProcessService) -> None:
    job_id = accept(service)
    assert json.loads(service.artifacts.get(f"{TEST.prefix}edits/{job_id}/spec.json"))["test"] is True
    assert work(service)
    record = service.jobs.get(TEST, job_id)
    assert (record.state, record.attempt) == (JobState.SUCCEEDED, 1)
    assert service.artifacts.get(record.artifacts["result"]) == edited()[0].picture
    assert report_of(service, job_id)["test"] is True
    assert Library(service.services).identity(TEST, record.identity or "").subject == "woman"
    assert service.artifacts.exists(concept_key(TEST, record.identity or "", "concept.safetensors"))
    assert service.store.usage.spent(TEST.tenant) == service.store.usage.spent(ANN.tenant) == DailyUsage()
    assert service.store.estimates.prospect(ANN, "balanced").seconds == {}


def test_the_live_engine_is_never_asked(service: InProcessService) -> None:
    job_id = accept(service)
    run_job(job_id, service.services, service.engine)
    assert service.engine.events == []
    assert service.jobs.get(TEST, job_id).state is JobState.QUEUED


@pytest.mark.parametrize("code", sorted(set(FAILURES) - {PARKED, DEADLINE}))
def test_it_fails_as_it_was_asked_to(service: InProcessService, code: str) -> None:
    job_id = accept(service, f"[test:failed {code}]")
    assert work(service)
    failure = service.jobs.get(TEST, job_id).failure
    assert failure is not None
    assert failure.code == code


def test_it_is_parked_after_as_many_attempts_as_any_other(service: InProcessService) -> None:
    job_id = accept(service, "[test:failed parked]")
    assert [work(service) for _ in range(4)] == [True, True, True, False]
    record = service.jobs.get(TEST, job_id)
    assert (record.failure.code if record.failure else None, record.attempt) == (PARKED, 3)


def test_its_deadline_passes_as_it_was_asked_to(service: InProcessService) -> None:
    reaped, worked = (accept(service, "[test:failed deadline_exceeded]", deadline_s=600) for _ in range(2))
    assert work(service)
    service.now = time.time() + 0.01
    assert service.jobs.end_overdue() == 1
    for job_id in (reaped, worked):
        failure = service.jobs.get(TEST, job_id).failure
        assert failure is not None
        assert (failure.code, failure.retryable) == (DEADLINE, True)


def test_a_learning_fails_as_it_was_asked_to_and_leaves_nothing(service: InProcessService) -> None:
    request = LearningRequest(kind="identity", prompt="a woman [test:failed numbers_not_finite]")
    job_id = service.jobs.accept(draft(service.services, TEST, request, FILES), FILES).id
    assert work(service)
    failure = service.jobs.get(TEST, job_id).failure
    assert failure is not None
    assert failure.code == "numbers_not_finite"
    assert list(service.artifacts.list(f"{TEST.prefix}concepts/")) == []


def test_under_a_live_key_the_words_are_words_like_others(service: InProcessService) -> None:
    job_id = accept(service, "[test:failed parked] [test:refused] [test:sloow]", owner=ANN)
    service.work()
    assert service.get(job_id).state is JobState.SUCCEEDED


def test_a_slow_one_takes_the_time_that_was_asked_for(service: InProcessService) -> None:
    began, job_id = time.monotonic(), accept(service, "[test:slow 0.3]")
    assert work(service)
    assert 0.3 <= time.monotonic() - began < 30
    assert report_of(service, job_id)["seconds"]["editing"] == 0.3
