"""The threads that run test-mode jobs beside the live ones."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from s2edit_core.base_model.model_card import ModelCard
from s2edit_jobs.records.errors import ArtifactsUnavailable, ModelFailed
from s2edit_jobs.records.record import JobState, Owner, tenant_of_test_mode
from s2edit_jobs.stores.model_facts import of_test_mode, report_failure, report_loaded
from tests.doubles import FakeEngine
from tests.unit.worker.conftest import ANN, InProcessService
from tests.unit.worker.engines.testmode import (
    TEST,
    accept,
)
from tests.waiting import until
from worker.attempts.runner import run_job
from worker.testmode_runner import MAX_OF_TENANT, ModelessRunner


@pytest.fixture
def runner(service: InProcessService) -> Iterator[ModelessRunner]:
    """A runner that is never notified and polls instead."""
    runner = ModelessRunner(service.services, service.stop, poll_s=0.01)
    yield runner
    service.stop.set()


def test_a_slow_one_shows_how_far_it_is_and_can_be_canceled(service: InProcessService, runner: ModelessRunner) -> None:
    job_id = accept(service, "[test:slow 60]")
    assert runner.step()
    until(lambda: service.jobs.get(TEST, job_id).phase == "editing")
    assert service.jobs.get(TEST, job_id).total == 600
    service.jobs.cancel(TEST, job_id)
    until(lambda: service.jobs.get(TEST, job_id).state is JobState.CANCELED)


def test_slow_ones_hold_up_neither_each_other_nor_the_live(service: InProcessService, runner: ModelessRunner) -> None:
    slow = [accept(service, f"[test:slow 60] {i}") for i in range(MAX_OF_TENANT - 1)]
    quick, live = accept(service), accept(service, owner=ANN)
    runner.start()
    until(lambda: service.jobs.get(TEST, quick).state.over)
    run_job(live, service.services, service.engine)
    assert service.jobs.get(ANN, live).state is JobState.SUCCEEDED
    assert {service.jobs.get(TEST, job_id).state for job_id in slow} == {JobState.RUNNING}


def test_slow_ones_of_a_tenant_hold_up_no_other_tenant(service: InProcessService, runner: ModelessRunner) -> None:
    slow = [accept(service, f"[test:slow 60] {i}") for i in range(MAX_OF_TENANT + 12)]
    other = Owner(tenant_of_test_mode("other"), "bob")

    def running() -> int:
        return sum(service.jobs.get(TEST, job_id).state is JobState.RUNNING for job_id in slow)

    runner.start()
    until(lambda: running() == MAX_OF_TENANT)
    quick = accept(service, owner=other)
    until(lambda: service.jobs.get(other, quick).state.over)
    first = next(job_id for job_id in slow if service.jobs.get(TEST, job_id).state is JobState.RUNNING)
    service.jobs.cancel(TEST, first)
    until(lambda: service.jobs.get(TEST, first).state.over and running() == MAX_OF_TENANT)


def test_a_worker_that_ends_gives_its_jobs_back_uncounted(service: InProcessService, runner: ModelessRunner) -> None:
    job_id = accept(service, "[test:slow 60]")
    assert runner.step()
    until(lambda: service.jobs.get(TEST, job_id).phase == "editing")
    service.stop.set()
    until(lambda: service.jobs.get(TEST, job_id).state is JobState.QUEUED)
    assert service.jobs.get(TEST, job_id).attempt == 0


def test_a_new_job_does_not_wait_for_the_next_look_at_the_queue(service: InProcessService) -> None:
    runner = ModelessRunner(service.services, service.stop, poll_s=60)
    runner.start()
    try:
        until(lambda: service.database.client.pubsub_numsub("s2edit:changes")[0][1] > 0)
        time.sleep(0.1)  # the first look
        job_id = accept(service)
        until(lambda: service.jobs.get(TEST, job_id).state.over)
    finally:
        runner.stop()


def test_a_test_job_rings_for_no_worker(service: InProcessService, runner: ModelessRunner) -> None:
    """With zero workers, nobody would ever take the messages."""
    runner.start()
    owners = [Owner(tenant_of_test_mode("app"), user) for user in ("ann", "ann", "bob")]
    jobs = [(owner, accept(service, owner=owner)) for owner in owners]
    until(lambda: all(service.jobs.get(*job).state.over for job in jobs))
    assert not service.queue.messages


def test_without_any_worker_it_uses_the_words_of_the_model_s_card(service: InProcessService, runner: ModelessRunner) -> None:
    card = ModelCard.read(Path(service.services.settings.model))
    assert runner._engine().facts.subjects == tuple(card.subjects)
    assert runner._engine().facts.width == 128


def test_it_takes_up_what_a_worker_reports_later_and_keeps_it_while_the_store_is_down(
    service: InProcessService, runner: ModelessRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner._engine()
    facts = replace(FakeEngine.facts, subjects=("astronaut",))
    report_loaded(service.artifacts, service.services.settings.model, facts)
    assert runner._engine().facts == of_test_mode(facts)

    def down(_: str) -> bytes:
        raise ArtifactsUnavailable("down")

    with monkeypatch.context() as outage:
        outage.setattr(service.artifacts, "get", down)
        assert runner._engine().facts == of_test_mode(facts)


@pytest.mark.parametrize("damaged", [b"", b"{", b"[]", b"{}", b'{"layers": 3}', b"\xff"])
def test_a_damaged_report_of_the_model_stops_no_test_job(service: InProcessService, runner: ModelessRunner, damaged: bytes) -> None:
    report_loaded(service.artifacts, service.services.settings.model, FakeEngine.facts)
    (key,) = service.artifacts.list("models/")
    service.artifacts.put(key, damaged, media_type="application/json")
    job_id = accept(service)
    runner.start()
    until(lambda: service.jobs.get(TEST, job_id).state.over)
    assert service.jobs.get(TEST, job_id).state is JobState.SUCCEEDED


def test_test_mode_accepts_edits_although_no_worker_can_load_the_model(service: InProcessService) -> None:
    report_failure(service.artifacts, service.services.settings.model, "no weights")
    service.jobs.take_slot(TEST, "e_1")
    with pytest.raises(ModelFailed):
        service.jobs.take_slot(ANN, "e_2")


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
