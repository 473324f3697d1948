"""Operations on jobs, with every store failing at every point."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from s2edit_core.request.spec import EditRequest
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.intake.drafts import draft
from s2edit_jobs.library.concepts import Library
from s2edit_jobs.lifecycle.idempotency import Idempotency
from s2edit_jobs.lifecycle.jobs import RECENT_S, Jobs
from s2edit_jobs.lifecycle.survey import rebuild
from s2edit_jobs.lifecycle.unfinished import Unfinished
from s2edit_jobs.records.errors import (
    ArtifactsUnavailable,
    IdentityNotFound,
    JobNotFound,
    QueueFull,
    QueueUnavailable,
    RequestInFlight,
    StoreUnavailable,
    TenantQueueFull,
    TooManyEdits,
)
from s2edit_jobs.records.files import Upload
from s2edit_jobs.records.record import JobRecord, JobState, Outcome, Owner, new_job_id, recovered_record
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.markers import job_of
from tests.stores import Database, MemoryArtifactStore, MemoryJobQueue

ANN, BOB = Owner("app", "ann"), Owner("app", "bob")
REQUEST = EditRequest(prompt="a photo of a woman with red hair")
FILES = {"image": Upload(b"photo", "image/png"), "mask": Upload(b"mask", "image/webp")}
CONCEPT = "c_" + "0" * 32


class Parts:
    """Services whose stores can be made to fail."""

    def __init__(self) -> None:
        self.artifacts = MemoryArtifactStore()
        self.database = Database()
        self.store = self.database.store()
        self.queue = MemoryJobQueue()
        self.services = Services(self.artifacts, self.store, self.queue, Settings(data_dir=Path("/dev/null/nowhere")))
        self.jobs, self.library = Jobs(self.services), Library(self.services)

    def limit(self, **limits: int) -> None:
        settings = self.services.settings.model_copy(update=limits)
        self.services = Services(self.artifacts, self.store, self.queue, settings)
        self.jobs = Jobs(self.services)

    def accept(self, request: EditRequest = REQUEST) -> JobRecord:
        return self.jobs.accept(draft(self.services, ANN, request, FILES), FILES)


@pytest.fixture
def parts() -> Parts:
    return Parts()


def down(error: Exception) -> Any:
    def call(*_: object, **__: object) -> None:
        raise error

    return call


def ended(state: JobState = JobState.SUCCEEDED) -> Outcome:
    return Outcome(state=state, attempt=1, finished_at=time.time(), identity=CONCEPT)


def test_ids_are_in_the_order_of_their_time_and_all_different() -> None:
    assert new_job_id(1.0) < new_job_id(1.001) < new_job_id(1e9)
    assert len({new_job_id(1.0) for _ in range(1000)}) == 1000


def test_an_accepted_job_has_all_it_needs_in_the_object_store(parts: Parts) -> None:
    record = parts.accept()
    folder = f"t/app/u/ann/edits/{record.id}/"
    *accepted, marker = sorted(parts.artifacts.objects)
    assert accepted == [f"{folder}image.png", f"{folder}mask.webp", f"{folder}spec.json"]
    assert (job_of(marker), parts.artifacts.get(marker).decode()) == (record.id, f"{folder}spec.json")
    spec = parts.jobs.spec(ANN, record.id)
    assert spec.request == REQUEST
    assert {name: parts.artifacts.get(file.key) for name, file in spec.inputs.items()} == {"image": b"photo", "mask": b"mask"}
    assert list(parts.queue.messages) == [record.id]
    assert parts.jobs.get(ANN, record.id) == record


def test_the_marker_is_written_after_all_else_and_before_the_record(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    put, add = parts.artifacts.put, parts.store.records.add
    monkeypatch.setattr(parts.artifacts, "put", lambda key, data, **kw: (order.append(key.rsplit("/")[-1]), put(key, data, **kw)))
    monkeypatch.setattr(parts.store.records, "add", lambda record: (order.append("record"), add(record))[1])
    monkeypatch.setattr(parts.queue, "notify", lambda _: order.append("notification"))
    parts.accept()
    assert order == ["image.png", "mask.webp", "spec.json", order[3], "record", "notification"]
    assert job_of(order[3]).startswith("e_")


def test_nothing_is_accepted_while_the_object_store_is_down(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts.artifacts, "put", down(ArtifactsUnavailable("down")))
    with pytest.raises(ArtifactsUnavailable):
        parts.accept()
    assert parts.store.leases.orphans() == []
    assert not parts.queue.messages


def test_a_queue_that_is_down_loses_no_job(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts.queue, "notify", down(QueueUnavailable("down")))
    record = parts.accept()
    assert parts.store.leases.orphans() == [record.id]


def test_a_job_store_that_is_down_loses_no_job(parts: Parts) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts.store.records, "add", down(StoreUnavailable("down")))
        record = parts.accept()
    assert record.state is JobState.QUEUED
    assert parts.store.leases.orphans() == []
    assert Unfinished(parts.services).reconcile() == 1
    assert parts.store.leases.orphans() == [record.id]
    assert Unfinished(parts.services).reconcile() == 0


def test_a_job_of_somebody_else_is_not_found(parts: Parts) -> None:
    record = parts.accept()
    for forget in (False, True):
        if forget:
            parts.database.empty()
        for call in (parts.jobs.get, parts.jobs.cancel, parts.jobs.spec):
            with pytest.raises(JobNotFound):
                call(BOB, record.id)


@pytest.mark.parametrize("job_id", ["", "e_1", "../x", "e_" + "0" * 32, "e_" + "G" * 32, "e_" + "0" * 32 + "/x"])
def test_an_id_that_was_never_given_is_not_found(parts: Parts, job_id: str) -> None:
    for call in (parts.jobs.get, parts.jobs.cancel):
        with pytest.raises(JobNotFound):
            call(ANN, job_id)


def test_an_unfinished_job_that_redis_lost_is_known_and_can_be_found_by_a_reaper(parts: Parts) -> None:
    before = parts.accept()
    parts.database.empty()
    after = parts.jobs.get(ANN, before.id)
    assert after.state is JobState.QUEUED
    assert after.sequence > before.sequence
    assert parts.store.leases.orphans() == [before.id]


def test_a_finished_job_that_redis_lost_is_known(parts: Parts) -> None:
    record = parts.accept()
    parts.jobs.finish(ANN, record.id, ended())
    parts.database.empty()
    again = parts.jobs.get(ANN, record.id)
    assert (again.state, again.identity) == (JobState.SUCCEEDED, CONCEPT)
    assert parts.jobs.get(ANN, record.id) == again
    assert parts.store.leases.orphans() == []
    assert parts.jobs.cancel(ANN, record.id) == again


def test_a_waiting_job_is_canceled_at_once(parts: Parts) -> None:
    record = parts.accept()
    assert parts.jobs.cancel(ANN, record.id).state is JobState.CANCELED
    assert parts.jobs.outcome(ANN, record.id) is not None
    assert parts.store.leases.claim(record.id, lease_s=9) is None


def test_a_running_job_is_told_to_cancel(parts: Parts) -> None:
    record = parts.accept()
    lease = parts.store.leases.claim(record.id, lease_s=9)
    assert lease is not None
    assert parts.jobs.cancel(ANN, record.id).state is JobState.RUNNING
    assert parts.store.leases.renew(lease).cancel_requested


def test_a_job_that_redis_lost_can_be_canceled(parts: Parts) -> None:
    record = parts.accept()
    parts.database.empty()
    assert parts.jobs.cancel(ANN, record.id).state is JobState.CANCELED


def test_the_first_outcome_in_the_object_store_stands(parts: Parts) -> None:
    record = parts.accept()
    with pytest.MonkeyPatch.context() as patch:  # the process dies before it updates Redis
        patch.setattr(parts.store.records, "finish", down(StoreUnavailable("down")))
        with pytest.raises(StoreUnavailable):
            parts.jobs.finish(ANN, record.id, ended(JobState.CANCELED))
    assert parts.jobs.finish(ANN, record.id, ended(JobState.SUCCEEDED)).state is JobState.CANCELED
    assert parts.jobs.get(ANN, record.id).state is JobState.CANCELED


def test_finishing_a_job_that_redis_lost_is_remembered(parts: Parts) -> None:
    record = parts.accept()
    parts.database.empty()
    assert parts.jobs.finish(ANN, record.id, ended()).state is JobState.SUCCEEDED
    assert parts.jobs.get(ANN, record.id).state is JobState.SUCCEEDED


def test_a_rebuild_enters_what_is_unfinished_and_only_that(parts: Parts) -> None:
    over, waiting, canceled = (parts.accept() for _ in range(3))
    parts.jobs.finish(ANN, over.id, ended())
    parts.jobs.cancel(ANN, canceled.id)
    parts.artifacts.put(f"t/app/u/ann/concepts/{CONCEPT}/concept.safetensors", b"x", media_type="x/y")
    parts.database.empty()
    assert rebuild(parts.services) == 1
    assert parts.store.leases.orphans() == [waiting.id]


def test_a_kept_identity_can_be_used_without_an_upload(parts: Parts) -> None:
    record = parts.accept()
    spec = parts.jobs.spec(ANN, record.id)
    parts.library.keep_identity(spec, CONCEPT, source_prompt="a photo of a [I] woman", subject="woman")
    parts.artifacts.delete_prefix(f"t/app/u/ann/edits/{record.id}/")
    later = draft(parts.services, ANN, EditRequest(prompt="a [I] woman with a hat", identity=CONCEPT), {})
    assert parts.artifacts.get(later.inputs["image"].key) == b"photo"
    assert parts.artifacts.get(later.inputs["mask"].key) == b"mask"
    assert later.inputs["image"].sha256 == spec.inputs["image"].sha256
    assert (later.request.source_prompt, later.request.subject) == ("a photo of a [I] woman", "woman")


def test_what_the_request_says_goes_before_what_the_identity_says(parts: Parts) -> None:
    spec = parts.jobs.spec(ANN, parts.accept().id)
    parts.library.keep_identity(spec, CONCEPT, source_prompt="a photo of a [I] woman", subject="woman")
    request = EditRequest(prompt="a girl with a hat", source_prompt="a girl", subject="girl", identity=CONCEPT)
    files = {"image": Upload(b"another photo", "image/jpeg")}
    later = draft(parts.services, ANN, request, files)
    assert later.request == request
    assert later.inputs["image"].key == f"t/app/u/ann/edits/{later.id}/image.jpg"
    assert "mask" not in later.inputs  # the identity's mask belongs to another photo


def test_an_identity_is_written_once(parts: Parts) -> None:
    spec = parts.jobs.spec(ANN, parts.accept().id)
    parts.library.keep_identity(spec, CONCEPT, source_prompt="first", subject="woman")
    first = parts.library.identity(ANN, CONCEPT)
    parts.library.keep_identity(spec, CONCEPT, source_prompt="second", subject="man")
    assert parts.library.identity(ANN, CONCEPT) == first


@pytest.mark.parametrize("concept_id", [CONCEPT, "c_1", "../identity", ""])
def test_an_unknown_identity_is_not_found(parts: Parts, concept_id: str) -> None:
    with pytest.raises(IdentityNotFound):
        parts.library.identity(ANN, concept_id)


def test_an_identity_of_somebody_else_is_not_found(parts: Parts) -> None:
    spec = parts.jobs.spec(ANN, parts.accept().id)
    parts.library.keep_identity(spec, CONCEPT, source_prompt=None, subject=None)
    with pytest.raises(IdentityNotFound):
        draft(parts.services, BOB, EditRequest(prompt="a woman", identity=CONCEPT), {})


def test_an_owner_with_too_many_edits_is_refused_and_others_are_not(parts: Parts) -> None:
    parts.limit(max_unfinished_edits_per_user=2)
    for _ in range(2):
        last = parts.accept()
    with pytest.raises(TooManyEdits) as refused:
        parts.jobs.take_slot(ANN, "e_3")
    assert refused.value.retry_after_s > 0
    parts.jobs.take_slot(BOB, "e_3")
    parts.jobs.cancel(ANN, last.id)
    parts.jobs.take_slot(ANN, "e_4")
    with pytest.raises(TooManyEdits):
        parts.jobs.take_slot(ANN, "e_5")


def test_a_tenant_with_too_many_edits_is_refused_and_other_tenants_are_not(parts: Parts) -> None:
    parts.limit(max_unfinished_edits_per_tenant=1)
    parts.accept()
    with pytest.raises(TenantQueueFull) as refused:
        parts.jobs.take_slot(BOB, "e_2")
    assert refused.value.retry_after_s > 0
    assert refused.value.retryable
    parts.jobs.take_slot(Owner("other", "bob"), "e_2")


def test_a_full_queue_takes_nobody_on(parts: Parts) -> None:
    parts.limit(max_unfinished_edits=1)
    parts.accept()
    with pytest.raises(QueueFull):
        parts.jobs.take_slot(BOB, "e_2")


def test_while_redis_is_down_nobody_is_counted_and_nobody_refused(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    parts.limit(max_unfinished_edits=1)
    parts.accept()
    monkeypatch.setattr(parts.store.admission, "take_slot", down(StoreUnavailable("down")))
    parts.jobs.take_slot(ANN, "e_2")


def test_the_events_of_a_job_that_redis_lost_are_its_last_word(parts: Parts) -> None:
    record = parts.accept()
    parts.jobs.finish(ANN, record.id, ended())
    parts.database.empty()
    (last,), whole = parts.jobs.events(ANN, record.id, after=2)
    assert (last.state, whole) == (JobState.SUCCEEDED, False)
    assert parts.jobs.events(ANN, record.id, after=last.sequence) == ([], True)
    with pytest.raises(JobNotFound):
        parts.jobs.events(BOB, record.id, after=0)


def test_the_sequence_of_an_end_does_not_go_back_although_redis_came_back_older_and_was_emptied(parts: Parts) -> None:
    """The outcome was written before Redis was restored to a state in which the job ran."""
    job = parts.accept()
    outcome = Outcome(state=JobState.SUCCEEDED, attempt=1, finished_at=time.time() - 30)
    list(parts.store.recovery.settle("a Redis that was restored"))
    before = parts.jobs.finish(ANN, job.id, outcome)
    parts.database.empty()
    assert parts.jobs.get(ANN, job.id).sequence > before.sequence


def enter_late(parts: Parts, first: JobRecord) -> None:
    """Enter the job as a process does that has looked for its outcome just before it was written."""
    parts.store.records.add(recovered_record(first))


def test_an_end_that_was_seen_is_not_undone_by_a_process_that_has_looked_before(parts: Parts) -> None:
    first = parts.accept()
    parts.database.empty()
    parts.artifacts.put(f"{ANN.prefix}edits/{first.id}/outcome.json", ended().to_json(), media_type="application/json")
    seen = parts.jobs.get(ANN, first.id)
    enter_late(parts, first)
    assert parts.store.leases.claim(lease_s=60) is None, "nobody works on it"
    parts.jobs.finish(ANN, first.id, ended())
    assert parts.jobs.get(ANN, first.id) == seen
    assert seen.state is JobState.SUCCEEDED


def test_a_worker_that_ends_a_job_that_redis_lost_ends_it_for_all(parts: Parts) -> None:
    first = parts.accept()
    parts.database.empty()
    end = parts.jobs.finish(ANN, first.id, ended())
    enter_late(parts, first)
    assert parts.jobs.get(ANN, first.id) == end
    assert parts.store.leases.claim(lease_s=60) is None


def test_a_job_that_was_entered_too_late_ends_with_the_next_look_of_a_reaper(parts: Parts) -> None:
    first = parts.accept()
    parts.database.empty()
    enter_late(parts, first)
    parts.artifacts.put(f"{ANN.prefix}edits/{first.id}/outcome.json", ended().to_json(), media_type="application/json")
    queued = parts.jobs.get(ANN, first.id)
    end = parts.jobs.load(ANN, first.id)
    assert (queued.state, end.state) == (JobState.QUEUED, JobState.SUCCEEDED)
    assert parts.jobs.get(ANN, first.id) == end
    assert end.sequence > queued.sequence


def test_an_end_is_entered_only_just_after_it(parts: Parts) -> None:
    first = parts.accept()
    old = Outcome(JobState.CANCELED, attempt=1, finished_at=time.time() - RECENT_S)
    parts.jobs.finish(ANN, first.id, old)
    parts.database.empty()
    assert parts.jobs.get(ANN, first.id).state is JobState.CANCELED
    assert parts.database.jobs_of(ANN) == []


def test_a_redis_that_takes_no_writes_hides_no_end(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    first = parts.accept()
    parts.jobs.finish(ANN, first.id, ended())
    parts.database.empty()
    monkeypatch.setattr(parts.store.records, "add", down(StoreUnavailable("full")))
    assert parts.jobs.get(ANN, first.id).state is JobState.SUCCEEDED


def test_of_two_requests_with_one_key_at_the_same_moment_one_is_accepted(parts: Parts) -> None:
    specs = [draft(parts.services, ANN, REQUEST, FILES) for _ in range(2)]
    first, second = (Idempotency(parts.jobs, ANN, "order", "digest") for _ in specs)
    assert (first.check_not_erased(), second.check_not_erased()) == (None, None), "neither has seen the other"
    marker = first.begin(specs[0])
    with pytest.raises(RequestInFlight):
        second.begin(specs[1])
    parts.jobs.accept(specs[0], FILES)
    found = second.earlier(second.check_not_erased())
    assert found is not None
    assert found.id == marker.job_id == specs[0].id
