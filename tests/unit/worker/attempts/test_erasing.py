"""An erasure meets a worker, at every point where they can meet: nothing of the erased is left, and nothing else is touched."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from s2edit_core.request.spec import EditRequest, LearningRequest, MaskRequest
from s2edit_jobs.intake.drafts import draft
from s2edit_jobs.jobs.idempotency import Idempotency, accept_once
from s2edit_jobs.library.erasure import TAKEOVER_S, Erasure
from s2edit_jobs.records.errors import (
    ArtifactMissing,
    AttributeNotFound,
    BeingErased,
    IdentityNotFound,
    JobNotFound,
    StoreUnavailable,
)
from s2edit_jobs.records.files import Upload
from s2edit_jobs.records.record import JobRequest, JobState, Owner
from s2edit_jobs.stores.markers import erasing_key
from tests.doubles import FakeEngine
from tests.unit.worker.conftest import ANN, FILES, REQUEST, InProcessService
from worker.housekeeping.reaper import reap

BOB = Owner("app", "bob")
WEBHOOK = "https://app.example.com/hook"


def erase_user(service: InProcessService, owner: Owner = ANN) -> None:
    erasure = Erasure(service.services)
    erasure.complete(erasure.begin(owner)[0])


def left_of(service: InProcessService, owner: Owner = ANN) -> list[str]:
    """Every object and record that tells of the owner."""
    objects = [key for key, data in service.artifacts.objects.items() if owner.prefix in key or owner.prefix.encode() in data]
    return objects + service.database.jobs_of(owner)


def void(_: object) -> None:
    return


class Meeting:
    """Calls `act` once, before or after the `number`-th write of a worker."""

    def __init__(self, service: InProcessService, number: int, act: Callable[[], None], *, after: bool) -> None:
        self.keys: list[str] = []
        self._put = service.artifacts.put
        self._number, self._act, self._after = number, act, after
        service.artifacts.put = self  # type: ignore[method-assign]
        self.met = False

    def __call__(self, key: str, data: bytes, **options: Any) -> None:
        if key.startswith("erasing/"):
            self._put(key, data, **options)
            return
        self.keys.append(key)
        now = len(self.keys) - 1 == self._number
        if now and not self._after:
            self._meet()
        try:
            self._put(key, data, **options)
        finally:
            if now and self._after:
                self._meet()

    def _meet(self) -> None:
        self.met = True
        self._act()


WRITES = 13
"""What a job has: photo, mask, identity, three checkpoints, concept, note, inversion, two results, report, outcome."""
TWO = replace(REQUEST, variants=2)
HAT = LearningRequest(kind="attribute", prompt="a woman with [A] hat")
HAT_WRITES = 7
"""Of a learning: three checkpoints, attribute, concept, report, outcome."""
PHOTO = {"image": FILES["image"]}
FOUND_WRITES = WRITES + 2
"""Of a job that came without a mask: first the one that was found, and the note of it."""
MASK_WRITES = 4
"""Of the search for a mask: these two, report, outcome."""
WITHOUT_MASK = [*((TWO, number) for number in range(FOUND_WRITES)), *((MaskRequest(), number) for number in range(MASK_WRITES))]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", range(WRITES))
def test_a_user_erased_at_any_write_of_a_worker_leaves_nothing(service: InProcessService, number: int, after: bool) -> None:
    service.engine = FakeEngine(checkpoint_every=1)
    service.accept(TWO, webhook_url=WEBHOOK)
    meeting = Meeting(service, number, lambda: erase_user(service), after=after)
    service.work()
    assert meeting.met, meeting.keys
    assert left_of(service) == []
    assert list(service.artifacts.objects) == []


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
    assert [key for key in service.artifacts.objects if whole or spec.id in key] == []
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
            if "/inversions/" in key or key.endswith(("identity.json", "concept.safetensors"))
        ]
        assert left == []
    assert service.get(job_id).state is JobState.SUCCEEDED


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", range(HAT_WRITES))
def test_a_user_erased_at_any_write_of_a_learning_leaves_nothing(service: InProcessService, number: int, after: bool) -> None:
    service.engine = FakeEngine(checkpoint_every=1)
    service.accept(HAT, webhook_url=WEBHOOK)
    meeting = Meeting(service, number, lambda: erase_user(service), after=after)
    service.work()
    assert meeting.met, meeting.keys
    assert list(service.artifacts.objects) == []
    assert left_of(service) == []


def test_a_learning_has_no_more_writes_than_are_tried(service: InProcessService) -> None:
    service.engine = FakeEngine(checkpoint_every=1)
    service.accept(HAT)
    meeting = Meeting(service, -1, lambda: None, after=False)
    service.work()
    assert len(meeting.keys) == HAT_WRITES, meeting.keys


@pytest.mark.parametrize(("number", "after"), [(3, True), (4, False), (4, True), (5, False), (5, True), (6, False), (6, True)])
def test_an_attribute_erased_at_any_write_leaves_nothing_of_itself(service: InProcessService, number: int, after: bool) -> None:
    """From the moment that there is one."""
    service.engine = FakeEngine(checkpoint_every=1)
    job_id = service.accept(HAT)
    attribute = service.engine.plan_learning(HAT, service.inputs)
    meeting = Meeting(service, number, lambda: void(Erasure(service.services).attribute(ANN, attribute)), after=after)
    service.work()
    assert meeting.met
    assert [key for key in service.artifacts.objects if "/concepts/" in key] == []
    assert service.get(job_id).state is JobState.SUCCEEDED
    with pytest.raises(AttributeNotFound):
        Erasure(service.services).attribute(ANN, attribute)


def test_an_erased_user_has_no_place_in_the_queue(service: InProcessService) -> None:
    service.jobs.take_slot(ANN, "e_1")
    service.jobs.take_slot(BOB, "e_2")
    erase_user(service)
    load = service.store.admission.take_slot(ANN, "e_3", of_owner=9, in_all=9)
    assert (load.of_owner, load.in_all) == (0, 1)


def test_a_key_that_came_while_its_user_was_erased_leaves_no_note(service: InProcessService) -> None:
    spec = draft(service.services, ANN, REQUEST, FILES)
    erasure = Erasure(service.services)
    with pytest.raises(BeingErased):
        accept_once(
            service.jobs,
            spec,
            FILES,
            Idempotency(service.jobs, ANN, "key", "digest"),
            draft=lambda _: spec,
            charge=lambda: void(erasure.begin(ANN)),
        )
    assert left_of(service) == []


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", range(4))
def test_a_request_that_meets_an_erasure_is_taken_on_whole_or_refused(service: InProcessService, number: int, after: bool) -> None:
    """It never leaves a part of itself, nor a job without its photo."""
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


@pytest.mark.parametrize("number", range(4))
def test_a_request_between_the_two_sweeps_is_refused_and_leaves_nothing(service: InProcessService, number: int) -> None:
    erasure = Erasure(service.services)
    begun: list[Any] = []
    Meeting(service, number, lambda: begun.append(erasure.begin(ANN)[0]), after=False)
    with pytest.raises(BeingErased):
        service.accept(webhook_url=WEBHOOK)
    erasure.complete(begun[0])
    assert left_of(service) == []


def test_while_a_user_is_erased_nothing_new_is_taken_on_of_that_user_alone(service: InProcessService) -> None:
    erasure = Erasure(service.services)
    begun, _ = erasure.begin(ANN)
    with pytest.raises(BeingErased):
        service.jobs.take_slot(ANN, "e_1")
    service.jobs.take_slot(BOB, "e_2")
    erasure.complete(begun)
    service.jobs.take_slot(ANN, "e_1")


def test_the_user_comes_back_as_new(service: InProcessService) -> None:
    service.accept()
    service.work()
    erase_user(service)
    again = service.accept()
    service.work()
    assert service.get(again).state is JobState.SUCCEEDED
    assert service.engine.learned == 2, "nothing of the former life is used"


def test_others_keep_what_they_have(service: InProcessService) -> None:
    spec = draft(service.services, BOB, REQUEST, FILES, webhook_url=WEBHOOK)
    service.jobs.accept(spec, FILES)
    before = dict(service.artifacts.objects)
    service.accept(webhook_url=WEBHOOK)
    erase_user(service)
    assert service.artifacts.objects == before
    assert service.jobs.get(BOB, spec.id).state is JobState.QUEUED


def test_what_was_erased_is_counted_once(service: InProcessService) -> None:
    for prompt in ("a photo of a woman with a hat", "a photo of a smiling woman"):
        service.accept(EditRequest(prompt=prompt))
        service.work()
    there = len(service.artifacts.objects)
    erasure = Erasure(service.services)
    erased = erasure.complete(erasure.begin(ANN)[0])
    assert (erased.objects, erased.edits, erased.identities, erased.disk_rewritten) == (there, 2, 1, True)
    nothing = erasure.complete(erasure.begin(ANN)[0])
    assert (nothing.objects, nothing.edits) == (0, 0)


def test_only_where_a_worker_is_at_it_the_second_sweep_waits(service: InProcessService) -> None:
    service.accept()
    assert Erasure(service.services).begin(ANN)[1] == 0
    waits: list[float] = []
    service.engine.on_step = lambda _: waits.append(Erasure(service.services).begin(BOB)[1])
    service.jobs.accept(draft(service.services, BOB, REQUEST, FILES), FILES)
    service.work() if len(service.queue.messages) == 1 else (service.queue.messages.popleft(), service.work())
    assert waits[0] == service.services.settings.lease_s


def test_what_a_worker_writes_that_then_dies_is_found_by_the_second_sweep(service: InProcessService) -> None:
    erasure = Erasure(service.services)
    job_id = service.accept()
    begun, _ = erasure.begin(ANN)
    service.artifacts.put(f"{ANN.prefix}edits/{job_id}/result-1.png", b"late", media_type="image/png")
    erasure.complete(begun)
    assert left_of(service) == []


def test_an_erasure_whose_process_died_is_completed_by_the_reaper(service: InProcessService) -> None:
    service.accept()
    began: list[float] = [1000.0]
    Erasure(service.services, clock=lambda: began[0]).begin(ANN)
    service.artifacts.put(f"{ANN.prefix}edits/e_late/result-1.png", b"late", media_type="image/png")
    erasure = Erasure(service.services, clock=lambda: 1000.0 + TAKEOVER_S)
    assert erasure.resume() == 0, "its own process may still be at it"
    reap(service.services)
    assert left_of(service) == []
    assert not service.artifacts.exists(erasing_key(ANN))


def test_an_erasure_while_the_job_store_is_down_is_completed_when_it_is_back(
    service: InProcessService, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.accept()

    def down(_: Owner) -> int:
        raise StoreUnavailable("down")

    with monkeypatch.context() as patch:
        patch.setattr(service.store.maintenance, "erase_owner", down)
        with pytest.raises(StoreUnavailable):
            Erasure(service.services, clock=lambda: 1000.0).begin(ANN)
        with pytest.raises(BeingErased):
            service.jobs.take_slot(ANN, "e_1")
    reap(service.services)
    assert left_of(service) == []
    service.jobs.take_slot(ANN, "e_1")


def test_a_rebuild_that_meets_an_erasure_brings_nothing_back(service: InProcessService) -> None:
    service.accept()
    service.database.empty()
    add = service.store.records.add

    def erased_meanwhile(record: Any) -> Any:
        erase_user(service)
        return add(record)

    service.store.records.add = erased_meanwhile  # type: ignore[method-assign]
    assert service.jobs.rebuild() == 0
    assert left_of(service) == []


def test_a_waiting_edit_whose_identity_was_erased_fails_and_says_why(service: InProcessService) -> None:
    first = service.accept()
    service.work()
    identity = service.get(first).identity
    assert identity is not None
    waiting = service.accept(EditRequest(prompt="a [I] woman, smiling", identity=identity), {})
    objects = Erasure(service.services).identity(ANN, identity)
    assert objects == 6  # photo, mask, identity, concept, note, inversion
    service.work()
    failure = service.get(waiting).failure
    assert failure is not None
    assert (failure.code, failure.field, failure.retryable) == ("identity_unknown", "identity", False)
    assert service.get(first).state is JobState.SUCCEEDED


def test_foreign_things_are_not_erased(service: InProcessService) -> None:
    job_id = service.accept()
    service.work()
    identity = service.get(job_id).identity or ""
    before = dict(service.artifacts.objects)
    erasure = Erasure(service.services)
    with pytest.raises(JobNotFound):
        erasure.edit(BOB, job_id)
    with pytest.raises(IdentityNotFound):
        erasure.identity(BOB, identity)
    assert service.artifacts.objects == before


def test_a_worker_thread_and_an_erasure_at_full_speed_leave_nothing() -> None:
    """The same without chosen points: threads, many times."""
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


def test_the_photo_of_an_erased_edit_can_not_be_read(service: InProcessService) -> None:
    job_id = service.accept(files={"image": Upload(b"canary", "image/png"), "mask": FILES["mask"]})
    key = service.jobs.spec(ANN, job_id).inputs["image"].key
    Erasure(service.services).edit(ANN, job_id)
    with pytest.raises(ArtifactMissing):
        service.artifacts.get(key)
