"""The service on a folder in which a test damages what is stored."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient
from pydantic import SecretStr

from api.app import create_app
from s2edit_core.request.spec import EditRequest
from s2edit_jobs.bootstrap import build_services
from s2edit_jobs.intake.drafts import draft
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.records.files import Upload
from s2edit_jobs.records.record import JobState, Outcome, Owner
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.object_store.filesystem_artifacts import FilesystemArtifactStore
from tests.admin import METRICS_TOKEN
from tests.doubles import FakeEngine
from tests.stores import Database, MemoryJobQueue
from worker.attempts.runner import run_job
from worker.housekeeping.messenger import Messenger
from worker.housekeeping.reaper import reap

ANN, BOB = Owner("default", "ann"), Owner("default", "bob")
FILES = {"image": Upload(b"photo", "image/png"), "mask": Upload(b"mask", "image/png")}
HOOK = "https://app.example.com/hook"
KEYS = SecretStr("whsec_" + "A" * 32)
MODEL = "the/model"
OLD = 1_000_000_000.0
IDS = {kind: [f"{kind}_{digit * 32}" for digit in "159"] for kind in ("c", "a", "u")}


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
            metrics_token=SecretStr(METRICS_TOKEN),
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
            if not messenger.send_next():
                return self.sent
        raise AssertionError("the outbox does not become empty")

    def listed(self, path: str) -> set[str]:
        answer = self.client.get(path, params={"limit": 100})
        assert answer.status_code == 200, answer.json()
        return {item["id"] for item in answer.json()["items"]}
