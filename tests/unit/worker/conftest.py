from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from s2edit_core.request.spec import EditRequest
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.intake.drafts import draft
from s2edit_jobs.jobs.jobs import Jobs
from s2edit_jobs.records.files import Upload
from s2edit_jobs.records.record import JobRecord, Outcome, Owner
from s2edit_jobs.settings import Settings
from tests.doubles import FakeEngine
from tests.stores import Database, MemoryArtifactStore, MemoryJobQueue
from worker.attempts.runner import run_job
from worker.engines.engine import EditInputs

ANN = Owner("app", "ann")
FILES = {"image": Upload(b"photo", "image/png"), "mask": Upload(b"mask", "image/png")}
REQUEST = EditRequest(prompt="a photo of a woman with red hair")


@dataclass
class Shop:
    """The whole service in this process, with a fake engine and a clock that a test moves."""

    engine: FakeEngine = field(default_factory=FakeEngine)
    now: float = field(default_factory=time.time)
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.artifacts = MemoryArtifactStore()
        self.database = Database()
        self.store = self.database.store(clock=lambda: self.now)
        self.queue = MemoryJobQueue()
        settings = Settings(data_dir=Path("/dev/null/nowhere"), lease_s=15, heartbeat_interval_s=0.01, max_attempts=3)
        self.services = Services(self.artifacts, self.store, self.queue, settings)
        self.jobs = Jobs(self.services)

    @property
    def inputs(self) -> EditInputs:
        return EditInputs(FILES["image"].data, FILES["mask"].data)

    def accept(self, request: EditRequest = REQUEST, files: dict[str, Upload] = FILES, **named: Any) -> str:
        return self.jobs.accept(draft(self.services, ANN, request, files, **named), files).id

    def work(self, engine: FakeEngine | None = None) -> None:
        """Answer the next ring."""
        run_job(self.queue.rings.popleft(), self.services, engine or self.engine, stop=self.stop)

    def get(self, job_id: str) -> JobRecord:
        return self.jobs.get(ANN, job_id)

    def outcome(self, job_id: str) -> Outcome | None:
        return self.jobs.outcome(ANN, job_id)

    def published(self, job_id: str) -> list[str]:
        """What lies in the job's folder besides what was accepted."""
        prefix = f"{ANN.prefix}edits/{job_id}/"
        accepted = {"image.png", "mask.png", "spec.json"}
        return [name for key in self.artifacts.list(prefix) if (name := key.removeprefix(prefix)) not in accepted]


@pytest.fixture
def shop() -> Shop:
    return Shop()
