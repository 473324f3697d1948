"""`celery -A tests.clients.guide_worker worker`: the fake engine with pictures as results.

Edits can continue from them.
"""

from __future__ import annotations

from s2edit_core.request.spec import EditRequest
from s2edit_jobs.settings import Settings
from tests.doubles import FakeEngine
from worker.engines.engine import EditInputs, Engine
from worker.process import WorkerProcess


class PictureEngine(FakeEngine):
    """The result of an edit is the photo."""

    def result(self, request: EditRequest, inputs: EditInputs) -> bytes:
        return inputs.image


def load_engine(_: Settings) -> Engine:
    return PictureEngine(steps=2, step_s=0.02)


app = WorkerProcess(Settings(), load_engine).app
