"""Every loop over stored items."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.main import app as command
from s2edit_jobs.access.keys import KeyRing, authenticate
from s2edit_jobs.lifecycle.history import ANY, entry_of
from s2edit_jobs.lifecycle.survey import Survey
from s2edit_jobs.lifecycle.survey import rebuild as rebuild_job_store
from s2edit_jobs.lifecycle.unfinished import Unfinished
from s2edit_jobs.records.errors import CredentialsInvalid, ModelUnknown, StoreUnavailable
from s2edit_jobs.records.record import Failure, JobRecord, JobState, Outcome, new_job_id
from s2edit_jobs.stores.artifacts import edit_key
from s2edit_jobs.stores.model_facts import facts_of, problem_with, report_loaded
from tests.admin import admin_headers
from tests.doubles import FACTS
from tests.unit.odd_records.sweeps import SWEEPS, Loop, identity_card
from tests.unit.odd_records.world import ANN, HOOK, IDS, MODEL, OLD, World


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


def pending(world: World) -> tuple[str, Any]:
    """Markers that an earlier release has written while the job store was down."""
    first, last = world.accept(), world.accept()
    world.artifacts.delete_prefix("unfinished/")
    for job_id in (first, last):
        world.put(f"pending/{job_id}", edit_key(ANN, job_id, "spec.json").encode())
    world.database.empty()
    return f"pending/{new_job_id()}", (first, last)


def unindexed(name: str) -> Callable[[World], tuple[str, Any]]:
    """Jobs of a release that wrote neither markers nor an index."""

    def prepare(world: World) -> tuple[str, Any]:
        first, bad, last = (world.ended() for _ in range(3))
        unmarked = world.accept()
        for folder in ("unfinished/", f"{ANN.prefix}index/", "layout.json"):
            world.artifacts.delete_prefix(folder)
        return edit_key(ANN, bad, name), (first, last, unmarked)

    return prepare


def survey(world: World, jobs: tuple[str, ...]) -> None:
    Survey(world.services).complete()
    listed = {entry.id for entry in world.jobs.history.entries(ANN, ANY, after=None, expected=9)}
    assert listed >= {*jobs[:-1]}
    assert world.jobs.is_marked(jobs[-1])
    assert world.listed("/edits") >= {*jobs}


def index_entry(world: World) -> tuple[str, Any]:
    """Failures, whose entries hold the message."""
    jobs = [world.accept() for _ in range(3)]
    for number, job_id in enumerate(jobs):
        failure = Failure("mask_not_found", f"no person was found: {number}")
        world.jobs.finish(ANN, job_id, Outcome(JobState.FAILED, 1, OLD, failure=failure))
    world.database.empty()
    (key,) = [key for key in world.artifacts.list(f"{ANN.prefix}index/all/") if (entry := entry_of(key)) and entry.id == jobs[1]]
    return key, jobs


def list_failures(world: World, jobs: list[str]) -> None:
    items = {item["id"]: item for item in world.client.get("/edits").json()["items"]}
    shown = [items[job_id]["error"]["message"] for job_id in jobs if job_id in items]
    assert shown in ([f"no person was found: {number}" for number in numbers] for numbers in ((0, 1, 2), (0, 2)))
    list_edits(world, (jobs[0], jobs[2]))


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


def concepts(kind: str, name: str, card: Callable[[str], Any]) -> Callable[[World], tuple[str, Any]]:
    def prepare(world: World) -> tuple[str, Any]:
        first, bad, last = IDS[kind]
        for each in (first, last):
            world.put(f"{ANN.prefix}concepts/{each}/{name}", card(each))
        return f"{ANN.prefix}concepts/{bad}/{name}", (first, bad, last)

    return prepare


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
    "reconcile, a marker of before": Loop(pending, reconcile),
    "survey, a spec": Loop(unindexed("spec.json"), survey),
    "survey, an outcome": Loop(unindexed("outcome.json"), survey, is_counted=False),
    "end_overdue": Loop(overdue, end_overdue, is_counted=False),
    "messenger, a marker": Loop(webhooks("marker"), deliver),
    "messenger, a spec": Loop(webhooks("spec.json"), deliver),
    "messenger, an outcome": Loop(webhooks("outcome.json"), deliver, is_counted=False),
    "list of edits, a spec": Loop(jobs_lost, list_edits),
    "list of edits, an outcome": Loop(outcomes, list_edits),
    "list of edits, an entry": Loop(index_entry, list_failures, is_counted=False),
    "an edit with its report": Loop(reports, list_edits, is_counted=False),
    "list of identities": Loop(concepts("c", "identity.json", identity_card), list_concepts("/identities")),
    "list of attributes": Loop(concepts("a", "attribute.json", attribute_card), list_concepts("/attributes")),
    "list of keys": Loop(api_keys("key.json"), list_keys),
    "ends of keys": Loop(api_keys("ended.json"), list_keys),
    **SWEEPS,
    "model reports": Loop(model_report, read_model),
    "erasure of a user": Loop(jobs_lost, erase_user, is_counted=False),
}
