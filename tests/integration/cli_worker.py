"""A worker whose engine takes a few seconds and no model: `s2edit up --worker-app tests.integration.cli_worker`."""

from __future__ import annotations

from s2edit_jobs.settings import Settings
from tests.doubles import FakeEngine
from worker.process import WorkerProcess

app = WorkerProcess(Settings(), lambda _settings: FakeEngine(steps=20, step_s=0.05)).app
