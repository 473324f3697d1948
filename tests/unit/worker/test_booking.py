"""What an attempt used is booked on its tenant, however the attempt ends, and once."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from s2edit_core.errors import NumbersNotFinite
from s2edit_jobs.intake.budgets import check_day
from s2edit_jobs.library.erasure import Erasure
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.records.errors import LearningsSpent, QuotaSpent, StoreUnavailable
from s2edit_jobs.records.files import Upload
from s2edit_jobs.records.record import DailyUsage, JobState
from tests.doubles import FakeEngine
from tests.unit.worker.attempts.faults import at, down, fail
from tests.unit.worker.conftest import ANN, FILES, InProcessService


def limit(service: InProcessService, **budgets: float) -> None:
    settings = service.services.settings.model_copy(update=budgets)
    service.services = replace(service.services, settings=settings)
    service.jobs = Jobs(service.services)


def spent(service: InProcessService) -> DailyUsage:
    return service.store.usage.spent(ANN.tenant)


def accept_another_person(service: InProcessService, number: int) -> str:
    check_day(service.services, ANN, learns=lambda: True)
    return service.accept(files={**FILES, "image": Upload(b"photo %d" % number, "image/png")})


def test_what_an_edit_used_is_booked_on_its_tenant(service: InProcessService) -> None:
    service.engine = FakeEngine(steps=2, step_s=0.01)
    service.accept()
    service.work()
    first = spent(service)
    assert first.learnings == 1
    assert 0.06 <= first.worker_s < 10
    service.accept()
    service.work()
    second = spent(service)
    assert second.learnings == 1
    assert second.worker_s >= first.worker_s + 0.02
    assert service.store.usage.spent("another") == DailyUsage()


def test_waits_for_the_passes_of_others_are_booked_on_nobody(service: InProcessService, monkeypatch: pytest.MonkeyPatch) -> None:
    service.engine = FakeEngine(steps=2, step_s=0.05)
    monkeypatch.setattr(service.engine, "companions_s", lambda: 0.25)
    service.accept()
    began = time.monotonic()
    service.work()
    assert 0.3 - 0.25 <= spent(service).worker_s <= time.monotonic() - began - 0.25


def test_what_was_used_in_vain_is_booked_too(service: InProcessService) -> None:
    service.engine.on_step = at("editing", 2, fail(NumbersNotFinite("no")))
    job_id = service.accept()
    service.work()
    assert service.get(job_id).state is JobState.FAILED
    assert spent(service).learnings == 1
    assert spent(service).worker_s > 0


def test_an_edit_that_is_erased_once_the_person_is_learned_counts(service: InProcessService) -> None:
    limit(service, tenant_learnings_per_day=2)
    jobs = []
    service.engine.on_step = at("editing", 1, lambda: Erasure(service.services).edit(ANN, jobs[-1]))
    for number in range(2):
        jobs.append(accept_another_person(service, number))
        service.work()
    assert (service.engine.learned, spent(service).learnings) == (2, 2)
    with pytest.raises(LearningsSpent):
        accept_another_person(service, 2)


def test_the_time_of_an_erased_edit_counts(service: InProcessService) -> None:
    limit(service, tenant_gpu_s_per_day=0.05)
    service.engine = FakeEngine(steps=2, step_s=0.03)
    job_id = accept_another_person(service, 0)
    service.engine.on_step = at("editing", 1, lambda: Erasure(service.services).edit(ANN, job_id))
    service.work()
    with pytest.raises(QuotaSpent):
        accept_another_person(service, 1)


def test_an_edit_that_is_erased_while_it_learns_counts(service: InProcessService) -> None:
    job_id = service.accept()
    service.engine.on_step = at("learning", 2, lambda: Erasure(service.services).edit(ANN, job_id))
    service.work()
    assert spent(service).learnings == 1


@pytest.mark.parametrize("phase", ["learning", "editing"])
def test_attempts_that_are_handed_back_count_and_their_learning_once(service: InProcessService, phase: str) -> None:
    limit(service, tenant_learnings_per_day=1)
    service.engine = FakeEngine(steps=2, step_s=0.02)
    service.engine.on_step = at(phase, 2, service.stop.set)
    job_id = accept_another_person(service, 0)
    service.work()
    first = spent(service)
    assert (first.learnings, first.worker_s > 0.02) == (1, True)
    service.stop.clear()
    service.engine.on_step = None
    service.work()
    assert service.get(job_id).state is JobState.SUCCEEDED, "its own learning does not use up the budget of a later attempt"
    assert spent(service).learnings == 1
    assert spent(service).worker_s >= first.worker_s + 0.02


def test_a_learning_counts_when_it_begins(service: InProcessService) -> None:
    seen: list[int] = []
    service.engine.on_step = at("learning", 2, lambda: seen.append(spent(service).learnings))
    service.accept()
    service.work()
    assert seen == [1], "so it counts although its worker may be killed"


def test_an_end_that_is_repeated_is_booked_once(service: InProcessService, monkeypatch: pytest.MonkeyPatch) -> None:
    """The outcome is written, and the attempt ends before the job store knows of it."""
    job_id = service.accept()
    with monkeypatch.context() as patched:
        patched.setattr(service.store.records, "finish", down(StoreUnavailable("down")))
        service.work()
    booked = spent(service)
    assert (service.get(job_id).state, booked.learnings) == (JobState.QUEUED, 1)
    service.work()
    assert service.get(job_id).state is JobState.SUCCEEDED
    assert spent(service) == booked
