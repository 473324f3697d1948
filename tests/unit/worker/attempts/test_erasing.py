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
from s2edit_jobs.library.erasure import LEFT_S, Erasure
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
from tests.unit.worker.conftest import ANN, FILES, REQUEST, Shop
from worker.housekeeping.reaper import reap

BOB = Owner("app", "bob")
WEBHOOK = "https://app.example.com/hook"


def erase_user(shop: Shop, owner: Owner = ANN) -> None:
    erasure = Erasure(shop.services)
    erasure.complete(erasure.begin(owner)[0])


def left_of(shop: Shop, owner: Owner = ANN) -> list[str]:
    """Every object and record that tells of the owner."""
    objects = [key for key, data in shop.artifacts.objects.items() if owner.prefix in key or owner.prefix.encode() in data]
    return objects + shop.database.jobs_of(owner)


def void(_: object) -> None:
    return


class Meeting:
    """Calls `act` once, before or after the `number`-th write of a worker."""

    def __init__(self, shop: Shop, number: int, act: Callable[[], None], *, after: bool) -> None:
        self.keys: list[str] = []
        self._put = shop.artifacts.put
        self._number, self._act, self._after = number, act, after
        shop.artifacts.put = self  # type: ignore[method-assign]
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
def test_a_user_erased_at_any_write_of_a_worker_leaves_nothing(shop: Shop, number: int, after: bool) -> None:
    shop.engine = FakeEngine(checkpoint_every=1)
    shop.accept(TWO, webhook_url=WEBHOOK)
    meeting = Meeting(shop, number, lambda: erase_user(shop), after=after)
    shop.work()
    assert meeting.met, meeting.keys
    assert left_of(shop) == []
    assert list(shop.artifacts.objects) == []


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("request_", "number"), WITHOUT_MASK)
@pytest.mark.parametrize("whole", [False, True], ids=["the edit", "the user"])
def test_nor_of_a_mask_that_was_found(shop: Shop, request_: JobRequest, number: int, after: bool, whole: bool) -> None:
    shop.engine = FakeEngine(checkpoint_every=1)
    spec = draft(shop.services, ANN, request_, PHOTO, webhook_url=WEBHOOK)
    shop.jobs.accept(spec, PHOTO)

    def erase() -> None:
        erase_user(shop) if whole else Erasure(shop.services).edit(ANN, spec.id)

    meeting = Meeting(shop, number, erase, after=after)
    shop.work()
    assert meeting.met, meeting.keys
    assert [key for key in shop.artifacts.objects if whole or spec.id in key] == []
    with pytest.raises(JobNotFound):
        shop.get(spec.id)


@pytest.mark.parametrize(("request_", "writes"), [(TWO, FOUND_WRITES), (MaskRequest(), MASK_WRITES)])
def test_there_are_no_more_writes_without_a_mask(shop: Shop, request_: JobRequest, writes: int) -> None:
    shop.engine = FakeEngine(checkpoint_every=1)
    shop.jobs.accept(draft(shop.services, ANN, request_, PHOTO), PHOTO)
    meeting = Meeting(shop, -1, lambda: None, after=False)
    shop.work()
    assert len(meeting.keys) == writes, meeting.keys


def test_there_are_no_more_writes_than_are_tried(shop: Shop) -> None:
    shop.engine = FakeEngine(checkpoint_every=1)
    shop.accept(TWO, webhook_url=WEBHOOK)
    meeting = Meeting(shop, -1, lambda: None, after=False)
    shop.work()
    assert len(meeting.keys) == WRITES, meeting.keys


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", range(WRITES))
def test_an_edit_erased_at_any_write_of_its_worker_leaves_nothing_of_itself(shop: Shop, number: int, after: bool) -> None:
    shop.engine = FakeEngine(checkpoint_every=1)
    job_id = shop.accept(TWO, webhook_url=WEBHOOK)

    def erase() -> None:
        Erasure(shop.services).edit(ANN, job_id)

    meeting = Meeting(shop, number, erase, after=after)
    shop.work()
    assert meeting.met
    kept = [key for key in shop.artifacts.objects if job_id in key]
    assert kept == []
    assert not any("checkpoint-" in key for key in shop.artifacts.objects)
    with pytest.raises(JobNotFound):
        shop.get(job_id)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", range(3, WRITES))
def test_an_identity_erased_at_any_write_leaves_nothing_of_itself(shop: Shop, number: int, after: bool) -> None:
    shop.engine = FakeEngine(checkpoint_every=1)
    job_id = shop.accept(TWO)
    identity = shop.engine.plan(shop.jobs.spec(ANN, job_id).request, shop.inputs).concept_id

    def erase() -> None:
        try:
            Erasure(shop.services).identity(ANN, identity)
        except IdentityNotFound:
            meeting.met = False

    meeting = Meeting(shop, number, erase, after=after)
    shop.work()
    if meeting.met:
        left = [
            key for key in shop.artifacts.objects if "/inversions/" in key or key.endswith(("identity.json", "concept.safetensors"))
        ]
        assert left == []
    assert shop.get(job_id).state is JobState.SUCCEEDED


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", range(HAT_WRITES))
def test_a_user_erased_at_any_write_of_a_learning_leaves_nothing(shop: Shop, number: int, after: bool) -> None:
    shop.engine = FakeEngine(checkpoint_every=1)
    shop.accept(HAT, webhook_url=WEBHOOK)
    meeting = Meeting(shop, number, lambda: erase_user(shop), after=after)
    shop.work()
    assert meeting.met, meeting.keys
    assert list(shop.artifacts.objects) == []
    assert left_of(shop) == []


def test_a_learning_has_no_more_writes_than_are_tried(shop: Shop) -> None:
    shop.engine = FakeEngine(checkpoint_every=1)
    shop.accept(HAT)
    meeting = Meeting(shop, -1, lambda: None, after=False)
    shop.work()
    assert len(meeting.keys) == HAT_WRITES, meeting.keys


@pytest.mark.parametrize(("number", "after"), [(3, True), (4, False), (4, True), (5, False), (5, True), (6, False), (6, True)])
def test_an_attribute_erased_at_any_write_leaves_nothing_of_itself(shop: Shop, number: int, after: bool) -> None:
    """From the moment that there is one."""
    shop.engine = FakeEngine(checkpoint_every=1)
    job_id = shop.accept(HAT)
    attribute = shop.engine.plan_learning(HAT, shop.inputs)
    meeting = Meeting(shop, number, lambda: void(Erasure(shop.services).attribute(ANN, attribute)), after=after)
    shop.work()
    assert meeting.met
    assert [key for key in shop.artifacts.objects if "/concepts/" in key] == []
    assert shop.get(job_id).state is JobState.SUCCEEDED
    with pytest.raises(AttributeNotFound):
        Erasure(shop.services).attribute(ANN, attribute)


def test_an_erased_user_has_no_place_in_the_queue(shop: Shop) -> None:
    shop.jobs.admit(ANN, "e_1")
    shop.jobs.admit(BOB, "e_2")
    erase_user(shop)
    load = shop.store.admission.take_slot(ANN, "e_3", of_owner=9, in_all=9)
    assert (load.of_owner, load.in_all) == (0, 1)


def test_a_key_that_came_while_its_user_was_erased_leaves_no_note(shop: Shop) -> None:
    spec = draft(shop.services, ANN, REQUEST, FILES)
    erasure = Erasure(shop.services)
    with pytest.raises(BeingErased):
        accept_once(
            shop.jobs,
            spec,
            FILES,
            Idempotency(shop.jobs, ANN, "key", "digest"),
            draft=lambda _: spec,
            charge=lambda: void(erasure.begin(ANN)),
        )
    assert left_of(shop) == []


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", range(4))
def test_a_request_that_meets_an_erasure_is_taken_on_whole_or_refused(shop: Shop, number: int, after: bool) -> None:
    """It never leaves a part of itself, nor a job without its photo."""
    meeting = Meeting(shop, number, lambda: erase_user(shop), after=after)
    try:
        job_id = shop.accept(webhook_url=WEBHOOK)
    except BeingErased:
        assert left_of(shop) == []
        return
    assert meeting.met
    if job_id in shop.database.jobs_of(ANN):
        shop.work()
        assert shop.get(job_id).state is JobState.SUCCEEDED


@pytest.mark.parametrize("number", range(4))
def test_a_request_between_the_two_sweeps_is_refused_and_leaves_nothing(shop: Shop, number: int) -> None:
    erasure = Erasure(shop.services)
    begun: list[Any] = []
    Meeting(shop, number, lambda: begun.append(erasure.begin(ANN)[0]), after=False)
    with pytest.raises(BeingErased):
        shop.accept(webhook_url=WEBHOOK)
    erasure.complete(begun[0])
    assert left_of(shop) == []


def test_while_a_user_is_erased_nothing_new_is_taken_on_of_that_user_alone(shop: Shop) -> None:
    erasure = Erasure(shop.services)
    begun, _ = erasure.begin(ANN)
    with pytest.raises(BeingErased):
        shop.jobs.admit(ANN, "e_1")
    shop.jobs.admit(BOB, "e_2")
    erasure.complete(begun)
    shop.jobs.admit(ANN, "e_1")


def test_the_user_comes_back_as_new(shop: Shop) -> None:
    shop.accept()
    shop.work()
    erase_user(shop)
    again = shop.accept()
    shop.work()
    assert shop.get(again).state is JobState.SUCCEEDED
    assert shop.engine.learned == 2, "nothing of the former life is used"


def test_others_keep_what_they_have(shop: Shop) -> None:
    spec = draft(shop.services, BOB, REQUEST, FILES, webhook_url=WEBHOOK)
    shop.jobs.accept(spec, FILES)
    before = dict(shop.artifacts.objects)
    shop.accept(webhook_url=WEBHOOK)
    erase_user(shop)
    assert shop.artifacts.objects == before
    assert shop.jobs.get(BOB, spec.id).state is JobState.QUEUED


def test_what_was_erased_is_counted_once(shop: Shop) -> None:
    for prompt in ("a photo of a woman with a hat", "a photo of a smiling woman"):
        shop.accept(EditRequest(prompt=prompt))
        shop.work()
    there = len(shop.artifacts.objects)
    erasure = Erasure(shop.services)
    erased = erasure.complete(erasure.begin(ANN)[0])
    assert (erased.objects, erased.edits, erased.identities, erased.disk_rewritten) == (there, 2, 1, True)
    nothing = erasure.complete(erasure.begin(ANN)[0])
    assert (nothing.objects, nothing.edits) == (0, 0)


def test_only_where_a_worker_is_at_it_the_second_sweep_waits(shop: Shop) -> None:
    shop.accept()
    assert Erasure(shop.services).begin(ANN)[1] == 0
    waits: list[float] = []
    shop.engine.on_step = lambda _: waits.append(Erasure(shop.services).begin(BOB)[1])
    shop.jobs.accept(draft(shop.services, BOB, REQUEST, FILES), FILES)
    shop.work() if len(shop.queue.rings) == 1 else (shop.queue.rings.popleft(), shop.work())
    assert waits[0] == shop.services.settings.lease_s


def test_what_a_worker_writes_that_then_dies_is_found_by_the_second_sweep(shop: Shop) -> None:
    erasure = Erasure(shop.services)
    job_id = shop.accept()
    begun, _ = erasure.begin(ANN)
    shop.artifacts.put(f"{ANN.prefix}edits/{job_id}/result-1.png", b"late", media_type="image/png")
    erasure.complete(begun)
    assert left_of(shop) == []


def test_an_erasure_whose_process_died_is_completed_by_the_reaper(shop: Shop) -> None:
    shop.accept()
    began: list[float] = [1000.0]
    Erasure(shop.services, clock=lambda: began[0]).begin(ANN)
    shop.artifacts.put(f"{ANN.prefix}edits/e_late/result-1.png", b"late", media_type="image/png")
    erasure = Erasure(shop.services, clock=lambda: 1000.0 + LEFT_S)
    assert erasure.go_on() == 0, "its own process may still be at it"
    reap(shop.services)
    assert left_of(shop) == []
    assert not shop.artifacts.exists(erasing_key(ANN))


def test_an_erasure_while_the_job_store_is_down_is_completed_when_it_is_back(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.accept()

    def down(_: Owner) -> int:
        raise StoreUnavailable("down")

    with monkeypatch.context() as patch:
        patch.setattr(shop.store.maintenance, "erase_owner", down)
        with pytest.raises(StoreUnavailable):
            Erasure(shop.services, clock=lambda: 1000.0).begin(ANN)
        with pytest.raises(BeingErased):
            shop.jobs.admit(ANN, "e_1")
    reap(shop.services)
    assert left_of(shop) == []
    shop.jobs.admit(ANN, "e_1")


def test_a_rebuild_that_meets_an_erasure_brings_nothing_back(shop: Shop) -> None:
    shop.accept()
    shop.database.empty()
    add = shop.store.records.add

    def erased_meanwhile(record: Any) -> Any:
        erase_user(shop)
        return add(record)

    shop.store.records.add = erased_meanwhile  # type: ignore[method-assign]
    assert shop.jobs.rebuild() == 0
    assert left_of(shop) == []


def test_a_waiting_edit_whose_identity_was_erased_fails_and_says_why(shop: Shop) -> None:
    first = shop.accept()
    shop.work()
    identity = shop.get(first).identity
    assert identity is not None
    waiting = shop.accept(EditRequest(prompt="a [I] woman, smiling", identity=identity), {})
    objects = Erasure(shop.services).identity(ANN, identity)
    assert objects == 6  # photo, mask, identity, concept, note, inversion
    shop.work()
    failure = shop.get(waiting).failure
    assert failure is not None
    assert (failure.code, failure.field, failure.retryable) == ("identity_unknown", "identity", False)
    assert shop.get(first).state is JobState.SUCCEEDED


def test_foreign_things_are_not_erased(shop: Shop) -> None:
    job_id = shop.accept()
    shop.work()
    identity = shop.get(job_id).identity or ""
    before = dict(shop.artifacts.objects)
    erasure = Erasure(shop.services)
    with pytest.raises(JobNotFound):
        erasure.edit(BOB, job_id)
    with pytest.raises(IdentityNotFound):
        erasure.identity(BOB, identity)
    assert shop.artifacts.objects == before


def test_a_worker_thread_and_an_erasure_at_full_speed_leave_nothing() -> None:
    """The same without chosen points: threads, many times."""
    for turn in range(30):
        shop = Shop(engine=FakeEngine(checkpoint_every=1))
        shop.accept(webhook_url=WEBHOOK)
        worker = threading.Thread(target=shop.work)
        worker.start()
        if turn % 3:
            threading.Event().wait(turn * 0.0003)
        erase_user(shop)
        worker.join()
        assert left_of(shop) == [], turn


def test_the_photo_of_an_erased_edit_can_not_be_read(shop: Shop) -> None:
    job_id = shop.accept(files={"image": Upload(b"canary", "image/png"), "mask": FILES["mask"]})
    key = shop.jobs.spec(ANN, job_id).inputs["image"].key
    Erasure(shop.services).edit(ANN, job_id)
    with pytest.raises(ArtifactMissing):
        shop.artifacts.get(key)
