"""The Celery app of a worker without a model: `s2edit up --worker-app lab.load.fake_worker`. Its edits take a moment each."""

from __future__ import annotations

from lab.storm.system.engines import FACTS
from s2edit_jobs.settings import Settings
from worker.engines.engine import Engine
from worker.engines.modeless_engine import ModelessEngine
from worker.process import WorkerProcess

STEPS, STEP_S = 5, 0.01
"""Per phase: 0.15 s for a first edit, 0.05 s for a further one."""


def load_engine(_: Settings) -> Engine:
    return ModelessEngine(FACTS, "fake", steps=STEPS, step_s=STEP_S)


app = WorkerProcess(Settings(), load_engine).app
