"""A repeated request beside the erasure of its job or user: whatever happens first, the job does not come back."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from s2edit_jobs.bootstrap import Services
from s2edit_jobs.intake.drafts import draft
from s2edit_jobs.library.erasure import FORGOTTEN_S, Erasure
from s2edit_jobs.lifecycle import idempotency
from s2edit_jobs.lifecycle.idempotency import Idempotency, accept_once
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.records.errors import ArtifactsUnavailable, BeingErased, JobErased, JobNotFound, RequestInFlight
from s2edit_jobs.records.record import JobRecord
from s2edit_jobs.stores.artifacts import edit_key
from tests.unit.worker.conftest import ANN, FILES, REQUEST, InProcessService
from worker.housekeeping.reaper import reap

MOST_CALLS = 60
"""More calls of the object store than a request makes."""


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every marker without a job is that of an interrupted request."""
    monkeypatch.setattr(idempotency, "IN_FLIGHT_S", 0.0)


@pytest.fixture(params=[0.0, 60.0], ids=["long after", "at once"])
def _patience(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, _impatient: None) -> None:
    """A marker without a job is that of an interrupted request, or of one that still runs."""
    monkeypatch.setattr(idempotency, "IN_FLIGHT_S", request.param)


@pytest.fixture
def parts() -> InProcessService:
    return InProcessService()


def request(services: Services, key: str = "order") -> JobRecord:
    """Send a request as the API does."""
    jobs = Jobs(services)
    once = Idempotency(jobs, ANN, key, "digest")
    if (earlier := once.earlier(once.check_not_erased())) is not None:
        return earlier
    spec = draft(services, ANN, REQUEST, FILES, key_marker=once.name)

    def again(marker: Any) -> Any:
        return draft(services, ANN, REQUEST, FILES, key_marker=once.name, job_id=marker.job_id, created_at=marker.created_at)

    return accept_once(jobs, spec, FILES, once, draft=again, charge=lambda: None)


class Meeting:
    """The object store of a process. At its call with index `at`, before or after it, `act` is called by another process."""

    def __init__(self, artifacts: Any, at: int, act: Callable[[], None], *, after: bool) -> None:
        self._artifacts, self._at, self._act, self._after = artifacts, at, act, after
        self.calls: list[str] = []

    @property
    def met(self) -> bool:
        return len(self.calls) > self._at

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._artifacts, name)

        def call(*values: Any, **named: Any) -> Any:
            self.calls.append(f"{name} {values[0] if values else ''}")
            now = len(self.calls) - 1 == self._at
            if now and not self._after:
                self._act()
            try:
                return method(*values, **named)
            finally:
                if now and self._after:
                    self._act()

        return call if callable(method) else method


def left(service: InProcessService) -> list[str]:
    """Return what is stored of the user's jobs."""
    objects = [key for key in service.artifacts.objects if key.startswith((f"{ANN.prefix}edits/", f"{ANN.prefix}index/"))]
    pending = [key for key in service.artifacts.objects if key.startswith(("unfinished/", "outbox/"))]
    return objects + pending + service.database.jobs_of(ANN)


def erase_edit(services: Services, job_id: str) -> None:
    Erasure(services).edit(ANN, job_id)


def erase_user(services: Services, _: str = "") -> None:
    erasure = Erasure(services)
    erasure.complete(erasure.begin(ANN)[0])


ERASURES: dict[str, Callable[[Services, str], None]] = {"its edit": erase_edit, "its user": erase_user}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("erasure", ERASURES)
def test_a_slow_request_whose_repetition_was_accepted_and_erased_meanwhile(erasure: str, after: bool) -> None:
    """The first request stops at any of its calls. Its repetition is accepted meanwhile, and erased."""
    gone = 0
    for at in range(MOST_CALLS):
        service = InProcessService()

        def overtake(service: InProcessService = service) -> None:
            ERASURES[erasure](service.services, request(service.services).id)

        meeting = Meeting(service.artifacts, at, overtake, after=after)
        try:
            request(replace(service.services, artifacts=meeting))
        except (JobErased, JobNotFound):
            gone += 1
        except (BeingErased, RequestInFlight) as error:
            raise AssertionError(f"{error!r} at {meeting.calls[at]}") from error
        if not meeting.met:
            break
        reap(service.services)
        assert left(service) == [], meeting.calls
        with pytest.raises(JobErased):
            request(service.services)
    assert gone > 10


@pytest.mark.usefixtures("_patience")
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("erasure", ERASURES)
def test_an_erasure_at_any_moment_of_a_repetition(erasure: str, after: bool) -> None:
    for at in range(MOST_CALLS):
        service = InProcessService()
        first = request(service.services).id
        service.queue.messages.clear()

        def erase(service: InProcessService = service, first: str = first) -> None:
            ERASURES[erasure](service.services, first)

        meeting = Meeting(service.artifacts, at, erase, after=after)
        with suppress(JobErased):
            assert request(replace(service.services, artifacts=meeting)).id == first
        if not meeting.met:
            break
        assert left(service) == [], meeting.calls
        assert not service.queue.messages, meeting.calls
        with pytest.raises(JobErased):
            request(service.services)
    assert at > 2


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_the_erasure_of_a_user_at_any_moment_of_the_erasure_of_an_edit(after: bool) -> None:
    for at in range(MOST_CALLS):
        service = InProcessService()
        first = request(service.services).id
        meeting = Meeting(service.artifacts, at, lambda service=service: erase_user(service.services), after=after)
        with suppress(JobNotFound):
            erase_edit(replace(service.services, artifacts=meeting), first)
        if not meeting.met:
            break
        assert [key for key in service.artifacts.objects if key.startswith("t/")] == [], meeting.calls
        with pytest.raises(JobErased):
            request(service.services)
    assert at > 5


@pytest.mark.usefixtures("_patience")
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("works", [False, True], ids=["queued", "done"])
@pytest.mark.parametrize("erasure", ERASURES)
def test_a_repetition_at_any_moment_of_an_erasure(erasure: str, works: bool, after: bool) -> None:
    """It is answered with the job, as long as that is there, and then with its end. Never is a job begun anew."""
    for at in range(MOST_CALLS):
        service = InProcessService()
        first = request(service.services).id
        if works:
            service.work()
        service.queue.messages.clear()
        answers: list[str] = []

        def repeat(service: InProcessService = service, answers: list[str] = answers) -> None:
            try:
                answers.append(request(service.services).id)
            except (JobErased, BeingErased) as error:
                answers.append(type(error).__name__)

        meeting = Meeting(service.artifacts, at, repeat, after=after)
        ERASURES[erasure](replace(service.services, artifacts=meeting), first)
        if not meeting.met:
            break
        assert answers[0] in (first, "JobErased", "BeingErased"), meeting.calls
        assert left(service) == [], meeting.calls
        assert not service.queue.messages, meeting.calls
        with pytest.raises(JobErased):
            request(service.services)
    assert at > 5


@pytest.mark.parametrize("erasure", ERASURES)
def test_an_erasure_whose_process_dies_at_any_call_is_remembered_or_can_be_repeated(erasure: str) -> None:
    for at in range(MOST_CALLS):
        service = InProcessService()
        first = request(service.services).id
        service.work()

        def die() -> None:
            raise ArtifactsUnavailable("the process ends here")

        meeting = Meeting(service.artifacts, at, die, after=False)
        try:
            ERASURES[erasure](replace(service.services, artifacts=meeting), first)
        except ArtifactsUnavailable:
            pass
        else:
            if not meeting.met:
                break
        with suppress(JobErased, BeingErased):
            assert request(service.services).id == first, "the job is there, or its key is used up"
        assert service.engine.learned == 1
        assert not service.queue.messages, meeting.calls


def test_a_slow_request_does_not_take_away_the_key_of_its_repetition(parts: InProcessService) -> None:
    """It meets the erasure of its user after its repetition was accepted, and before the erasure has read the keys."""
    once = Idempotency(parts.jobs, ANN, "order", "digest")
    first = request(parts.services)
    marker = once.check_not_erased()
    assert marker is not None
    assert marker.job_id == first.id
    once.withdraw(marker)
    erase_user(parts.services)
    with pytest.raises(JobErased):
        request(parts.services)


def test_a_job_of_a_release_that_did_not_store_its_marker(parts: InProcessService) -> None:
    first, other = request(parts.services).id, request(parts.services, "other").id
    for job_id in (first, other):
        spec = replace(parts.jobs.spec(ANN, job_id), key_marker=None)
        parts.artifacts.put(edit_key(ANN, job_id, "spec.json"), spec.to_json(), media_type="application/json")
    erase_edit(parts.services, first)
    with pytest.raises(JobErased):
        request(parts.services)
    assert request(parts.services, "other").id == other


def test_of_a_job_older_than_all_keys_no_marker_is_looked_for(parts: InProcessService, monkeypatch: pytest.MonkeyPatch) -> None:
    first = request(parts.services).id
    spec = replace(parts.jobs.spec(ANN, first), key_marker=None)
    parts.artifacts.put(edit_key(ANN, first, "spec.json"), spec.to_json(), media_type="application/json")
    read: list[str] = []
    get = parts.artifacts.get
    monkeypatch.setattr(parts.artifacts, "get", lambda key: read.append(key) or get(key))
    later = time.time() + parts.services.settings.idempotency_ttl_s + FORGOTTEN_S + 60
    Erasure(parts.services, clock=lambda: later).edit(ANN, first)
    assert not [key for key in read if "/requests/" in key]


def test_a_job_whose_spec_is_damaged(parts: InProcessService) -> None:
    first = request(parts.services).id
    parts.artifacts.put(edit_key(ANN, first, "spec.json"), b"{", media_type="application/json")
    erase_edit(parts.services, first)
    with pytest.raises(JobErased):
        request(parts.services)


def test_the_marker_of_another_job_stays(parts: InProcessService) -> None:
    """The key was forgotten after its time and used again. Then the first job is erased."""
    first = request(parts.services).id
    parts.artifacts.delete_prefix(f"{ANN.prefix}requests/")
    second = request(parts.services).id
    erase_edit(parts.services, first)
    assert request(parts.services).id == second


def test_keys_of_long_ago_are_forgotten_at_the_next_erasure_of_the_user(parts: InProcessService) -> None:
    ttl_s = parts.services.settings.idempotency_ttl_s
    for key, ago_s in (("old", ttl_s + 60), ("young", 60.0)):
        request(parts.services, key)
        erasure = Erasure(parts.services, clock=lambda ago_s=ago_s: time.time() - ago_s)  # type: ignore[misc]
        erasure.complete(erasure.begin(ANN)[0])
    with pytest.raises(JobErased):
        request(parts.services, "young")
    assert request(parts.services, "old")
