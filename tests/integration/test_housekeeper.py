"""Housekeepers as processes, with a real Redis and files, and no worker: everything but live edits goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from pydantic import SecretStr

from cli.supervision.service import free_port
from s2edit_core.request.spec import EditRequest
from s2edit_jobs.bootstrap import Services, build_services
from s2edit_jobs.intake.drafts import draft
from s2edit_jobs.library.erasure_markers import ErasureMarkers
from s2edit_jobs.lifecycle.jobs import DEADLINE, Jobs
from s2edit_jobs.records.files import Upload
from s2edit_jobs.records.record import JobRecord, JobState, Owner, tenant_of_test_mode
from s2edit_jobs.settings import ROOT, Settings
from s2edit_jobs.stores.embedded_redis import EmbeddedRedis
from s2edit_jobs.stores.markers import erasing_key
from tests.servers.forked import Forked
from tests.unit.api import pictures
from tests.waiting import until

PATIENCE_S = 40.0
PATIENT = "tests.integration.patient_housekeeper"
ANN, BOB = Owner("app", "ann"), Owner("app", "bob")
TEST = Owner(tenant_of_test_mode("app"), "ann")
PROMPT = "a photo of a woman with red hair"


@dataclass
class Deployment:
    """A Redis, a data folder, a receiver of webhooks, and the housekeepers that a test starts."""

    services: Services
    log: Path
    hook: str
    received: Counter[str]
    silent: set[str]  # names of jobs whose webhooks get no answer
    processes: list[Forked] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.jobs = Jobs(self.services)
        self.files = {
            "image": Upload(pictures.photo(), "image/png"),
            "mask": Upload(pictures.mask(), "image/png"),
        }

    def start(self, module: str = "worker.housekeeper", **environment: str) -> Forked:
        settings = self.services.settings
        given = {
            "S2EDIT_REDIS_URL": str(settings.redis_url),
            "S2EDIT_DATA_DIR": str(settings.data_dir),
            "S2EDIT_REAP_INTERVAL_S": str(settings.reap_interval_s),
            "S2EDIT_LEASE_S": str(settings.lease_s),
            "S2EDIT_HEARTBEAT_INTERVAL_S": str(settings.heartbeat_interval_s),
            "S2EDIT_WEBHOOK_SECRETS": "whsec_" + "A" * 32,
            "S2EDIT_WEBHOOK_ALLOW_PRIVATE": "true",
            **environment,
        }
        process = Forked([module], {**os.environ, **given}, self.log)
        self.processes.append(process)
        return process

    def accept(self, owner: Owner = ANN, words: str = "", **named: Any) -> str:
        request = EditRequest(prompt=f"{PROMPT} {words}".strip())
        spec = draft(self.services, owner, request, self.files, webhook_url=self.hook, **named)
        return self.jobs.accept(spec, self.files).id

    def over(self, owner: Owner, job_id: str) -> JobRecord:
        until(lambda: self.jobs.get(owner, job_id).state.over, PATIENCE_S)
        return self.jobs.get(owner, job_id)


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    received: Counter[str] = Counter()
    silent: set[str] = set()
    over = threading.Event()

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            job_id = self.headers["webhook-id"].removeprefix("msg_")
            received[job_id] += 1
            if job_id in silent:
                over.wait(PATIENCE_S)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            return

    with EmbeddedRedis(tmp_path / "redis") as redis, ThreadingHTTPServer(("127.0.0.1", 0), Hook) as receiver:
        threading.Thread(target=receiver.serve_forever, args=(0.01,), daemon=True).start()
        settings = Settings(
            redis_url=redis.url,
            data_dir=tmp_path,
            lease_s=1.5,
            heartbeat_interval_s=0.3,
            reap_interval_s=0.5,
            webhook_secrets=SecretStr("whsec_" + "A" * 32),
            webhook_allow_private=True,
        )
        hook = f"http://127.0.0.1:{receiver.server_port}/hook"
        deployment = Deployment(build_services(settings), tmp_path / "housekeepers.log", hook, received, silent)
        try:
            yield deployment
        finally:
            for process in deployment.processes:
                process.kill()
                process.wait()
            over.set()
            receiver.shutdown()


def test_with_zero_workers_everything_but_live_edits_goes_on(deployment: Deployment) -> None:
    services = deployment.services
    late, patient = deployment.accept(deadline_s=1), deployment.accept()
    pending = deployment.accept()
    services.store.erasure.erase(ANN, pending)  # as after an outage of Redis: only the object store knows the job
    deployment.accept(BOB)
    promised = erasing_key(BOB)
    ErasureMarkers(services).write(BOB, promised, began_at=time.time())  # and its process dies
    for _ in range(2):
        deployment.start()

    tested = deployment.over(TEST, deployment.accept(TEST))
    assert tested.state is JobState.SUCCEEDED, tested
    ended = deployment.over(ANN, late)
    assert ended.failure is not None
    assert ended.failure.code == DEADLINE
    until(lambda: not services.artifacts.exists(promised), PATIENCE_S)
    assert not list(services.artifacts.list(BOB.prefix))
    until(lambda: set(services.store.recovery.unfinished()) == {pending, patient}, PATIENCE_S)
    assert services.store.records.get(ANN, pending).state is JobState.QUEUED
    assert deployment.jobs.get(ANN, patient).state is JobState.QUEUED
    until(lambda: set(deployment.received) == {late, tested.id}, PATIENCE_S)
    time.sleep(2.0)  # both housekeepers look at the outbox each second
    assert deployment.received == {late: 1, tested.id: 1}
    assert services.queue.waiting() >= 2, "a worker that starts now finds a message for each job"


def test_receivers_that_do_not_answer_hold_up_no_other_webhook(deployment: Deployment) -> None:
    deployment.start(PATIENT)
    held = [deployment.accept(TEST, f"[test:slow 1] {number}") for number in range(3)]
    deployment.silent.update(held)
    until(lambda: set(deployment.received) == set(held), PATIENCE_S)
    quick = deployment.accept(TEST)
    until(lambda: deployment.received[quick] == 1, PATIENCE_S)
    assert set(deployment.received) == {*held, quick}
    assert deployment.received.total() == 4, "the tries at the silent receivers go on"


def test_a_test_edit_waits_for_no_poll_of_the_queue(deployment: Deployment) -> None:
    deployment.start(PATIENT)
    for number in range(10):
        assert deployment.over(TEST, deployment.accept(TEST, f"{number}")).state is JobState.SUCCEEDED


def test_a_stopped_housekeeper_hands_its_test_job_back_and_another_one_finishes_it(deployment: Deployment) -> None:
    first = deployment.start()
    job_id = deployment.accept(TEST, "[test:slow 3]")
    until(lambda: deployment.jobs.get(TEST, job_id).phase == "editing", PATIENCE_S)
    first.send_signal(signal.SIGTERM)
    assert first.wait(PATIENCE_S) == 0
    handed_back = deployment.jobs.get(TEST, job_id)
    assert (handed_back.state, handed_back.attempt) == (JobState.QUEUED, 0)
    deployment.start()
    assert deployment.over(TEST, job_id).state is JobState.SUCCEEDED


def test_the_job_of_a_killed_housekeeper_is_finished_by_another_one(deployment: Deployment) -> None:
    first = deployment.start()
    job_id = deployment.accept(TEST, "[test:slow 3]")
    until(lambda: deployment.jobs.get(TEST, job_id).phase == "editing", PATIENCE_S)
    first.kill()
    deployment.start()
    record = deployment.over(TEST, job_id)
    assert (record.state, record.attempt) == (JobState.SUCCEEDED, 2)


def test_it_waits_for_a_redis_that_is_down_and_shows_when_it_last_worked(deployment: Deployment) -> None:
    tasks = deployment.services.store.tasks
    assert tasks.last_alive_s("housekeeper") is None
    port = free_port()
    process = deployment.start(S2EDIT_HOUSEKEEPER_METRICS_PORT=str(port))
    until(lambda: tasks.last_alive_s("housekeeper") is not None, PATIENCE_S)
    assert httpx.get(f"http://127.0.0.1:{port}/livez").text == "ok\n"
    shown = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    for loop in ("reaper", "messenger 1", "messenger 4", "sweeper", "test queue"):
        assert f's2edit_housekeeping_iteration_age_seconds{{loop="{loop}"}}' in shown
    assert 's2edit_housekeeping_iterations_total{loop="reaper",result="ok"}' in shown
    process.send_signal(signal.SIGSTOP)
    time.sleep(2.0)
    age = tasks.last_alive_s("housekeeper")
    assert age is not None
    assert age > 1.0
    process.send_signal(signal.SIGCONT)
    until(lambda: (tasks.last_alive_s("housekeeper") or 9) < 1.0, PATIENCE_S)


def test_it_maps_no_torch(deployment: Deployment) -> None:
    process = deployment.start()
    deployment.over(TEST, deployment.accept(TEST))
    mapped = [each.path for each in psutil.Process(process.pid).memory_maps()]
    assert mapped
    assert [path for path in mapped if "torch" in path] == []


@pytest.mark.parametrize("command", [["-m", "worker.housekeeper"], ["-m", "cli", "housekeeper"]])
def test_it_exits_with_a_message_if_it_cannot_start(command: list[str], tmp_path: Path) -> None:
    cases = {
        "S2EDIT_REDIS_URL": {"S2EDIT_REDIS_URL": "", "S2EDIT_DATA_DIR": str(tmp_path)},
        "S2EDIT_LEASE_S": {"S2EDIT_REDIS_URL": "redis://127.0.0.1:1/0", "S2EDIT_LEASE_S": "soon", "S2EDIT_DATA_DIR": str(tmp_path)},
    }
    for named, environment in cases.items():
        done = subprocess.run(
            [sys.executable, *command], cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 1
        assert named in done.stderr
        assert "Traceback" not in done.stderr
