"""Jobs of a newer release wait; jobs with damaged records or files fail by name, at once."""

from __future__ import annotations

import json
import time

import pytest

from s2edit_core.request.plan import digest
from s2edit_core.request.spec import CONCEPT_FORMAT, EditRequest, LearningRequest, MaskRequest
from s2edit_jobs.bootstrap import build_services
from s2edit_jobs.intake.drafts import draft
from s2edit_jobs.library.concepts import CONCEPT
from s2edit_jobs.lifecycle.jobs import CHECKPOINTS, Jobs
from s2edit_jobs.records.record import JobState
from s2edit_jobs.records.stored import VERSIONS
from s2edit_jobs.stores.artifacts import concept_key, edit_key
from tests.doubles import FakeEngine
from tests.unit.api.pictures import mask, photo
from tests.unit.odd_records.world import ANN, FILES, HOOK, World
from worker.attempts.job_mask import JobMasks
from worker.attempts.runner import NEWER_WAIT_S
from worker.engines.engine import DetectedMask, EditInputs


@pytest.mark.parametrize("redis_lost", [False, True])
def test_a_job_of_a_newer_release_waits_and_is_finished_by_a_worker_that_knows_it(
    redis_lost: bool, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer, other = world.accept(webhook_url=HOOK), world.accept()
    key = edit_key(ANN, newer, "spec.json")
    world.put(key, json.loads(world.artifacts.get(key)) | {"version": 2})
    if redis_lost:
        world.database.empty()
    for _ in range(3):
        world.work()
    assert world.jobs.get(ANN, other).state is JobState.SUCCEEDED
    shown = world.client.get(f"/edits/{newer}").json()
    assert (shown["state"], shown["phase"], shown["error"], shown["kind"]) == ("queued", None, None, "edit")
    assert world.services.store.records.get(ANN, newer).attempt == 0, "no attempt was counted"
    assert world.services.store.leases.orphans() == [], "and it is not claimed again and again"
    monkeypatch.setitem(VERSIONS, "spec", 2)
    later = world.database.store(clock=lambda: time.time() + NEWER_WAIT_S + 1)
    world.services = build_services(world.services.settings, artifacts=world.artifacts, store=later, queue=world.queue)
    world.work()
    assert Jobs(world.services).get(ANN, newer).state is JobState.SUCCEEDED
    assert world.deliver() == [newer]


def test_a_job_of_a_newer_release_is_canceled_erased_and_ended_by_its_deadline(world: World) -> None:
    ids = [world.accept(deadline_s=deadline) for deadline in (None, None, -1.0)]
    for job_id in ids:
        key = edit_key(ANN, job_id, "spec.json")
        world.put(key, json.loads(world.artifacts.get(key)) | {"kind": "video"})
    world.work()
    assert world.client.post(f"/edits/{ids[0]}/cancel").json()["state"] == "canceled"
    assert world.client.delete(f"/edits/{ids[1]}").status_code == 200
    assert world.client.get(f"/edits/{ids[2]}").json()["error"]["code"] == "deadline_exceeded"


def test_a_webhook_of_a_newer_release_waits_uncounted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = world.ended(webhook_url=HOOK)
    key = edit_key(ANN, job_id, "outcome.json")
    world.put(key, json.loads(world.artifacts.get(key)) | {"version": 2})
    assert world.deliver() == []
    assert world.database.client.hget("s2edit:tries", job_id) == "0"
    monkeypatch.setitem(VERSIONS, "outcome", 2)
    world.database.client.zadd("s2edit:outbox", {job_id: 0})
    assert world.deliver() == [job_id]


@pytest.mark.parametrize("name", ["spec.json", "outcome.json"])
def test_a_damaged_job_fails_by_name_and_its_webhook_is_sent_once_or_given_up(name: str, world: World) -> None:
    job_id = world.ended(webhook_url=HOOK) if name == "outcome.json" else world.accept(webhook_url=HOOK)
    world.put(edit_key(ANN, job_id, name), b'{"id": "e_')
    world.database.empty()
    shown = world.client.get(f"/edits/{job_id}").json()
    assert (shown["state"], shown["error"]["code"]) == ("failed", "record_damaged")
    assert world.client.get("/edits").json()["items"][0]["error"]["code"] == "record_damaged"
    world.work()
    assert world.deliver() == ([job_id] if name == "outcome.json" else [])
    assert list(world.artifacts.list("outbox/")) == []


@pytest.mark.parametrize("kind", ["image", "mask"])
@pytest.mark.parametrize("fault", ["missing", "cut short", "another"])
def test_an_input_that_is_not_the_accepted_one_fails_the_job_at_once(kind: str, fault: str, world: World) -> None:
    job_id = world.accept()
    path = world.root / edit_key(ANN, job_id, f"{kind}.png")
    if fault == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:2] if fault == "cut short" else b"x")
    world.work()
    record = world.jobs.get(ANN, job_id)
    assert record.failure is not None
    assert (record.failure.code, record.attempt) == ("record_damaged", 1)


@pytest.mark.parametrize("name", ["concept.safetensors", "inversion.safetensors"])
@pytest.mark.parametrize("length", [0, 7, 100, -1])
def test_what_was_learned_and_is_cut_short_is_made_again(name: str, length: int, world: World) -> None:
    world.accept()
    world.work()
    [key] = [key for key in world.artifacts.list(ANN.prefix) if key.endswith(name)]
    whole = world.artifacts.get(key)
    world.put(key, whole[:length])
    job_id = world.accept()
    world.work()
    assert world.jobs.get(ANN, job_id).state is JobState.SUCCEEDED
    assert len(world.artifacts.get(key)) == len(whole)


LEARNING = LearningRequest(kind="attribute", prompt="a woman with [A] hat", subject="hat")


def learn(world: World) -> tuple[str, str]:
    """Learn an attribute. Return its id and the key of its concept."""
    job_id = world.jobs.accept(draft(world.services, ANN, LEARNING, FILES), FILES).id
    world.work()
    record = world.jobs.get(ANN, job_id)
    assert record.state is JobState.SUCCEEDED
    assert record.identity is not None
    return record.identity, concept_key(ANN, record.identity, CONCEPT)


def apply(world: World, attribute: str) -> str:
    request = EditRequest(prompt="a photo of a woman with [A] hat", attributes=(attribute,))
    return world.jobs.accept(draft(world.services, ANN, request, FILES), FILES).id


def test_an_attribute_that_is_cut_short_fails_by_name_until_it_is_learned_again(world: World) -> None:
    attribute, key = learn(world)
    whole = world.artifacts.get(key)
    world.put(key, whole[:-3])
    job_id = apply(world, attribute)
    world.work()
    failure = world.jobs.get(ANN, job_id).failure
    assert failure is not None
    assert failure.code == "record_damaged"
    assert learn(world) == (attribute, key)
    assert len(world.artifacts.get(key)) == len(whole)
    job_id = apply(world, attribute)
    world.work()
    assert world.jobs.get(ANN, job_id).state is JobState.SUCCEEDED


def test_a_concept_of_a_newer_release_is_left_to_it(world: World) -> None:
    attribute, key = learn(world)
    newer = world.artifacts.get(key).replace(CONCEPT_FORMAT.encode(), b"s2edit-concept-3")
    world.put(key, newer)
    job_id = apply(world, attribute)
    world.work()
    assert world.jobs.get(ANN, job_id).state is JobState.QUEUED
    assert world.artifacts.get(key) == newer


def test_a_checkpoint_that_is_cut_short_is_not_used(world: World) -> None:
    job_id = world.accept()
    spec = world.jobs.spec(ANN, job_id)
    concept_id = FakeEngine().plan(spec.request, EditInputs(b"photo", b"mask")).concept_id
    world.put(concept_key(ANN, concept_id, f"{CHECKPOINTS}000002.safetensors"), b"{")
    world.work()
    assert world.jobs.get(ANN, job_id).state is JobState.SUCCEEDED


def test_a_found_mask_that_is_cut_short_is_found_again(world: World) -> None:
    photo = {"image": FILES["image"]}
    job_id = world.jobs.accept(draft(world.services, ANN, MaskRequest(), photo), photo).id
    lease = world.services.store.leases.claim(lease_s=60)
    assert lease is not None
    spec = world.jobs.spec(ANN, job_id)
    found = DetectedMask(b"mask found before", "fake", 1, 1.0, (0, 0, 1, 1))
    JobMasks(world.jobs).of(spec, {"image": b"photo"}, lambda: found)
    key = edit_key(ANN, job_id, "mask-found.png")
    world.put(key, b"mas")
    world.services.store.leases.hand_back(lease)
    world.queue.notify(job_id)
    world.work()
    record = world.jobs.get(ANN, job_id)
    assert record.state is JobState.SUCCEEDED
    assert record.artifacts["mask"] == key
    assert world.artifacts.get(key) not in (b"mas", b"mask found before")
    assert "sha256" not in json.loads(world.artifacts.get(record.artifacts["report"]))["mask"]


@pytest.mark.parametrize(("content", "status", "code"), [(b"{", 500, "record_damaged"), (b'{"version": 9}', 503, "record_newer")])
def test_a_concept_that_cannot_be_read_is_answered_by_name(content: bytes, status: int, code: str, world: World) -> None:
    for path, concept_id, name in (("identities", "c_" + "1" * 32, "identity"), ("attributes", "a_" + "1" * 32, "attribute")):
        world.put(concept_key(ANN, concept_id, f"{name}.json"), content)
        if path == "identities":
            answer = world.client.get(f"/{path}/{concept_id}")
            assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert world.client.delete(f"/{path}/{concept_id}").status_code == 200


def test_a_key_whose_marker_is_damaged_is_not_used_again(world: World) -> None:
    world.put(f"{ANN.prefix}requests/{digest(b'order')}.json", b"{")
    form = {"prompt": "a photo of a woman with red hair"}
    answer = world.client.post("/edits", data=form, files={"image": photo(), "mask": mask()}, headers={"Idempotency-Key": "order"})
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert world.listed("/edits") == set()
