"""Real worker processes with a real Redis and files: they are killed, stopped and cut off from Redis."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
import redis

from s2edit_core.request.spec import EditRequest
from s2edit_jobs.bootstrap import Services, build_services
from s2edit_jobs.intake.drafts import draft
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.records.errors import StoreUnavailable
from s2edit_jobs.records.files import Upload
from s2edit_jobs.records.record import JobRecord, JobState, Owner
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.embedded_redis import EmbeddedRedis
from tests.doubles import FakeEngine
from tests.servers.forked import Forked
from worker.attempts.worker_health import EXIT_DEVICE_FAULT, EXIT_HUNG
from worker.engines.engine import EditInputs

ROOT = Path(__file__).resolve().parents[2]
ANN = Owner("app", "ann")
FILES = {"image": Upload(b"photo", "image/png"), "mask": Upload(b"mask", "image/png")}
REQUEST = EditRequest(prompt="a photo of a woman with red hair")
RESULT = FakeEngine().result(REQUEST, EditInputs(b"photo", b"mask"))
PATIENCE_S = 40.0
LONG, SHORT = 100, 2  # steps per phase, 20 ms each


@dataclass
class Deployment:
    """A Redis, a data folder, and the processes that a test starts: a housekeeper and workers."""

    redis: EmbeddedRedis
    settings: Settings
    log: Path
    leases: int = 1  # jobs that a worker runs at a time
    processes: list[Forked] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.services: Services = build_services(self.settings)
        self.jobs = Jobs(self.services)

    def start_housekeeper(self) -> Forked:
        return self._start(["worker.housekeeper"])

    def start_worker(self, *, steps: int, pool: str = "solo", broken: bool = False, device: str | None = None) -> Forked:
        command = ["celery", "-A", "tests.integration.fake_worker", "worker", "--pool", pool]
        command += ["--without-mingle", "--without-gossip", "--loglevel", "INFO", "--hostname", f"w{len(self.processes)}@test"]
        sick = {"FAKE_DEVICE": device, "S2EDIT_PASS_TIMEOUT_S": "0.5"} if device else {}
        return self._start(command, FAKE_ENGINE_STEPS=str(steps), FAKE_ENGINE_BROKEN="yes" if broken else "", **sick)

    def _start(self, command: list[str], **environment: str) -> Forked:
        given = {
            "S2EDIT_REDIS_URL": self.redis.url,
            "S2EDIT_DATA_DIR": str(self.settings.data_dir),
            "S2EDIT_LEASE_S": str(self.settings.lease_s),
            "S2EDIT_HEARTBEAT_INTERVAL_S": str(self.settings.heartbeat_interval_s),
            "S2EDIT_REAP_INTERVAL_S": str(self.settings.reap_interval_s),
            "S2EDIT_WORKER_JOBS": str(self.leases),
            **environment,
        }
        process = Forked(command, {**os.environ, **given}, self.log)
        self.processes.append(process)
        return process

    def accept(self) -> str:
        return self.jobs.accept(draft(self.services, ANN, REQUEST, FILES), FILES).id

    def get(self, job_id: str) -> JobRecord:
        return self.jobs.get(ANN, job_id)

    def wait_for(self, job_id: str, condition: Callable[[JobRecord], bool]) -> JobRecord:
        """Poll as an app does: after a 503 it asks again. A Redis whose disk is busy lets a call time out."""
        deadline = time.monotonic() + PATIENCE_S
        seen: JobRecord | StoreUnavailable
        while True:
            try:
                seen = self.get(job_id)
                if condition(seen):
                    return seen
            except StoreUnavailable as error:
                seen = error
            assert time.monotonic() < deadline, f"the job is {seen!r}; the end of the log: {self.log.read_text()[-3000:]}"
            time.sleep(0.05)

    def wait_until_done(self, job_id: str) -> JobRecord:
        record = self.wait_for(job_id, lambda record: record.state.over)
        assert record.state is JobState.SUCCEEDED, record
        assert self.services.artifacts.get(record.artifacts["result"]) == RESULT
        return record

    def names(self, job_id: str) -> list[str]:
        return [key.rsplit("/")[-1].split("-")[0] for key in self.services.artifacts.list(f"{ANN.prefix}edits/{job_id}/")]

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture(params=[1, 4], ids=["one lease", "four leases"])
def deployment(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Deployment]:
    with EmbeddedRedis(tmp_path / "redis") as server:
        settings = Settings(redis_url=server.url, data_dir=tmp_path, lease_s=1.5, heartbeat_interval_s=0.3, reap_interval_s=0.5)
        deployment = Deployment(server, settings, tmp_path / "workers.log", request.param)
        deployment.start_housekeeper()
        try:
            yield deployment
        finally:
            deployment.stop()


def learning(record: JobRecord) -> bool:
    return record.phase == "learning" and record.step > 0


def started(record: JobRecord) -> bool:
    """Return whether the job is in any phase. A short phase can pass between two polls."""
    return record.phase is not None


def test_another_worker_finishes_the_job_of_a_killed_one(deployment: Deployment) -> None:
    first = deployment.start_worker(steps=LONG)
    job_id = deployment.accept()
    deployment.wait_for(job_id, learning)
    first.kill()
    first.wait()
    deployment.start_worker(steps=SHORT)
    record = deployment.wait_until_done(job_id)
    assert record.attempt == 2
    assert deployment.names(job_id) == ["image.png", "mask.png", "outcome.json", "report", "result", "spec.json"]
    second = deployment.accept()  # the worker goes on, and reuses the learned identity
    deployment.wait_until_done(second)
    assert b'"learning_steps": 0' in deployment.services.artifacts.get(deployment.get(second).artifacts["report"])


def test_a_stopped_worker_returns_its_job_to_the_queue(deployment: Deployment) -> None:
    first = deployment.start_worker(steps=LONG)
    job_id = deployment.accept()
    deployment.wait_for(job_id, learning)
    first.send_signal(signal.SIGTERM)
    first.wait(timeout=PATIENCE_S)
    handed_back = deployment.get(job_id)
    assert (handed_back.state, handed_back.attempt) == (JobState.QUEUED, 0)
    deployment.start_worker(steps=SHORT)
    assert deployment.wait_until_done(job_id).attempt == 1


def test_a_stopped_worker_returns_all_its_jobs_uncounted(deployment: Deployment) -> None:
    worker = deployment.start_worker(steps=LONG)
    concept = deployment.accept()
    deployment.wait_for(concept, lambda record: record.phase == "editing")
    jobs = [concept, *(deployment.accept() for _ in range(deployment.leases - 1))]
    for job_id in jobs:
        deployment.wait_for(job_id, started)  # all run at the same time
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=PATIENCE_S) == 0
    assert [(deployment.get(job_id).state, deployment.get(job_id).attempt) for job_id in jobs] == [(JobState.QUEUED, 0)] * len(jobs)
    assert "lease was lost" not in deployment.log.read_text()


def test_flushing_redis_loses_no_running_or_queued_job(deployment: Deployment) -> None:
    deployment.start_worker(steps=20)
    jobs = [deployment.accept() for _ in range(3)]
    deployment.wait_for(jobs[0], started)
    redis.Redis.from_url(deployment.redis.url).flushall()
    for job_id in jobs:
        deployment.wait_until_done(job_id)
        assert deployment.names(job_id).count("outcome.json") == 1


def test_a_worker_reconnects_to_a_restarted_redis(deployment: Deployment) -> None:
    deployment.start_worker(steps=50)
    running = deployment.accept()
    deployment.wait_for(running, started)
    deployment.redis.stop()
    time.sleep(0.5)
    deployment.redis.start()
    deployment.wait_until_done(running)
    assert deployment.names(running).count("outcome.json") == 1
    deployment.wait_until_done(deployment.accept())


def test_a_worker_that_was_paused_past_its_lease_publishes_nothing(deployment: Deployment) -> None:
    paused = deployment.start_worker(steps=LONG)
    job_id = deployment.accept()
    deployment.wait_for(job_id, learning)
    paused.send_signal(signal.SIGSTOP)
    deployment.start_worker(steps=SHORT)
    done = deployment.wait_until_done(job_id)
    paused.send_signal(signal.SIGCONT)
    deadline = time.monotonic() + PATIENCE_S
    while "the lease was lost" not in deployment.log.read_text():
        assert time.monotonic() < deadline, deployment.log.read_text()[-3000:]
        time.sleep(0.05)
    assert deployment.get(job_id) == done
    assert deployment.names(job_id) == ["image.png", "mask.png", "outcome.json", "report", "result", "spec.json"]


def test_a_worker_cancels_a_running_job_and_goes_on(deployment: Deployment) -> None:
    deployment.start_worker(steps=LONG)
    job_id = deployment.accept()
    deployment.wait_for(job_id, learning)
    deployment.jobs.cancel(ANN, job_id)
    assert deployment.wait_for(job_id, lambda record: record.state.over).state is JobState.CANCELED
    assert deployment.names(job_id) == ["cancellation.json", "image.png", "mask.png", "outcome.json", "spec.json"]
    following = deployment.accept()
    deployment.wait_for(following, learning)


def test_fifty_first_edits_of_one_photo_on_three_workers_learn_once(deployment: Deployment) -> None:
    deployment.settings = deployment.settings.model_copy(update={"lease_s": 30.0})  # a slow worker must not lose its job
    for _ in range(3):
        deployment.start_worker(steps=5)
    jobs = [deployment.accept() for _ in range(50)]
    for job_id in jobs:
        deployment.wait_until_done(job_id)
    reports = [deployment.services.artifacts.get(deployment.get(job_id).artifacts["report"]) for job_id in jobs]
    assert sum(b'"learning_steps": 5' in report for report in reports) == 1
    assert sum(b'"learning_steps": 0' in report for report in reports) == 49
    assert {deployment.get(job_id).attempt for job_id in jobs} == {1}


def test_a_worker_that_cannot_load_its_model_logs_the_reason_and_exits(deployment: Deployment) -> None:
    worker = deployment.start_worker(steps=SHORT, broken=True)
    assert worker.wait(timeout=PATIENCE_S) != 0
    assert "no such model" in deployment.log.read_text()


def test_a_worker_never_forks(deployment: Deployment) -> None:
    # A forked process could not use the GPU. Celery's default pool, prefork, yields to the worker's configuration.
    worker = deployment.start_worker(steps=SHORT, pool="prefork")
    deployment.wait_until_done(deployment.accept())
    assert psutil.Process(worker.pid).children() == []


def test_the_worker_app_loads_no_torch_until_it_starts() -> None:
    program = "import sys, worker.app; assert worker.app.app.tasks; sys.exit('torch' in sys.modules)"
    env = {**os.environ, "S2EDIT_REDIS_URL": "redis://127.0.0.1:1/0"}  # nobody connects to it
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=env, check=False).returncode == 0


@pytest.mark.parametrize(("device", "status"), [("sick", EXIT_DEVICE_FAULT), ("hanging", EXIT_HUNG)])
def test_a_worker_whose_device_fails_or_hangs_exits_and_another_does_its_jobs(
    deployment: Deployment, device: str, status: int
) -> None:
    job_ids = [deployment.accept() for _ in range(3)]
    failing = deployment.start_worker(steps=SHORT, device=device)
    assert failing.wait(PATIENCE_S) == status
    assert [deployment.get(job_id).state.over for job_id in job_ids] == [False] * 3
    assert '"action": "worker_ends"' in deployment.log.read_text()
    deployment.start_worker(steps=SHORT)
    records = [deployment.wait_until_done(job_id) for job_id in job_ids]
    hung = min(deployment.leases, len(job_ids)) if device == "hanging" else 0  # each of them may be the reason
    # Beside a sick device, companions hand back uncounted if they answer within LEAVE_S, which a busy machine may not allow.
    late = min(deployment.leases, len(job_ids)) - 1 if device == "sick" else 0
    assert hung <= sum(record.attempt == 2 for record in records) <= hung + late
    assert {record.attempt for record in records} <= {1, 2}
