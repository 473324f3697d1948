"""Erasures: what they remove, and what stays."""

from __future__ import annotations

import pytest

from s2edit_core.request.spec import EditRequest
from s2edit_jobs.intake.drafts import draft
from s2edit_jobs.library.erasure import Erasure
from s2edit_jobs.lifecycle.idempotency import Idempotency, accept_once
from s2edit_jobs.records.errors import (
    ArtifactMissing,
    BeingErased,
    IdentityNotFound,
    JobErased,
    JobNotFound,
    StoreUnavailable,
)
from s2edit_jobs.records.files import Upload
from s2edit_jobs.records.record import JobState, Owner
from tests.unit.worker.attempts.erasures import BOB, WEBHOOK, erase_user, left_of, void
from tests.unit.worker.conftest import ANN, FILES, REQUEST, InProcessService
from worker.housekeeping.reaper import reap


def test_an_erased_user_has_no_queue_slot(service: InProcessService) -> None:
    service.jobs.take_slot(ANN, "e_1")
    service.jobs.take_slot(BOB, "e_2")
    erase_user(service)
    load = service.store.admission.take_slot(ANN, "e_3", of_owner=9, of_tenant=9, in_all=9)
    assert (load.of_owner, load.in_all) == (0, 1)


def test_a_key_that_came_before_its_user_was_erased_is_used_up_and_leaves_no_marker(service: InProcessService) -> None:
    spec = draft(service.services, ANN, REQUEST, FILES)
    erasure = Erasure(service.services)
    with pytest.raises(JobErased):
        accept_once(
            service.jobs,
            spec,
            FILES,
            Idempotency(service.jobs, ANN, "key", "digest"),
            draft=lambda _: spec,
            charge=lambda: void(erasure.begin(ANN)),
        )
    assert left_of(service) == []


def test_a_key_that_came_while_its_user_was_erased_leaves_no_marker_and_can_be_used_later(service: InProcessService) -> None:
    spec = draft(service.services, ANN, REQUEST, FILES)
    erasure = Erasure(service.services)
    begun, _ = erasure.begin(ANN)
    once = Idempotency(service.jobs, ANN, "key", "digest")
    for _ in range(2):
        with pytest.raises(BeingErased):
            accept_once(service.jobs, spec, FILES, once, draft=lambda _: spec, charge=lambda: None)
        assert left_of(service) == []
    erasure.complete(begun)
    assert accept_once(service.jobs, spec, FILES, once, draft=lambda _: spec, charge=lambda: None).id == spec.id


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
    assert service.engine.learned == 2, "nothing from before the erasure is used"


def test_others_keep_what_they_have(service: InProcessService) -> None:
    spec = draft(service.services, BOB, REQUEST, FILES, webhook_url=WEBHOOK)
    service.jobs.accept(spec, FILES)
    before = dict(service.artifacts.objects)
    service.accept(webhook_url=WEBHOOK)
    erase_user(service)
    assert {key: data for key, data in service.artifacts.objects.items() if not key.startswith("ended/")} == before
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


def test_an_erasure_while_the_job_store_is_down_is_completed_when_it_is_back(
    service: InProcessService, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.accept()

    def down(_: Owner) -> int:
        raise StoreUnavailable("down")

    with monkeypatch.context() as patch:
        patch.setattr(service.store.erasure, "erase_owner", down)
        with pytest.raises(StoreUnavailable):
            Erasure(service.services).begin(ANN)
        with pytest.raises(BeingErased):
            service.jobs.take_slot(ANN, "e_1")
    reap(service.services)
    assert left_of(service) == []
    service.jobs.take_slot(ANN, "e_1")


def test_a_waiting_edit_whose_identity_was_erased_fails_and_says_why(service: InProcessService) -> None:
    first = service.accept()
    service.work()
    identity = service.get(first).identity
    assert identity is not None
    waiting = service.accept(EditRequest(prompt="a [I] woman, smiling", identity=identity), {})
    objects = Erasure(service.services).identity(ANN, identity)
    assert objects == 8  # photo, mask, identity, concept, marker, inversion, two times of use
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


def test_the_photo_of_an_erased_edit_can_not_be_read(service: InProcessService) -> None:
    job_id = service.accept(files={"image": Upload(b"canary", "image/png"), "mask": FILES["mask"]})
    key = service.jobs.spec(ANN, job_id).inputs["image"].key
    Erasure(service.services).edit(ANN, job_id)
    with pytest.raises(ArtifactMissing):
        service.artifacts.get(key)
