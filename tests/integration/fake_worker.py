"""The shipped worker process with a fake engine, for tests: `celery -A tests.integration.fake_worker worker`."""

from __future__ import annotations

import os
import time
from pathlib import Path

from s2edit_core.errors import DeviceFault, ModelUnusable
from s2edit_core.request.plan import EditPlan
from s2edit_core.request.spec import EditRequest
from s2edit_jobs.settings import Settings
from tests.doubles import FakeEngine
from worker.engines.engine import EditInputs, Engine
from worker.process import WorkerProcess


class QuotingEngine(FakeEngine):
    """An engine whose error message quotes the request."""

    def plan(self, request: EditRequest, inputs: EditInputs) -> EditPlan:
        raise RuntimeError(f"can't do {request.prompt}")


class SickEngine(FakeEngine):
    """An engine on a device that is lost."""

    def plan(self, request: EditRequest, inputs: EditInputs) -> EditPlan:
        raise DeviceFault("the device has failed")


class HangingEngine(FakeEngine):
    """An engine on a device that never answers."""

    def plan(self, request: EditRequest, inputs: EditInputs) -> EditPlan:
        time.sleep(3600)
        raise AssertionError


def load_engine(_: Settings) -> Engine:
    if (device := os.environ.get("FAKE_DEVICE")) is not None:
        return {"sick": SickEngine, "hanging": HangingEngine}[device]()
    if os.environ.get("FAKE_ENGINE_QUOTES"):
        return QuotingEngine()
    awaited = os.environ.get("FAKE_ENGINE_WAITS_FOR")
    while awaited is not None and not Path(awaited).exists():
        time.sleep(0.05)
    broken = os.environ.get("FAKE_ENGINE_BROKEN_WHILE")
    if broken is not None and Path(broken).exists():
        raise ModelUnusable("the model 'no-model' can't be loaded: no weights")
    if os.environ.get("FAKE_ENGINE_BROKEN"):
        raise RuntimeError("no such model")
    return FakeEngine(steps=int(os.environ["FAKE_ENGINE_STEPS"]), step_s=0.02)


app = WorkerProcess(Settings(), load_engine).app
