"""A worker process while Redis refuses or is away: it stays, and takes the next message afterwards."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from s2edit_jobs.stores.celery_queue import QUEUE, CeleryQueue
from tests.contract.redis_server.refusals import READABLE, SILENT, away
from tests.servers.forked import Forked
from tests.servers.redis_servers import OwnRedis
from tests.waiting import until

REFUSED_S = 1.5
APP = """
import pathlib
import time
from s2edit_jobs.stores.celery_queue import TASK, celery_app

app = celery_app({url!r})

@app.task(name=TASK, shared=False)
def run(job_id):
    (pathlib.Path({folder!r}) / job_id).touch()
    time.sleep({busy_s!r} if job_id == "e_before" else 0)
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[OwnRedis]:
    with OwnRedis(tmp_path / "redis") as server:
        yield server


@contextmanager
def started_worker(server: OwnRedis, folder: Path, *, busy_s: float = 0.0) -> Iterator[Forked]:
    """A worker that has begun to handle the message `e_before`, for `busy_s` seconds."""
    (folder / "worker_of_test.py").write_text(APP.format(url=server.url, folder=str(folder), busy_s=busy_s))
    command = ["celery", "-A", "worker_of_test", "worker", "--pool", "solo", "--without-mingle"]
    worker = Forked(command, {**os.environ, "PYTHONPATH": str(folder)}, folder / "log")
    try:
        CeleryQueue(server.url).notify("e_before")
        until((folder / "e_before").exists)
        yield worker
    finally:
        worker.kill()
        worker.wait()


@pytest.mark.parametrize("name", [*READABLE, *SILENT])
def test_a_worker_outlives_a_redis_that_refuses(server: OwnRedis, tmp_path: Path, name: str) -> None:
    with started_worker(server, tmp_path) as worker:
        with (READABLE | SILENT)[name](server):
            time.sleep(REFUSED_S)
            assert worker.poll() is None, (tmp_path / "log").read_text()[-2000:]
        CeleryQueue(server.url).notify("e_after")
        until((tmp_path / "e_after").exists)


OF_ANOTHER_TASK = {
    "body": "W1tdLCB7fSwge31d",
    "headers": {"task": "another.task", "id": "1"},
    "properties": {"delivery_tag": "1", "delivery_info": {"exchange": "", "routing_key": QUEUE}, "body_encoding": "base64"},
    "content-type": "application/json",
    "content-encoding": "utf-8",
}
FOREIGN = (
    "",
    "garbage",
    b"\xff\xd8",
    "[1]",
    "{}",
    "7",
    '{"properties": 5}',
    json.dumps(OF_ANOTHER_TASK),
    json.dumps(OF_ANOTHER_TASK | {"body": "%"}),
)


def test_a_worker_outlives_what_is_no_message(server: OwnRedis, tmp_path: Path) -> None:
    """Before: "Unrecoverable error", and the worker ended with each of them."""
    with started_worker(server, tmp_path) as worker, server.client() as client:
        for text in FOREIGN:
            client.lpush(QUEUE, text)
        CeleryQueue(server.url).notify("e_after")
        until(lambda: (tmp_path / "e_after").exists() or worker.poll() is not None)
        assert worker.poll() is None, (tmp_path / "log").read_text()[-2000:]


def test_a_worker_whose_job_ends_while_redis_is_away_takes_the_next_one(server: OwnRedis, tmp_path: Path) -> None:
    with started_worker(server, tmp_path, busy_s=0.5) as worker:
        with away(server):
            time.sleep(REFUSED_S)
            assert worker.poll() is None, (tmp_path / "log").read_text()[-2000:]
        CeleryQueue(server.url).notify("e_after")
        until((tmp_path / "e_after").exists)
