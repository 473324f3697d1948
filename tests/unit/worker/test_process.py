"""What a worker process does before its first job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from s2edit_jobs.bootstrap import Services
from s2edit_jobs.errors import ArtifactsUnavailable, ModelUnknown
from s2edit_jobs.memory import MemoryArtifactStore, MemoryJobQueue, MemoryJobStore
from s2edit_jobs.model_facts import facts_of
from s2edit_jobs.settings import Settings
from tests.doubles import FakeEngine
from worker import process as module
from worker.process import WorkerProcess

SETTINGS = Settings(data_dir=Path("/nowhere"), redis_url="redis://127.0.0.1:1/0", model="some/model")


@pytest.fixture
def artifacts() -> MemoryArtifactStore:
    return MemoryArtifactStore()


@pytest.fixture
def process(artifacts: MemoryArtifactStore, monkeypatch: pytest.MonkeyPatch) -> WorkerProcess:
    monkeypatch.setattr(module, "configure_logs", lambda: None)  # that is for good, and other tests follow in this process
    services = Services(artifacts, MemoryJobStore(), MemoryJobQueue(), SETTINGS)
    return WorkerProcess(SETTINGS, lambda _: FakeEngine(), lambda _: services)


def test_it_tells_which_model_it_has(artifacts: MemoryArtifactStore, process: WorkerProcess) -> None:
    with pytest.raises(ModelUnknown):
        facts_of(artifacts, "some/model")
    process.start()
    process.stop()
    assert facts_of(artifacts, "some/model") == FakeEngine.facts
    with pytest.raises(ModelUnknown):
        facts_of(artifacts, "another/model")


def test_an_object_store_that_was_down_is_told_with_the_next_job(
    artifacts: MemoryArtifactStore, process: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as outage:

        def down(*_: Any, **__: Any) -> None:
            raise ArtifactsUnavailable("down")

        outage.setattr(artifacts, "put", down)
        process.start()
    process.run("e_1")
    process.stop()
    assert facts_of(artifacts, "some/model") == FakeEngine.facts
