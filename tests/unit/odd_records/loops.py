"""Every loop over stored items."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.main import app as command
from s2edit_jobs.access.ended_tokens import MARKER_TTL_S, sweep_ended
from s2edit_jobs.access.keys import KeyRing, authenticate
from s2edit_jobs.jobs.survey import rebuild as rebuild_job_store
from s2edit_jobs.jobs.unfinished import Unfinished
from s2edit_jobs.library.erasure import Erasure
from s2edit_jobs.library.library import Identity
from s2edit_jobs.library.retention import Retention
from s2edit_jobs.records.errors import CredentialsInvalid, ModelUnknown, StoreUnavailable
from s2edit_jobs.records.record import JobRecord, JobState, new_job_id
from s2edit_jobs.stores.artifacts import edit_key
from s2edit_jobs.stores.markers import erasing_key, expiring_key
from s2edit_jobs.stores.model_facts import facts_of, problem_with, report_loaded
from tests.admin import admin_headers
from tests.doubles import FACTS
from tests.unit.odd_records.world import ANN, BOB, HOOK, IDS, MODEL, OLD, World


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
    assert world.services.store.outbox.take(lease_s=1, at_once=9) is None, "no message is tried for ever"


def swept(key: str, good: Callable[[World], list[str]], sweep: Callable[[World], object], *, is_counted: bool = True) -> Loop:
    """Return the loop of a sweep, which removes the `good` items."""

    def prepare(world: World) -> tuple[str, Any]:
        return key, good(world)

    def run(world: World, keys: list[str]) -> None:
        sweep(world)
        assert [key for key in keys if world.artifacts.exists(key)] == []

    return Loop(prepare, run, is_counted)


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


def spent_tokens(world: World) -> tuple[str, Any]:
    keys = [f"{ANN.prefix}tokens/{int(OLD)}-{digit * 32}/edits-0" for digit in "19"]
    for key in keys:
        world.put(key, b"")
    return f"{ANN.prefix}tokens/{int(OLD)}-{'5' * 32}/edits-0", keys


def issue_token(world: World, keys: list[str]) -> None:
    assert world.client.post("/tokens", json={"edits": 1}).status_code == 201
    assert [key for key in keys if world.artifacts.exists(key)] == []


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
    assert world.client.delete(f"/users/{ANN.user}", headers=admin_headers(world.artifacts, ANN.tenant)).status_code == 200
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
        lambda world: Retention(world.services).sweep().get("requests", 0),
    ),
    "sweep of uploads": swept(
        f"{ANN.prefix}uploads/{IDS['u'][1]}/upload.json",
        old_uploads,
        lambda world: Retention(world.services).sweep().get("uploads", 0),
    ),
    "sweep of files of erased uploads": swept(
        f"{ANN.prefix}uploads/{IDS['u'][1]}/upload.json",
        orphaned_files,
        lambda world: Retention(world.services).sweep().get("uploads", 0),
        is_counted=False,
    ),
    "tokens, whose old ones are swept": Loop(spent_tokens, issue_token, is_counted=False),
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
