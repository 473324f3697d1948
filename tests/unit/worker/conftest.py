from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from s2edit_core.request.spec import EditRequest
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.intake.drafts import draft
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.records.files import Upload
from s2edit_jobs.records.record import JobRecord, Outcome, Owner
from s2edit_jobs.settings import Settings
from tests.doubles import FakeEngine
from tests.stores import Database, MemoryArtifactStore, MemoryJobQueue
from worker.attempts.runner import run_job
from worker.attempts.worker_health import WorkerHealth
from worker.engines.engine import EditInputs

ANN = Owner("app", "ann")
FILES = {"image": Upload(b"photo", "image/png"), "mask": Upload(b"mask", "image/png")}
LONGEST_WAIT_S = 8.0
"""The wait after the second of three attempts."""
REQUEST = EditRequest(prompt="a photo of a woman with red hair")


@cache
def settings_of_a_service() -> Settings:
    """Read the environment once: it takes as long as many tests here."""
    return Settings(data_dir=Path("/dev/null/nowhere"), lease_s=15, heartbeat_interval_s=0.01, max_attempts=3)


@dataclass
class InProcessService:
    """The whole service in this process, with a fake engine and a clock that tests set."""

    engine: FakeEngine = field(default_factory=FakeEngine)
    now: float = field(default_factory=time.time)
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.artifacts = MemoryArtifactStore()
        self.database = Database()
        self.store = self.database.store(clock=lambda: self.now)
        self.queue = MemoryJobQueue()
        self.services = Services(self.artifacts, self.store, self.queue, settings_of_a_service())
        self.jobs = Jobs(self.services)
        self.exits: list[int] = []
        self.health = WorkerHealth(self.stop, self.exits.append)

    @property
    def inputs(self) -> EditInputs:
        return EditInputs(FILES["image"].data, FILES["mask"].data)

    def accept(self, request: EditRequest = REQUEST, files: dict[str, Upload] = FILES, **named: Any) -> str:
        return self.jobs.accept(draft(self.services, ANN, request, files, **named), files).id

    def work(self, engine: FakeEngine | None = None) -> None:
        """Handle the next notification. Without one, first let the time pass for which a failed job waits."""
        if not self.queue.messages:
            self.pass_time(LONGEST_WAIT_S)
        self.handle(engine)

    def handle(self, engine: FakeEngine | None = None) -> None:
        """Handle the next notification. Raise `IndexError` without one."""
        run_job(self.queue.messages.popleft(), self.services, engine or self.engine, stop=self.stop, health=self.health)

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and notify the workers of claimable jobs, as a reaper does."""
        self.now += seconds
        for job_id in self.store.leases.orphans():
            self.queue.notify(job_id)

    def get(self, job_id: str) -> JobRecord:
        return self.jobs.get(ANN, job_id)

    def outcome(self, job_id: str) -> Outcome | None:
        return self.jobs.outcome(ANN, job_id)

    def published(self, job_id: str) -> list[str]:
        """Return the names in the job's folder, without the accepted files."""
        prefix = f"{ANN.prefix}edits/{job_id}/"
        accepted = {"image.png", "mask.png", "spec.json"}
        return [name for key in self.artifacts.list(prefix) if (name := key.removeprefix(prefix)) not in accepted]


@pytest.fixture
def service() -> InProcessService:
    return InProcessService()
