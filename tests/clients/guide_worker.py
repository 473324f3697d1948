"""`celery -A tests.clients.guide_worker worker`: an engine without a model whose results are pictures.

Edits can continue from them.
"""

from __future__ import annotations

from s2edit_jobs.settings import Settings
from tests.doubles import FakeEngine
from worker.engines.engine import Engine
from worker.engines.painters import TintPainter
from worker.process import WorkerProcess


def load_engine(_: Settings) -> Engine:
    return FakeEngine(steps=2, step_s=0.02, painter=TintPainter())


app = WorkerProcess(Settings(), load_engine).app
