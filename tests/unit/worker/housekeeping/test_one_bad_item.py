"""Every loop over stored items × one bad item among them: the others are handled, the bad one is counted, nothing raises."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from typer.testing import CliRunner

from api.app import create_app
from cli.main import app as command
from s2edit_core.request.spec import EditRequest
from s2edit_jobs.access.ended_tokens import MARKER_TTL_S, sweep_ended
from s2edit_jobs.access.keys import KeyRing, authenticate
from s2edit_jobs.bootstrap import build_services
from s2edit_jobs.intake.drafts import draft
from s2edit_jobs.jobs.idempotency import sweep_idempotency_markers
from s2edit_jobs.jobs.jobs import Jobs
from s2edit_jobs.jobs.survey import rebuild as rebuild_job_store
from s2edit_jobs.jobs.unfinished import Unfinished
from s2edit_jobs.library.erasure import Erasure
from s2edit_jobs.library.library import Identity
from s2edit_jobs.library.uploads import sweep_uploads
from s2edit_jobs.records.errors import CredentialsInvalid, ModelUnknown, StoreUnavailable
from s2edit_jobs.records.files import Upload
from s2edit_jobs.records.record import JobRecord, JobState, Outcome, Owner, new_job_id
from s2edit_jobs.records.set_aside import set_aside_counts
from s2edit_jobs.records.stored import VERSIONS
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.artifacts import edit_key
from s2edit_jobs.stores.filesystem_artifacts import FilesystemArtifactStore
from s2edit_jobs.stores.markers import erasing_key, expiring_key
from s2edit_jobs.stores.model_facts import facts_of, problem_with, report_loaded
from tests.doubles import FACTS, FakeEngine
from tests.stores import Database, MemoryJobQueue
from worker.attempts.runner import NEWER_WAIT_S, run_job
from worker.housekeeping.messenger import Messenger
from worker.housekeeping.reaper import reap

ANN, BOB = Owner("default", "ann"), Owner("default", "bob")
FILES = {"image": Upload(b"photo", "image/png"), "mask": Upload(b"mask", "image/png")}
HOOK = "https://app.example.com/hook"
KEYS = SecretStr("whsec_" + "A" * 32)
MODEL = "the/model"
OLD = 1_000_000_000.0
IDS = {kind: [f"{kind}_{digit * 32}" for digit in "159"] for kind in ("c", "a", "u")}

CONTENTS: Mapping[str, bytes] = {
    "cut short": b'{"id": "e_01',
    "empty": b"",
    "zeros": b"\0" * 512,
    "a list": b"[1, 2]",
    "a word": b'"t/nobody"',
    "an empty object": b"{}",
    "values of wrong types": b'{"id": 5, "owner": [], "created_at": "yesterday", "tenant": {}, "state": 3}',
    "bytes": b"\xff\xd8\xff\xe0\0\x10JFIF",
    "a newer version": b'{"version": 99, "id": "x", "created_at": 1.0}',
    "a key that points nowhere": b"t/default/u/nobody/edits/e_00000000000000000000000000000000/spec.json",
}
NAMES = (
    ".DS_Store",
    "._spec.json",
    "spec.json~",
    ".nfs00000001",
    "Thumbs.db",
    "notes.txt",
    "copy of spec.json",
    "#key.json#",
    "é.json",
)


class World:
    """The service on a folder, two good items and one bad for each loop."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "artifacts"
        self.artifacts = FilesystemArtifactStore(self.root, "http://testserver", "key")
        self.database, self.queue = Database(), MemoryJobQueue()
        settings = Settings(
            model=MODEL,
            data_dir=folder,
            auth="open",
            webhook_secrets=KEYS,
            webhook_allow_private=True,
            metrics_token=SecretStr("m"),
        )
        self.services = build_services(settings, artifacts=self.artifacts, store=self.database.store(), queue=self.queue)
        self.jobs = Jobs(self.services)
        self.client = TestClient(create_app(self.services), headers={"S2Edit-User": ANN.user})
        self.sent: list[str] = []

    def accept(self, owner: Owner = ANN, **named: Any) -> str:
        request = EditRequest(prompt="a photo of a woman with red hair")
        return self.jobs.accept(draft(self.services, owner, request, FILES, **named), FILES).id

    def ended(self, owner: Owner = ANN, **named: Any) -> str:
        job_id = self.accept(owner, **named)
        self.jobs.finish(owner, job_id, Outcome(JobState.CANCELED, 1, time.time()))
        return job_id

    def work(self) -> None:
        reap(self.services)
        while self.queue.messages:
            run_job(self.queue.messages.popleft(), self.services, FakeEngine())
            reap(self.services)

    def put(self, key: str, value: Any) -> None:
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.artifacts.put(key, data, media_type="application/json")

    def deliver(self) -> list[str]:
        """Send what is due. Return the states and ids that the receiver has got."""

        def post(_: str, body: bytes, __: dict[str, str]) -> int:
            message = json.loads(body)["data"]
            self.sent.append(message["id"])
            return 200

        messenger = Messenger(self.services, post=post)
        for _ in range(20):
            if not messenger.deliver_next():
                return self.sent
        raise AssertionError("the outbox does not become empty")

    def listed(self, path: str) -> set[str]:
        answer = self.client.get(path, params={"limit": 100})
        assert answer.status_code == 200, answer.json()
        return {item["id"] for item in answer.json()["items"]}


@dataclass(frozen=True)
class Loop:
    """One loop. `prepare` stores good items and a place for a bad one; `run` checks that the good ones are handled.

    `prepare` returns the key of the bad item and what `run` needs. `is_counted` is false if the loop need not read the item.
    """

    prepare: Callable[[World], tuple[str, Any]]
    run: Callable[[World, Any], None]
    is_counted: bool = True


def jobs_lost(world: World) -> tuple[str, Any]:
    first, bad, last = (world.accept() for _ in range(3))
    world.database.empty()
    return edit_key(ANN, bad, "spec.json"), (first, last)


def rebuild(world: World, good: tuple[str, ...]) -> None:
    rebuild_job_store(world.services)
    assert {world.services.store.records.get(ANN, job_id).state for job_id in good} == {JobState.QUEUED}


def restart(world: World, good: tuple[str, ...]) -> None:
    world.work()
    assert {world.jobs.get(ANN, job_id).state for job_id in good} == {JobState.SUCCEEDED}


def list_edits(world: World, good: tuple[str, ...]) -> None:
    listed = world.listed("/edits")
    assert listed >= {*good}
    for job_id in listed:
        assert world.client.get(f"/edits/{job_id}").status_code == 200
        assert world.client.delete(f"/edits/{job_id}").status_code == 200
    assert world.listed("/edits") == set()


def outcomes(world: World) -> tuple[str, Any]:
    first, bad, last = (world.ended() for _ in range(3))
    world.database.empty()
    return edit_key(ANN, bad, "outcome.json"), (first, bad, last)


def reports(world: World) -> tuple[str, Any]:
    first, bad = world.accept(), world.accept()
    world.work()
    return world.jobs.get(ANN, bad).artifacts["report"], (first, bad)


def markers_lost(folder: str) -> Callable[[World], tuple[str, Any]]:
    def prepare(world: World) -> tuple[str, Any]:
        good = (world.ended(webhook_url=HOOK), world.ended(webhook_url=HOOK))
        world.database.empty()
        return folder + new_job_id(), good

    return prepare


def rebuild_outbox(world: World, good: tuple[str, ...]) -> None:
    rebuild_job_store(world.services)
    assert sorted(world.deliver()) == sorted(good)


def unfinished(world: World) -> tuple[str, Any]:
    def down(_: JobRecord) -> JobRecord:
        raise StoreUnavailable("down")

    add = world.services.store.records.add
    world.services.store.records.add = down  # type: ignore[method-assign]
    first, last = world.accept(), world.accept()
    world.services.store.records.add = add  # type: ignore[method-assign]
    return f"unfinished/{new_job_id()}-00000000", (first, last)


def reconcile(world: World, good: tuple[str, ...]) -> None:
    Unfinished(world.services).reconcile()
    assert {world.services.store.records.get(ANN, job_id).state for job_id in good} == {JobState.QUEUED}


def overdue(world: World) -> tuple[str, Any]:
    first, bad, last = (world.accept(deadline_s=-1.0) for _ in range(3))
    return edit_key(ANN, bad, "spec.json"), (first, bad, last)


def end_overdue(world: World, late: tuple[str, ...]) -> None:
    world.jobs.end_overdue()
    assert world.services.store.records.overdue() == []
    for job_id in (late[0], late[-1]):
        failure = world.jobs.get(ANN, job_id).failure
        assert failure is not None
        assert failure.code == "deadline_exceeded"


def webhooks(name: str) -> Callable[[World], tuple[str, Any]]:
    def prepare(world: World) -> tuple[str, Any]:
        first, bad, last = (world.ended(webhook_url=HOOK) for _ in range(3))
        return (f"outbox/{bad}" if name == "marker" else edit_key(ANN, bad, name)), (first, last)

    return prepare


def deliver(world: World, good: tuple[str, ...]) -> None:
    assert {*world.deliver()} >= {*good}
    assert world.services.store.outbox.take(lease_s=1) is None, "no message is tried for ever"


def swept(key: str, good: Callable[[World], list[str]], sweep: Callable[[World], object]) -> Loop:
    """Return the loop of a sweep, which removes the `good` items."""

    def prepare(world: World) -> tuple[str, Any]:
        return key, good(world)

    def run(world: World, keys: list[str]) -> None:
        sweep(world)
        assert [key for key in keys if world.artifacts.exists(key)] == []

    return Loop(prepare, run)


def old_requests(world: World) -> list[str]:
    keys = [f"{ANN.prefix}requests/{digit * 64}.json" for digit in "19"]
    for key in keys:
        world.put(key, {"job_id": new_job_id(), "created_at": OLD, "request": "00"})
    return keys


def old_uploads(world: World) -> list[str]:
    keys = [f"{ANN.prefix}uploads/{IDS['u'][i]}/upload.json" for i in (0, 2)]
    for key in keys:
        world.put(key, {"id": "u", "media_type": "image/png", "size_bytes": 5, "sha256": None, "created_at": OLD})
    return keys


def old_ends(world: World) -> list[str]:
    keys = [f"ended/{digit * 32}" for digit in "19"]
    for key in keys:
        world.put(key, OLD)
    return keys


def orphaned_files(world: World) -> list[str]:
    keys = [f"{ANN.prefix}uploads/{IDS['u'][i]}/file.png" for i in (0, 2)]
    for key in keys:
        world.put(key, b"photo")
    return keys


def erasures(world: World) -> list[str]:
    keys = [erasing_key(owner) for owner in (ANN, BOB)]
    for owner in (ANN, BOB):
        world.put(erasing_key(owner), {"tenant": owner.tenant, "user": owner.user, "began_at": OLD, "wait_s": 1.0})
    return keys


def expired(world: World) -> list[str]:
    keys = []
    for identity_id in (IDS["c"][0], IDS["c"][2]):
        card = f"{ANN.prefix}concepts/{identity_id}/identity.json"
        world.put(card, Identity(identity_id, None, None, OLD, {}, expires_at=OLD + 5).to_json())
        world.put(expiring_key(ANN, identity_id, OLD + 5), card.encode())
        keys += [card, expiring_key(ANN, identity_id, OLD + 5)]
    return keys


def expired_card(world: World) -> tuple[str, Any]:
    keys = expired(world)
    bad = f"{ANN.prefix}concepts/{IDS['c'][1]}/identity.json"
    world.put(expiring_key(ANN, IDS["c"][1], OLD + 5), bad.encode())
    return bad, [*keys, bad]


def erase_expired(world: World, keys: list[str]) -> None:
    Erasure(world.services).erase_expired()
    assert [key for key in keys if world.artifacts.exists(key)] == [], "the bad one has expired, too"


def concepts(kind: str, name: str, card: Callable[[str], Any]) -> Callable[[World], tuple[str, Any]]:
    def prepare(world: World) -> tuple[str, Any]:
        first, bad, last = IDS[kind]
        for each in (first, last):
            world.put(f"{ANN.prefix}concepts/{each}/{name}", card(each))
        return f"{ANN.prefix}concepts/{bad}/{name}", (first, bad, last)

    return prepare


def identity_card(each: str) -> bytes:
    return Identity(each, None, None, OLD, {}).to_json()


def attribute_card(each: str) -> Any:
    return {"id": each, "name": None, "prompt": "a", "subject": "hat", "placeholder": "[A]", "created_at": OLD}


def list_concepts(path: str) -> Callable[[World, Any], None]:
    def run(world: World, ids: tuple[str, ...]) -> None:
        assert world.listed(path) == {ids[0], ids[2]}
        world.put(f"{ANN.prefix}concepts/{ids[1]}/concept.safetensors", b"x")
        assert world.client.delete(f"{path}/{ids[1]}").status_code == 200
        assert list(world.artifacts.list(f"{ANN.prefix}concepts/{ids[1]}/")) == []

    return run


def api_keys(name: str) -> Callable[[World], tuple[str, Any]]:
    def prepare(world: World) -> tuple[str, Any]:
        ring = KeyRing(world.artifacts)
        texts = [ring.create("app")[1] for _ in range(3)]
        texts.sort(key=lambda text: text.split("_")[1])
        folder = f"keys/{texts[1].split('_')[1]}/"
        world.put(f"{folder}ended.json", OLD)
        return folder + name, texts

    return prepare


def list_keys(world: World, texts: list[str]) -> None:
    ring = KeyRing(world.artifacts)
    for text in (texts[0], texts[2]):
        assert authenticate(ring, text).tenant == "app"
    with pytest.raises(CredentialsInvalid):
        authenticate(ring, texts[1])
    assert {texts[0].split("_")[1], texts[2].split("_")[1]} <= {key.id for key in ring.list()}
    assert ring.exist()
    assert ring.any_active()
    shown = CliRunner().invoke(command, ["keys", "list", "--data-dir", str(world.root.parent)])
    assert shown.exit_code == 0, shown.output
    assert shown.output.count("active") == 2
    ids = (text.split("_")[1] for text in texts)
    assert all(key_id in shown.output for key_id in ids if world.artifacts.exists(f"keys/{key_id}/key.json"))


def model_report(world: World) -> tuple[str, Any]:
    report_loaded(world.artifacts, "another", FACTS)
    report_loaded(world.artifacts, MODEL, FACTS)
    [key] = [key for key in world.artifacts.list("models/") if "another" not in key and facts_key(world, key)]
    return key, None


def facts_key(world: World, key: str) -> bool:
    """Whether the report at `key` is that of `MODEL`."""
    data = world.artifacts.get(key)
    world.artifacts.delete_prefix(key)
    try:
        facts_of(world.artifacts, MODEL)
    except ModelUnknown:
        return True
    finally:
        world.put(key, data)
    return False


def read_model(world: World, _: None) -> None:
    assert problem_with(world.artifacts, MODEL) is None
    with pytest.raises(ModelUnknown):
        facts_of(world.artifacts, MODEL)
    assert facts_of(world.artifacts, "another") == FACTS
    report_loaded(world.artifacts, MODEL, FACTS)
    assert facts_of(world.artifacts, MODEL) == FACTS, "the next report replaces it"


def erase_user(world: World, _: Any) -> None:
    assert world.client.delete(f"/users/{ANN.user}").status_code == 200
    assert list(world.artifacts.list(ANN.prefix)) == []


def claimed(world: World) -> tuple[str, Any]:
    first, bad, last = (world.accept() for _ in range(3))
    return edit_key(ANN, bad, "spec.json"), (first, last)


LOOPS: Mapping[str, Loop] = {
    "rebuild, a spec": Loop(jobs_lost, rebuild),
    "restart, a spec": Loop(jobs_lost, restart),
    "attempts, a spec": Loop(claimed, restart),
    "rebuild, a webhook's marker": Loop(markers_lost("outbox/"), rebuild_outbox),
    "reconcile": Loop(unfinished, reconcile),
    "end_overdue": Loop(overdue, end_overdue, is_counted=False),
    "messenger, a marker": Loop(webhooks("marker"), deliver),
    "messenger, a spec": Loop(webhooks("spec.json"), deliver),
    "messenger, an outcome": Loop(webhooks("outcome.json"), deliver, is_counted=False),
    "list of edits, a spec": Loop(jobs_lost, list_edits),
    "list of edits, an outcome": Loop(outcomes, list_edits),
    "an edit with its report": Loop(reports, list_edits, is_counted=False),
    "list of identities": Loop(concepts("c", "identity.json", identity_card), list_concepts("/identities")),
    "list of attributes": Loop(concepts("a", "attribute.json", attribute_card), list_concepts("/attributes")),
    "list of keys": Loop(api_keys("key.json"), list_keys),
    "ends of keys": Loop(api_keys("ended.json"), list_keys),
    "sweep of idempotency markers": swept(
        f"{ANN.prefix}requests/{'5' * 64}.json",
        old_requests,
        lambda world: sweep_idempotency_markers(world.artifacts, older_than_s=9),
    ),
    "sweep of uploads": swept(
        f"{ANN.prefix}uploads/{IDS['u'][1]}/upload.json", old_uploads, lambda world: sweep_uploads(world.artifacts, ttl_s=9)
    ),
    "sweep of ended tokens": swept(
        f"ended/{'5' * 32}", old_ends, lambda world: sweep_ended(world.artifacts, now=OLD + MARKER_TTL_S + 5)
    ),
    "erasures, resumed": swept(f"erasing/{'5' * 32}", erasures, lambda world: Erasure(world.services).resume()),
    "expired identities, a marker": swept(
        f"expiring/{int(OLD) + 5:012}-{'5' * 32}-{IDS['c'][1]}", expired, lambda world: Erasure(world.services).erase_expired()
    ),
    "expired identities, a card": Loop(expired_card, erase_expired, is_counted=False),
    "model reports": Loop(model_report, read_model),
    "erasure of a user": Loop(jobs_lost, erase_user, is_counted=False),
}
EACH = pytest.mark.parametrize("name", LOOPS)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    with world.client:
        yield world


@EACH
@pytest.mark.parametrize("content", CONTENTS)
def test_one_bad_item_stops_none_of_the_others(name: str, content: str, world: World) -> None:
    loop = LOOPS[name]
    key, good = loop.prepare(world)
    world.put(key, CONTENTS[content])
    before = sum(set_aside_counts().values())
    loop.run(world, good)
    names_nothing = content in ("a newer version", "a key that points nowhere")  # left alone; a marker of something erased
    if loop.is_counted and not names_nothing:
        assert sum(set_aside_counts().values()) > before


@EACH
def test_foreign_files_are_left_alone(name: str, world: World) -> None:
    loop = LOOPS[name]
    key, good = loop.prepare(world)
    folder = world.root / Path(key).parent
    folder.mkdir(parents=True, exist_ok=True)
    for level in (folder, folder.parent):
        for foreign in NAMES:
            (level / foreign).write_bytes(b"{")
        (level / "link to nowhere").symlink_to(folder / "nothing")
        (level / "an empty folder").mkdir()
        os.mkfifo(level / "pipe")
    if name not in ("end_overdue", "ends of keys"):  # there, a missing record means something else
        (world.root / key).unlink(missing_ok=True)
    if not (world.root / key).exists() and name != "model reports":  # which are written anew
        (world.root / key / "inside").mkdir(parents=True)
    loop.run(world, good)


def test_what_is_set_aside_is_a_metric(world: World) -> None:
    key, good = jobs_lost(world)
    world.put(key, b"")
    rebuild(world, good)
    shown = world.client.get("/metrics", headers={"Authorization": "Bearer m"}).text
    assert 's2edit_set_aside_total{kind="spec"}' in shown


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
