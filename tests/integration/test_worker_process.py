"""Real worker processes, a real Redis, real files: killed, stopped, and robbed of their Redis."""

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
from s2edit_jobs.jobs.jobs import Jobs
from s2edit_jobs.records.files import Upload
from s2edit_jobs.records.record import JobRecord, JobState, Owner
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.embedded_redis import EmbeddedRedis
from tests.doubles import FakeEngine
from worker.engines.engine import EditInputs

ROOT = Path(__file__).resolve().parents[2]
ANN = Owner("app", "ann")
FILES = {"image": Upload(b"photo", "image/png"), "mask": Upload(b"mask", "image/png")}
REQUEST = EditRequest(prompt="a photo of a woman with red hair")
RESULT = FakeEngine().result(REQUEST, EditInputs(b"photo", b"mask"))
PATIENCE_S = 40.0
LONG, SHORT = 100, 2  # steps per phase, of 20 ms


@dataclass
class House:
    """A Redis, a folder, and the workers that a test starts."""

    redis: EmbeddedRedis
    settings: Settings
    log: Path
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.services: Services = build_services(self.settings)
        self.jobs = Jobs(self.services)

    def start_worker(self, *, steps: int, pool: str = "solo", broken: bool = False) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "celery", "-A", "tests.integration.fake_worker", "worker", "--pool", pool]
        command += ["--without-mingle", "--without-gossip", "--loglevel", "INFO", "--hostname", f"w{len(self.workers)}@test"]
        given = {
            "S2EDIT_REDIS_URL": self.redis.url,
            "S2EDIT_DATA_DIR": str(self.settings.data_dir),
            "S2EDIT_LEASE_S": str(self.settings.lease_s),
            "S2EDIT_HEARTBEAT_INTERVAL_S": str(self.settings.heartbeat_interval_s),
            "S2EDIT_REAP_INTERVAL_S": str(self.settings.reap_interval_s),
            "FAKE_ENGINE_STEPS": str(steps),
            "FAKE_ENGINE_BROKEN": "yes" if broken else "",
        }
        with self.log.open("ab") as log:
            worker = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **given}, stdout=log, stderr=log)
        self.workers.append(worker)
        return worker

    def accept(self) -> str:
        return self.jobs.accept(draft(self.services, ANN, REQUEST, FILES), FILES).id

    def get(self, job_id: str) -> JobRecord:
        return self.jobs.get(ANN, job_id)

    def wait_for(self, job_id: str, condition: Callable[[JobRecord], bool]) -> JobRecord:
        deadline = time.monotonic() + PATIENCE_S
        while not condition(record := self.get(job_id)):
            assert time.monotonic() < deadline, f"it stands at {record}; the log ends: {self.log.read_text()[-3000:]}"
            time.sleep(0.05)
        return record

    def wait_until_done(self, job_id: str) -> JobRecord:
        record = self.wait_for(job_id, lambda record: record.state.over)
        assert record.state is JobState.SUCCEEDED, record
        assert self.services.artifacts.get(record.artifacts["result"]) == RESULT
        return record

    def names(self, job_id: str) -> list[str]:
        return [key.rsplit("/")[-1].split("-")[0] for key in self.services.artifacts.list(f"{ANN.prefix}edits/{job_id}/")]

    def stop(self) -> None:
        for worker in self.workers:
            worker.kill()
            worker.wait()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with EmbeddedRedis(tmp_path / "redis") as server:
        settings = Settings(redis_url=server.url, data_dir=tmp_path, lease_s=1.5, heartbeat_interval_s=0.3, reap_interval_s=0.5)
        house = House(server, settings, tmp_path / "workers.log")
        try:
            yield house
        finally:
            house.stop()


def learning(record: JobRecord) -> bool:
    return record.phase == "learning" and record.step > 0


def under_way(record: JobRecord) -> bool:
    """In any phase: a short one may pass between two looks."""
    return record.phase is not None


def test_a_killed_workers_job_is_finished_once_by_another(house: House) -> None:
    first = house.start_worker(steps=LONG)
    job_id = house.accept()
    house.wait_for(job_id, learning)
    first.kill()
    first.wait()
    house.start_worker(steps=SHORT)
    record = house.wait_until_done(job_id)
    assert record.attempt == 2
    assert house.names(job_id) == ["image.png", "mask.png", "outcome.json", "report", "result", "spec.json"]
    second = house.accept()  # the worker is well, and what was learned is used
    house.wait_until_done(second)
    assert b'"learning_steps": 0' in house.services.artifacts.get(house.get(second).artifacts["report"])


def test_a_stopped_worker_hands_its_job_back_and_ends_soon(house: House) -> None:
    first = house.start_worker(steps=LONG)
    job_id = house.accept()
    house.wait_for(job_id, learning)
    first.send_signal(signal.SIGTERM)
    first.wait(timeout=PATIENCE_S)
    handed_back = house.get(job_id)
    assert (handed_back.state, handed_back.attempt) == (JobState.QUEUED, 0)
    house.start_worker(steps=SHORT)
    assert house.wait_until_done(job_id).attempt == 1


def test_a_redis_emptied_while_jobs_run_and_wait_loses_none(house: House) -> None:
    house.start_worker(steps=20)
    jobs = [house.accept() for _ in range(3)]
    house.wait_for(jobs[0], under_way)
    redis.Redis.from_url(house.redis.url).flushall()
    for job_id in jobs:
        house.wait_until_done(job_id)
        assert house.names(job_id).count("outcome.json") == 1


def test_a_redis_restarted_while_a_job_runs_is_used_again(house: House) -> None:
    house.start_worker(steps=50)
    running = house.accept()
    house.wait_for(running, under_way)
    house.redis.stop()
    time.sleep(0.5)
    house.redis.start()
    house.wait_until_done(running)
    assert house.names(running).count("outcome.json") == 1
    house.wait_until_done(house.accept())


def test_a_worker_paused_past_its_lease_publishes_nothing_when_it_goes_on(house: House) -> None:
    paused = house.start_worker(steps=LONG)
    job_id = house.accept()
    house.wait_for(job_id, learning)
    paused.send_signal(signal.SIGSTOP)
    house.start_worker(steps=SHORT)
    done = house.wait_until_done(job_id)
    paused.send_signal(signal.SIGCONT)
    deadline = time.monotonic() + PATIENCE_S
    while "the lease was lost" not in house.log.read_text():
        assert time.monotonic() < deadline, house.log.read_text()[-3000:]
        time.sleep(0.05)
    assert house.get(job_id) == done
    assert house.names(job_id) == ["image.png", "mask.png", "outcome.json", "report", "result", "spec.json"]


def test_a_running_job_is_canceled_and_the_worker_goes_on(house: House) -> None:
    house.start_worker(steps=LONG)
    job_id = house.accept()
    house.wait_for(job_id, learning)
    house.jobs.cancel(ANN, job_id)
    assert house.wait_for(job_id, lambda record: record.state.over).state is JobState.CANCELED
    assert house.names(job_id) == ["image.png", "mask.png", "outcome.json", "spec.json"]
    following = house.accept()
    house.wait_for(following, learning)


def test_fifty_first_edits_of_one_photo_on_three_workers_learn_once(house: House) -> None:
    house.settings = house.settings.model_copy(update={"lease_s": 30.0})  # no worker dies: none may lose a job by being slow
    for _ in range(3):
        house.start_worker(steps=5)
    jobs = [house.accept() for _ in range(50)]
    for job_id in jobs:
        house.wait_until_done(job_id)
    reports = [house.services.artifacts.get(house.get(job_id).artifacts["report"]) for job_id in jobs]
    assert sum(b'"learning_steps": 5' in report for report in reports) == 1
    assert sum(b'"learning_steps": 0' in report for report in reports) == 49
    assert {house.get(job_id).attempt for job_id in jobs} == {1}


def test_a_worker_whose_model_cannot_be_loaded_ends_and_says_so(house: House) -> None:
    worker = house.start_worker(steps=SHORT, broken=True)
    assert worker.wait(timeout=PATIENCE_S) != 0
    assert "no such model" in house.log.read_text()


def test_a_worker_never_forks_because_a_fork_cannot_share_the_device(house: House) -> None:
    worker = house.start_worker(steps=SHORT, pool="prefork")  # Celery's default, so it yields to the configuration
    house.wait_until_done(house.accept())
    assert psutil.Process(worker.pid).children() == []


def test_the_worker_app_loads_no_torch_until_it_starts(house: House) -> None:
    program = "import sys, worker.app; assert worker.app.app.tasks; sys.exit('torch' in sys.modules)"
    env = {**os.environ, "S2EDIT_REDIS_URL": house.redis.url}
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=env, check=False).returncode == 0
