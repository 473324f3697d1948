"""`celery -A worker.app worker`: the worker with the real engine. Importing it loads neither torch nor the model."""

from __future__ import annotations

from s2edit_jobs.settings import Settings
from worker.engine import Engine
from worker.process import WorkerProcess


def load_engine(settings: Settings) -> Engine:
    """Load torch and the model; once per process, when the worker starts."""
    from worker.provenance import Credentials, SigningEngine
    from worker.s2edit_engine import S2EditEngine

    engine = S2EditEngine(settings.model, settings.device, watermark=settings.watermark, captioner=settings.captioner)
    return SigningEngine(engine, Credentials.from_settings(settings)) if settings.provenance else engine


app = WorkerProcess(Settings(), load_engine).app
