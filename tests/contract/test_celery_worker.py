"""A worker process while Redis refuses: it stays, and takes the next message afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from s2edit_jobs.stores.celery_queue import CeleryQueue
from tests.contract.refusals import READABLE, SILENT
from tests.redis_servers import OwnRedis
from tests.waiting import until

REFUSED_S = 1.5
APP = """
import pathlib
from s2edit_jobs.stores.celery_queue import TASK, celery_app

app = celery_app({url!r})

@app.task(name=TASK, shared=False)
def run(job_id):
    (pathlib.Path({folder!r}) / job_id).touch()
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[OwnRedis]:
    with OwnRedis(tmp_path / "redis") as server:
        yield server


@pytest.mark.parametrize("name", [*READABLE, *SILENT])
def test_a_worker_outlives_a_redis_that_refuses(server: OwnRedis, tmp_path: Path, name: str) -> None:
    (tmp_path / "worker_of_test.py").write_text(APP.format(url=server.url, folder=str(tmp_path)))
    command = [sys.executable, "-m", "celery", "-A", "worker_of_test", "worker", "--pool", "solo", "--without-mingle"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    with (tmp_path / "log").open("wb") as log:
        worker = subprocess.Popen(command, env=env, stdout=log, stderr=log)  # noqa: S603
    try:
        queue = CeleryQueue(server.url)
        queue.notify("e_before")
        until((tmp_path / "e_before").exists)
        with (READABLE | SILENT)[name](server):
            time.sleep(REFUSED_S)
            assert worker.poll() is None, (tmp_path / "log").read_text()[-2000:]
        queue.notify("e_after")
        until((tmp_path / "e_after").exists)
    finally:
        worker.kill()
        worker.wait()
