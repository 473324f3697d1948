"""The start of a worker process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from s2edit_core.errors import ModelUnusable
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.records.errors import ArtifactsUnavailable, ModelUnknown
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.model_facts import facts_of, failure_of
from tests.doubles import FakeEngine
from tests.stores import Database, MemoryArtifactStore, MemoryJobQueue
from tests.waiting import until
from worker import process as module
from worker.announcer import Announcer
from worker.process import WorkerProcess


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A data folder, in which the worker stores a key."""
    return Settings(data_dir=tmp_path, redis_url="redis://127.0.0.1:1/0", model="some/model")


@pytest.fixture
def artifacts() -> MemoryArtifactStore:
    return MemoryArtifactStore()


@pytest.fixture
def process(artifacts: MemoryArtifactStore, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> WorkerProcess:
    monkeypatch.setattr(module, "configure_logs", lambda: None)  # it would affect later tests in this process
    services = Services(artifacts, Database().store(), MemoryJobQueue(), settings)
    return WorkerProcess(settings, lambda _: FakeEngine(), lambda _: services)


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


class Unloadable:
    def __init__(self, error: Exception) -> None:
        self.error = error

    def __call__(self, _: Settings) -> FakeEngine:
        raise self.error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ModelUnusable("the model 'm' can't be loaded: no weights in unet/"), "no weights in unet/"),
        (RuntimeError("CUDA error at /srv/secret"), "loading the model failed with RuntimeError: see the worker's log"),
    ],
)
def test_a_model_that_cannot_be_loaded_is_told_and_ends_the_worker(
    artifacts: MemoryArtifactStore, settings: Settings, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    monkeypatch.setattr(module, "configure_logs", lambda: None)
    services = Services(artifacts, Database().store(), MemoryJobQueue(), settings)
    with pytest.raises(SystemExit, match="the worker can't start"):
        WorkerProcess(settings, Unloadable(error), lambda _: services).start()
    failure = failure_of(artifacts, "some/model")
    assert failure is not None
    assert words in failure.message
    assert "secret" not in failure.message
    process = WorkerProcess(settings, lambda _: FakeEngine(), lambda _: services)
    process.start()
    process.stop()
    assert failure_of(artifacts, "some/model") is None


def test_a_worker_goes_on_telling_that_it_has_the_model(artifacts: MemoryArtifactStore, settings: Settings) -> None:
    services = Services(artifacts, Database().store(), MemoryJobQueue(), settings)
    announcer = Announcer(services, FakeEngine.facts, interval_s=0.01)
    announcer.start()
    artifacts.delete_prefix("models/")
    until(lambda: facts_of_or_none(artifacts) == FakeEngine.facts)
    announcer.stop()


def facts_of_or_none(artifacts: MemoryArtifactStore) -> Any:
    try:
        return facts_of(artifacts, "some/model")
    except ModelUnknown:
        return None
