"""The start of a worker process."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.supervision.service import free_port
from s2edit_core.errors import ModelUnusable
from s2edit_core.request.spec import EditRequest, Progress
from s2edit_jobs.bootstrap import NotConfigured, Services
from s2edit_jobs.intake.drafts import draft
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.records.errors import ArtifactsUnavailable, ModelUnknown
from s2edit_jobs.records.files import Upload
from s2edit_jobs.records.record import JobState, Owner
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.model_facts import facts_of, failure_of
from tests.doubles import FakeEngine
from tests.stores import Database, MemoryArtifactStore, MemoryJobQueue
from tests.waiting import until
from worker import process as module
from worker.announcer import Announcer
from worker.attempts.progress_watch import ProcessProgress, ProgressWatch
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
        (
            NotConfigured("cannot sign results with S2EDIT_PROVENANCE_CERTIFICATE"),
            "cannot sign results with S2EDIT_PROVENANCE_CERT",
        ),
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


class EngineOnDevice(FakeEngine):
    """An engine whose device has used 7 MB."""

    def peak_memory_bytes(self) -> int:
        return 7_000_000


@pytest.mark.parametrize(("allowed", "jobs"), [(None, [3]), (2, [2]), (9, [3]), (1, [])])
def test_memory_bounds_the_jobs_at_a_time(
    artifacts: MemoryArtifactStore, settings: Settings, monkeypatch: pytest.MonkeyPatch, allowed: int | None, jobs: list[int]
) -> None:
    made: list[int] = []

    class Slots(module.AttemptSlots):
        def __init__(self, size: int, *rest: Any) -> None:
            made.append(size)
            super().__init__(size, *rest)

    monkeypatch.setattr(module, "configure_logs", lambda: None)
    monkeypatch.setattr(module, "AttemptSlots", Slots)
    monkeypatch.setattr(FakeEngine, "most_jobs", lambda _: allowed)
    settings = settings.model_copy(update={"worker_jobs": 3})
    services = Services(artifacts, Database().store(), MemoryJobQueue(), settings)
    process = WorkerProcess(settings, lambda _: FakeEngine(), lambda _: services)
    process.start()
    process.stop()
    process.finish()
    assert made == jobs


def test_it_answers_while_the_model_is_loading_and_then_shows_its_metrics(
    artifacts: MemoryArtifactStore, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "configure_logs", lambda: None)
    port, during = free_port(), []
    settings = settings.model_copy(update={"worker_metrics_port": port})
    services = Services(artifacts, Database().store(), MemoryJobQueue(), settings)

    def load(_: Settings) -> FakeEngine:
        during.append(httpx.get(f"http://127.0.0.1:{port}/livez").status_code)
        return EngineOnDevice()

    process = WorkerProcess(settings, load, lambda _: services)
    process.start()
    try:
        assert during == [200]
        shown = httpx.get(f"http://127.0.0.1:{port}/metrics").text
        assert "s2edit_device_peak_memory_bytes 7e+06" in shown
        assert "s2edit_attempts_total{" in shown or "# TYPE s2edit_attempts_total counter" in shown
        announcer = process._announcer
        assert announcer is not None
        monkeypatch.setattr(announcer, "_stalled_s", 0.0)
        answer = httpx.get(f"http://127.0.0.1:{port}/livez")
        assert (answer.status_code, answer.text.partition(" for ")[0]) == (503, "the announcer has completed nothing")
    finally:
        process.stop()
        assert process._health_server is not None
        process._health_server.stop()


def test_a_hung_attempt_is_not_alive(process: WorkerProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    progress, now = ProcessProgress(), 1000.0
    monkeypatch.setattr(module, "worker_progress", progress)
    watch = ProgressWatch(10.0, process=progress, now=lambda: now)
    process.start()
    try:
        assert process.problems() == []
        watch.begin("e_1")
        now += 49.0  # the first stretches of a process may take five times as long
        assert process.problems() == []
        assert process._stuck() == [("", 49.0)]
        now += 1e9
        assert process.problems() == ["the attempt has not advanced for 1000000049 s"]
        watch.advance()
        assert process.problems() == []
    finally:
        watch.end()
        process.stop()
    assert process._stuck() == []


def test_a_taken_metrics_port_ends_the_worker_with_the_reason(
    settings: Settings, process: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(process, "_settings", settings.model_copy(update={"worker_metrics_port": port}))
        with pytest.raises(SystemExit, match=f"port {port} .*give S2EDIT_WORKER_METRICS_PORT a free port"):
            process.start()


def test_a_report_that_fails_for_any_reason_is_tried_again(
    artifacts: MemoryArtifactStore, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = Services(artifacts, Database().store(), MemoryJobQueue(), settings)
    announcer, put, refused = Announcer(services, FakeEngine.facts, interval_s=0.01), artifacts.put, []

    def failing(*given: Any, **named: Any) -> None:
        if len(refused) < 3:
            refused.append(1)
            raise RuntimeError("a fault of our own") if len(refused) > 1 else ArtifactsUnavailable("down")
        put(*given, **named)

    monkeypatch.setattr(artifacts, "put", failing)
    announcer.start()
    until(lambda: facts_of_or_none(artifacts) == FakeEngine.facts)
    announcer.stop()


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


class Meeting(FakeEngine):
    """An engine whose edits wait for each other in the middle."""

    def __init__(self, jobs: int) -> None:
        super().__init__(on_step=self._meet)
        self.barrier = threading.Barrier(jobs)

    def _meet(self, progress: Progress) -> None:
        if (progress.phase, progress.step) == ("editing", 1):
            self.barrier.wait(20)


def accept(services: Services, user: str) -> str:
    request = EditRequest(prompt="a photo of a woman with red hair")
    owner, files = Owner("app", user), {name: Upload(user.encode(), "image/png") for name in ("image", "mask")}
    return Jobs(services).accept(draft(services, owner, request, files), files).id


def test_a_worker_runs_as_many_jobs_at_a_time_as_its_setting_says(
    artifacts: MemoryArtifactStore, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "configure_logs", lambda: None)
    settings = settings.model_copy(update={"worker_jobs": 3})
    services = Services(artifacts, Database().store(), MemoryJobQueue(), settings)
    process = WorkerProcess(settings, lambda _: Meeting(3), lambda _: services)
    process.start()
    jobs = {user: accept(services, user) for user in ("ann", "bob", "cleo")}
    for job_id in jobs.values():
        process.run(job_id)
    records = {Owner("app", user): job_id for user, job_id in jobs.items()}
    until(lambda: {Jobs(services).get(*each).state for each in records.items()} == {JobState.SUCCEEDED})  # they have met
    process.stop()
    process.finish()


def test_a_worker_that_stops_hands_all_its_jobs_back(
    artifacts: MemoryArtifactStore, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "configure_logs", lambda: None)
    settings = settings.model_copy(update={"worker_jobs": 2})
    services = Services(artifacts, Database().store(), MemoryJobQueue(), settings)
    running = threading.Semaphore(0)

    def wait(progress: Progress) -> None:
        running.release()
        process._stop.wait(20)

    process = WorkerProcess(settings, lambda _: FakeEngine(on_step=wait), lambda _: services)
    process.start()
    jobs = {user: accept(services, user) for user in ("ann", "bob")}
    for job_id in jobs.values():
        process.run(job_id)
        assert running.acquire(timeout=20)
    assert process._health.company.others("") == 2
    process.stop()
    process.run("e_late")  # a last message
    process.finish()
    records = [Jobs(services).get(Owner("app", user), job_id) for user, job_id in jobs.items()]
    assert [(record.state, record.attempt) for record in records] == [(JobState.QUEUED, 0)] * 2
    assert "e_late" in services.queue.messages  # type: ignore[attr-defined]
