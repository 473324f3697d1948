"""What the last release before versioned records has stored is read, finished and erased by this one."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from api.app import create_app
from s2edit_jobs.access.keys import KeyRing
from s2edit_jobs.access.revoked_tokens import ended_at
from s2edit_jobs.bootstrap import build_services
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.records.record import Owner
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.celery_queue import QUEUE
from s2edit_jobs.stores.model_facts import facts_of, failure_of
from tests.admin import admin_headers
from tests.doubles import FACTS, FakeEngine
from tests.stores import Database, MemoryArtifactStore, MemoryJobQueue
from tests.unit.api.model_folder import write_model_folder
from tests.unit.api.pictures import mask, photo
from worker.attempts.runner import run_job
from worker.engines.painters import TintPainter
from worker.housekeeping.messenger import Messenger
from worker.housekeeping.reaper import reap
from worker.process import WorkerProcess

RECORDS = Path(__file__).parents[2] / "data" / "records-0.1"
ANN = Owner("default", "ann")
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
JOBS: dict[str, str] = json.loads((RECORDS / "jobs.json").read_text(encoding="utf-8"))
ENDED = {"edit, failed": "failed", "edit, canceled": "canceled", "edit, late": "failed"}
"""The jobs that do not succeed: two had ended, and the deadline of the third has passed since."""


@dataclass
class Upgraded:
    """This release on the stores that the earlier one has left."""

    folder: Path
    redis_too: bool

    def __post_init__(self) -> None:
        self.artifacts, self.database, self.queue = MemoryArtifactStore(), Database(), MemoryJobQueue()
        self.artifacts.objects |= {key: base64.b64decode(data) for key, data in _read("store").items()}
        if self.redis_too:
            load_redis(self.database, _read("redis"))
        model = str(write_model_folder(self.folder / "model"))
        settings = Settings(model=model, data_dir=self.folder, auth="open", webhook_secrets=SecretStr(SECRET))
        self.services = build_services(settings, artifacts=self.artifacts, store=self.database.store(), queue=self.queue)
        self.engine = FakeEngine(painter=TintPainter())

    def finish(self) -> None:
        """Run reaper and worker until nothing is left to do."""
        for _ in range(20):
            reap(self.services)
            if not self.queue.messages:
                return
            while self.queue.messages:
                run_job(self.queue.messages.popleft(), self.services, self.engine)
        raise AssertionError("the queue does not become empty")


def _read(name: str) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((RECORDS / f"{name}.json").read_text(encoding="utf-8"))
    return values


def load_redis(database: Database, dump: dict[str, Any]) -> None:
    client = database.client
    for key, (kind, value) in dump.items():
        match kind:
            case "string":
                client.set(key, value)
            case "hash":
                client.hset(key, mapping=value)
            case "list":
                client.rpush(key, *value)
            case "set":
                client.sadd(key, *value)
            case "zset":
                client.zadd(key, dict(value))
            case "stream":
                for name, entry in value:
                    client.xadd(key, entry, id=name)


@pytest.fixture(params=[True, False], ids=["with its Redis", "with an empty Redis"])
def upgraded(request: pytest.FixtureRequest, tmp_path: Path) -> Upgraded:
    return Upgraded(tmp_path, redis_too=request.param)


@pytest.fixture
def client(upgraded: Upgraded) -> Iterator[TestClient]:
    with TestClient(create_app(upgraded.services), headers={"S2Edit-User": ANN.user}) as client:
        yield client


def test_all_jobs_are_finished_and_listed_with_their_results(upgraded: Upgraded, client: TestClient) -> None:
    upgraded.finish()
    listed = {edit["id"]: edit for edit in client.get("/edits", params={"limit": 100}).json()["items"]}
    assert set(listed) == set(JOBS.values())
    assert {name: listed[job_id]["state"] for name, job_id in JOBS.items()} == {name: ENDED.get(name, "succeeded") for name in JOBS}
    for name, job_id in JOBS.items():
        edit = client.get(f"/edits/{job_id}").json()
        assert bool(edit["results"]) == (edit["kind"] == "edit" and name not in ENDED), name
        assert (edit["report"] is None) == (name in ENDED), name
    assert listed[JOBS["edit, late"]]["error"]["code"] == "deadline_exceeded"
    assert len(client.get(f"/edits/{JOBS['edit, variants']}").json()["results"]) == 3


def test_the_options_of_each_job_are_those_that_were_accepted(upgraded: Upgraded, client: TestClient) -> None:
    for job_id in JOBS.values():
        stored = json.loads(upgraded.artifacts.get(f"{ANN.prefix}edits/{job_id}/spec.json"))
        read = Jobs(upgraded.services).spec(ANN, job_id)
        values = json.loads(json.dumps(read.request.to_dict()))
        assert values == stored["request"]
        assert read.deadline_at == stored["deadline_at"]
        assert {name: file.sha256 for name, file in read.inputs.items()} == {
            name: file["sha256"] for name, file in stored["inputs"].items()
        }
    upgraded.finish()
    assert client.get(f"/edits/{JOBS['edit, with all options']}").json()["result"]["media_type"] == "image/webp"


def test_what_was_learned_is_listed_used_and_erased(upgraded: Upgraded, client: TestClient) -> None:
    done = client.get(f"/edits/{JOBS['identity, done']}").json()
    [identity] = [one for one in client.get("/identities").json()["items"] if one["id"] == done["identity"]]
    assert (identity["consent"]["statement"], identity["has_photo"], identity["subject"]) == ("yes", True, "woman")
    [attribute] = client.get("/attributes").json()["items"]
    assert (attribute["name"], attribute["placeholder"]) == ("Bowler", "[A]")
    upgraded.finish()
    report = client.get(f"/edits/{JOBS['edit, of an identity']}").json()["report"]["values"]
    assert report["learning_steps"] == 0, "the concept of the earlier release was used"
    assert client.delete(f"/identities/{identity['id']}").status_code == 200
    for job_id in JOBS.values():
        assert client.delete(f"/edits/{job_id}").status_code == 200
    assert client.delete(f"/users/{ANN.user}", headers=admin_headers(upgraded.artifacts, ANN.tenant)).status_code == 200
    assert not [key for key in upgraded.artifacts.objects if key.startswith((ANN.prefix, "outbox/", "pending/", "expiring/"))]


def test_requests_and_uploads_of_before_are_known(upgraded: Upgraded, client: TestClient) -> None:
    upload = next(key for key in upgraded.artifacts.objects if key.endswith("/upload.json")).split("/")[5]
    request = {"image": upload, "prompt": "a photo of a woman in the sun"}
    answer = client.post("/edits", json=request, headers={"Idempotency-Key": "with-an-upload"})
    assert (answer.status_code, answer.json().get("id")) == (202, JOBS["edit, of an upload"])


def test_webhooks_of_before_are_sent(upgraded: Upgraded) -> None:
    upgraded.finish()
    sent: list[str] = []

    def post(_: str, body: bytes, __: dict[str, str]) -> int:
        sent.append(json.loads(body)["data"]["id"])
        return 200

    messenger = Messenger(upgraded.services, post=post)
    while messenger.send_next():
        pass
    names = ("edit, done", "edit, failed", "edit, with all options", "edit, late")
    assert sorted(sent) == sorted(JOBS[name] for name in names)
    assert not list(upgraded.artifacts.list("outbox/"))


def test_keys_ended_tokens_and_model_reports_of_before_are_read(tmp_path: Path) -> None:
    artifacts = Upgraded(tmp_path, redis_too=False).artifacts
    keys = list(KeyRing(artifacts).list())
    assert sorted((key.tenant, key.note, key.test, key.ends_at is not None) for key in keys) == [
        ("app", "", True, False),
        ("app", "of the phone app", False, False),
        ("app", "of the phone app", False, True),
    ]
    assert ended_at(artifacts, Owner("default", "bob")) == 1_790_000_000
    assert facts_of(artifacts, "the/model") == FACTS
    failure = failure_of(artifacts, "the/model")
    assert failure is not None
    assert failure.message == "it has no VAE"


def test_messages_of_other_releases_are_handled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    messages = [json.loads(text) for text in _read("redis")[QUEUE][1]]
    asked: list[str] = []
    process = WorkerProcess(Settings(redis_url="redis://nowhere"), lambda _: FakeEngine())
    monkeypatch.setattr(process, "_services", object())
    monkeypatch.setattr(process, "_engine", FakeEngine())
    monkeypatch.setattr("worker.process.run_job", lambda job_id, *_, **__: asked.append(job_id))
    for message in messages:
        args, kwargs, _ = json.loads(base64.b64decode(message["body"]))
        process.run(*args, **kwargs)
    process.run("e_1", 2, version=3)
    process.run()
    assert sorted(asked) == sorted([*JOBS.values(), "e_1", ""])


def test_a_worker_of_before_leaves_the_jobs_of_this_release_waiting(tmp_path: Path) -> None:
    """Both may run for a moment, while a service is upgraded. The old one would give up what it cannot read."""
    service = Upgraded(tmp_path, redis_too=False)
    service.artifacts.objects.clear()
    files = {"image": photo(), "mask": mask()}
    client = TestClient(create_app(service.services))
    headers = [{"S2Edit-User": user} for user in ("ann", "ann", "bob")]
    sent = [client.post("/edits", data={"prompt": "a photo of a woman in fog"}, files=files, headers=one) for one in headers]
    jobs = [(one, answer.json()["id"]) for one, answer in zip(headers, sent, strict=True)]
    scripts = {name: service.database.client.register_script(text) for name, text in _read("scripts").items()}
    for _ in range(3):
        assert scripts["claim"](args=["", "", 6000, ""]) is None
        assert sorted(scripts["orphans"](args=[""])) == sorted(job_id for _, job_id in jobs)
    for state in ("queued", "succeeded"):
        assert [client.get(f"/edits/{job_id}", headers=one).json()["state"] for one, job_id in jobs] == [state] * len(jobs)
        service.finish()
