"""What a worker measures of its attempts."""

from __future__ import annotations

import pytest
from prometheus_client import generate_latest

from s2edit_core.errors import NumbersNotFinite
from s2edit_core.request.spec import EditRequest, Progress
from s2edit_jobs.records.errors import StoreUnavailable
from s2edit_jobs.records.set_aside import set_aside
from tests.doubles import FakeEngine
from tests.unit.worker.conftest import ANN, REQUEST, InProcessService
from tests.unit.worker.engines.testmode import accept as accept_test_job
from tests.unit.worker.engines.testmode import work as work_test_job
from worker.metrics import REGISTRY, phases_measured

CANARY = "canary-user-77"


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


class Change:
    """How much a series has grown since this was made."""

    def __init__(self, name: str, **labels: str) -> None:
        self.read = lambda: value(name, **labels)
        self.before = self.read()

    @property
    def by(self) -> float:
        return self.read() - self.before


def fail_with(error: Exception) -> FakeEngine:
    def step(progress: Progress) -> None:
        if progress.step == 2:  # the first one has taken time
            raise error

    return FakeEngine(on_step=step)


def test_a_success_is_counted_with_its_phases_its_wait_and_its_device_time(service: InProcessService) -> None:
    ended = Change("s2edit_attempts_total", end="succeeded", code="")
    waited = Change("s2edit_queue_wait_seconds_count")
    wait_s = Change("s2edit_queue_wait_seconds_sum")
    used_s = Change("s2edit_device_seconds_total")
    phases = {
        phase: Change("s2edit_phase_duration_seconds_count", phase=phase, preset="balanced")
        for phase in ("learning", "inverting", "editing", "total")
    }
    service.accept(created_at=service.now - 30)
    service.work(FakeEngine(steps=2, step_s=0.02))
    assert (ended.by, waited.by) == (1, 1)
    assert 30 <= wait_s.by < 60
    assert used_s.by >= 0.08
    assert {phase: change.by for phase, change in phases.items()} == {"learning": 1, "inverting": 1, "editing": 1, "total": 0}


@pytest.mark.parametrize(
    ("error", "end", "code"),
    [
        (NumbersNotFinite("overflow"), "failed", "numbers_not_finite"),
        (RuntimeError("a fault of our own"), "handed_back", "attempt_failed"),
        (StoreUnavailable("down"), "handed_back", "service_unavailable"),
    ],
)
def test_an_attempt_that_does_not_succeed_is_counted_by_how_it_ended(
    service: InProcessService, error: Exception, end: str, code: str
) -> None:
    ended, used_s = Change("s2edit_attempts_total", end=end, code=code), Change("s2edit_device_seconds_total")
    service.accept()
    service.work(fail_with(error))
    assert ended.by == 1
    assert used_s.by > 0


def test_interrupted_attempts_are_counted(service: InProcessService) -> None:
    def take_over(progress: Progress) -> None:
        service.now += 60
        service.store.leases.claim(lease_s=60)
        if progress.step == progress.total:
            raise AssertionError("the heartbeat has not noticed")

    stopping, lost = (
        Change("s2edit_attempts_total", end=end, code=code) for end, code in (("handed_back", "stopping"), ("lease_lost", ""))
    )
    service.accept()
    service.work(FakeEngine(on_step=lambda _: service.stop.set()))
    assert stopping.by == 1
    service.stop.clear()
    service.work(FakeEngine(steps=500, step_s=0.01, on_step=take_over))
    assert lost.by == 1


def test_test_jobs_use_no_device_and_have_no_wait_for_one(service: InProcessService) -> None:
    used_s, waited = Change("s2edit_device_seconds_total"), Change("s2edit_queue_wait_seconds_count")
    accept_test_job(service)
    assert work_test_job(service)
    assert (used_s.by, waited.by) == (0, 0)


def test_no_metric_names_a_user_or_quotes_a_request(service: InProcessService) -> None:
    with set_aside("a kind of workers", CANARY):
        raise ValueError(CANARY)
    service.accept(EditRequest(prompt=f"{REQUEST.prompt} {CANARY}"))
    service.work()
    shown = generate_latest(REGISTRY).decode()
    assert 's2edit_set_aside_total{kind="a kind of workers"}' in shown
    for secret in (CANARY, ANN.user + '"', ANN.tenant + '"'):
        assert secret not in shown


def test_the_numbers_that_a_request_chooses_make_no_series() -> None:
    measured = Change("s2edit_phase_duration_seconds_count", phase="editing", preset="balanced")
    for key in ("balanced", "balanced:x2", "balanced:s37", "balanced:x8:s999"):
        phases_measured(key, {"editing": 1.0, "total": 2.0})
    assert measured.by == 4
    assert b'preset="balanced:' not in generate_latest(REGISTRY)


def test_a_key_that_no_release_so_far_makes_is_no_series_of_its_own() -> None:
    unknown = Change("s2edit_phase_duration_seconds_count", phase="editing", preset="unknown")
    for number in range(3):
        phases_measured(f"balanced:q{number}", {"editing": 1.0})
    assert unknown.by == 3
