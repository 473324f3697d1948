"""Erasures at every write of a worker or a request: nothing of the erased data is left, and nothing else is touched."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest

from s2edit_core.request.spec import LearningRequest, MaskRequest
from s2edit_jobs.intake.drafts import draft
from s2edit_jobs.library.erasure import Erasure
from s2edit_jobs.lifecycle.survey import rebuild
from s2edit_jobs.records.errors import (
    AttributeNotFound,
    BeingErased,
    IdentityNotFound,
    JobNotFound,
)
from s2edit_jobs.records.record import JobRequest, JobState
from tests.doubles import FakeEngine
from tests.unit.worker.attempts.erasures import WEBHOOK, Meeting, erase_user, left_of, void
from tests.unit.worker.conftest import ANN, FILES, REQUEST, InProcessService

WRITES = 18
"""Writes of an edit: three checkpoints, its marker, photo, mask, identity, concept, marker, inversion, two times of use,
two results, report, outcome, two entries of the index.
"""
TWO = replace(REQUEST, variants=2)
HAT = LearningRequest(kind="attribute", prompt="a woman with [A] hat")
HAT_WRITES = 10
"""Writes of a learning: three checkpoints, its marker, attribute, concept, report, outcome, two entries of the index."""
PHOTO = {"image": FILES["image"]}
FOUND_WRITES = WRITES + 2
"""Writes of an edit without a mask: first the mask that was found, and its report."""
MASK_WRITES = 5
"""Writes of a mask job: these two, report, outcome, an entry of the index."""
ACCEPT_WRITES = 5
"""Writes of a request: photo, mask, spec, outbox marker, marker."""
WITHOUT_MASK = [*((TWO, number) for number in range(FOUND_WRITES)), *((MaskRequest(), number) for number in range(MASK_WRITES))]


def objects_but_ends(service: InProcessService) -> list[str]:
    """Return the keys of all objects, without the markers of ended tokens, which an erasure leaves for two days."""
    return [key for key in service.artifacts.objects if not key.startswith("ended/")]


def check_ended(service: InProcessService, job_id: str, meeting: Meeting, number: int, *, code: str) -> None:
    """Check that the job has failed and published nothing. Once its outcome is being written, it counts as finished."""
    is_late = any(key.endswith("/outcome.json") for key in meeting.keys[: number + 1])
    record = service.get(job_id)
    if is_late or not meeting.met:
        assert record.state is JobState.SUCCEEDED
        return
    assert record.failure is not None
    assert record.failure.code == code
    assert not record.artifacts


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", range(WRITES))
def test_a_user_erased_at_any_write_of_a_worker_leaves_nothing(service: InProcessService, number: int, after: bool) -> None:
    service.engine = FakeEngine(checkpoint_every=1)
    service.accept(TWO, webhook_url=WEBHOOK)
    meeting = Meeting(service, number, lambda: erase_user(service), after=after)
    service.work()
    assert meeting.met, meeting.keys
    assert left_of(service) == []
    assert objects_but_ends(service) == []


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("request_", "number"), WITHOUT_MASK)
@pytest.mark.parametrize("whole", [False, True], ids=["the edit", "the user"])
def test_nor_of_a_mask_that_was_found(
    service: InProcessService, request_: JobRequest, number: int, after: bool, whole: bool
) -> None:
    service.engine = FakeEngine(checkpoint_every=1)
    spec = draft(service.services, ANN, request_, PHOTO, webhook_url=WEBHOOK)
    service.jobs.accept(spec, PHOTO)

    def erase() -> None:
        erase_user(service) if whole else Erasure(service.services).edit(ANN, spec.id)

    meeting = Meeting(service, number, erase, after=after)
    service.work()
    assert meeting.met, meeting.keys
    assert [key for key in objects_but_ends(service) if whole or spec.id in key] == []
    with pytest.raises(JobNotFound):
        service.get(spec.id)


@pytest.mark.parametrize(("request_", "writes"), [(TWO, FOUND_WRITES), (MaskRequest(), MASK_WRITES)])
def test_there_are_no_more_writes_without_a_mask(service: InProcessService, request_: JobRequest, writes: int) -> None:
    service.engine = FakeEngine(checkpoint_every=1)
    service.jobs.accept(draft(service.services, ANN, request_, PHOTO), PHOTO)
    meeting = Meeting(service, -1, lambda: None, after=False)
    service.work()
    assert len(meeting.keys) == writes, meeting.keys


def test_there_are_no_more_writes_than_are_tried(service: InProcessService) -> None:
    service.engine = FakeEngine(checkpoint_every=1)
    service.accept(TWO, webhook_url=WEBHOOK)
    meeting = Meeting(service, -1, lambda: None, after=False)
    service.work()
    assert len(meeting.keys) == WRITES, meeting.keys


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", range(WRITES))
def test_an_edit_erased_at_any_write_of_its_worker_leaves_nothing_of_itself(
    service: InProcessService, number: int, after: bool
) -> None:
    service.engine = FakeEngine(checkpoint_every=1)
    job_id = service.accept(TWO, webhook_url=WEBHOOK)

    def erase() -> None:
        Erasure(service.services).edit(ANN, job_id)

    meeting = Meeting(service, number, erase, after=after)
    service.work()
    assert meeting.met
    kept = [key for key in service.artifacts.objects if job_id in key]
    assert kept == []
    assert not any("checkpoint-" in key for key in service.artifacts.objects)
    with pytest.raises(JobNotFound):
        service.get(job_id)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", range(3, WRITES))
def test_an_identity_erased_at_any_write_leaves_nothing_of_itself(service: InProcessService, number: int, after: bool) -> None:
    service.engine = FakeEngine(checkpoint_every=1)
    job_id = service.accept(TWO)
    identity = service.engine.plan(service.jobs.spec(ANN, job_id).request, service.inputs).concept_id

    def erase() -> None:
        try:
            Erasure(service.services).identity(ANN, identity)
        except IdentityNotFound:
            meeting.met = False

    meeting = Meeting(service, number, erase, after=after)
    service.work()
    if meeting.met:
        left = [
            key
            for key in service.artifacts.objects
            if "/inversions/" in key or "/used-" in key or key.endswith(("identity.json", "concept.safetensors"))
        ]
        assert left == []
    check_ended(service, job_id, meeting, number, code="identity_unknown")


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", range(HAT_WRITES))
def test_a_user_erased_at_any_write_of_a_learning_leaves_nothing(service: InProcessService, number: int, after: bool) -> None:
    service.engine = FakeEngine(checkpoint_every=1)
    service.accept(HAT, webhook_url=WEBHOOK)
    meeting = Meeting(service, number, lambda: erase_user(service), after=after)
    service.work()
    assert meeting.met, meeting.keys
    assert objects_but_ends(service) == []
    assert left_of(service) == []


def test_a_learning_has_no_more_writes_than_are_tried(service: InProcessService) -> None:
    service.engine = FakeEngine(checkpoint_every=1)
    service.accept(HAT)
    meeting = Meeting(service, -1, lambda: None, after=False)
    service.work()
    assert len(meeting.keys) == HAT_WRITES, meeting.keys


@pytest.mark.parametrize(("number", "after"), [(4, True), (5, False), (5, True), (6, False), (6, True), (7, False), (7, True)])
def test_an_attribute_erased_at_any_write_leaves_nothing_of_itself(service: InProcessService, number: int, after: bool) -> None:
    """The writes from which the attribute exists."""
    service.engine = FakeEngine(checkpoint_every=1)
    job_id = service.accept(HAT)
    attribute = service.engine.plan_learning(HAT, service.inputs)
    meeting = Meeting(service, number, lambda: void(Erasure(service.services).attribute(ANN, attribute)), after=after)
    service.work()
    assert meeting.met
    assert [key for key in service.artifacts.objects if "/concepts/" in key] == []
    check_ended(service, job_id, meeting, number, code="attribute_unknown")
    with pytest.raises(AttributeNotFound):
        Erasure(service.services).attribute(ANN, attribute)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", range(ACCEPT_WRITES))
def test_a_request_that_meets_an_erasure_is_taken_on_whole_or_refused(service: InProcessService, number: int, after: bool) -> None:
    """It never leaves part of a request, nor a job without its photo."""
    meeting = Meeting(service, number, lambda: erase_user(service), after=after)
    try:
        job_id = service.accept(webhook_url=WEBHOOK)
    except BeingErased:
        assert left_of(service) == []
        return
    assert meeting.met
    if job_id in service.database.jobs_of(ANN):
        service.work()
        assert service.get(job_id).state is JobState.SUCCEEDED


@pytest.mark.parametrize("number", range(ACCEPT_WRITES))
def test_a_request_between_the_two_sweeps_is_refused_and_leaves_nothing(service: InProcessService, number: int) -> None:
    erasure = Erasure(service.services)
    begun: list[Any] = []
    Meeting(service, number, lambda: begun.append(erasure.begin(ANN)[0]), after=False)
    with pytest.raises(BeingErased):
        service.accept(webhook_url=WEBHOOK)
    erasure.complete(begun[0])
    assert left_of(service) == []


def test_a_request_has_no_more_writes_than_are_tried(service: InProcessService) -> None:
    meeting = Meeting(service, -1, lambda: None, after=False)
    service.accept(webhook_url=WEBHOOK)
    assert len(meeting.keys) == ACCEPT_WRITES, meeting.keys


def test_a_rebuild_that_meets_an_erasure_brings_nothing_back(service: InProcessService) -> None:
    service.accept()
    service.database.empty()
    add = service.store.records.add

    def erased_meanwhile(record: Any) -> Any:
        erase_user(service)
        return add(record)

    service.store.records.add = erased_meanwhile  # type: ignore[method-assign]
    assert rebuild(service.services) == 0
    assert left_of(service) == []


def test_a_worker_thread_and_an_erasure_at_full_speed_leave_nothing() -> None:
    """The same race with real threads, many times."""
    for turn in range(30):
        service = InProcessService(engine=FakeEngine(checkpoint_every=1))
        service.accept(webhook_url=WEBHOOK)
        worker = threading.Thread(target=service.work)
        worker.start()
        if turn % 3:
            threading.Event().wait(turn * 0.0003)
        erase_user(service)
        worker.join()
        assert left_of(service) == [], turn
