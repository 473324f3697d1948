"""Redis that hangs, refuses or comes back: nobody waits long, and nothing needs a restart."""

from __future__ import annotations

import base64
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from s2edit_jobs.records.errors import JobNotFound, QueueUnavailable, StoreUnavailable
from s2edit_jobs.records.record import Owner
from s2edit_jobs.stores.celery_queue import QUEUE, CeleryQueue
from s2edit_jobs.stores.embedded_redis import EmbeddedRedis
from s2edit_jobs.stores.redis_store import redis_job_store
from s2edit_jobs.stores.redis_store.server import connection

LIMIT_S = 0.25
ANN = Owner("app", "ann")
Call = Callable[[], object]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis(tmp_path) as server:
        yield server


def calls(url: str) -> list[tuple[Call, type[Exception]]]:
    store, queue = redis_job_store(url), CeleryQueue(url)
    queue.notify("e_0")  # loads what the first ring loads
    return [
        (lambda: store.records.get(ANN, "e_1"), StoreUnavailable),
        (lambda: store.leases.claim("e_1", lease_s=9), StoreUnavailable),
        (store.leases.orphans, StoreUnavailable),
        (store.recovery.lost, StoreUnavailable),
        (lambda: queue.notify("e_1"), QueueUnavailable),
        (queue.waiting, QueueUnavailable),
    ]


def answered_soon(call: Call, error: type[Exception]) -> None:
    """Who is slow is asked again: the machine may have been busy with something else."""
    for _ in range(10):
        began = time.perf_counter()
        with pytest.raises(error):
            call()
        if time.perf_counter() - began <= LIMIT_S:
            return
    raise AssertionError(f"ten times it took more than {LIMIT_S} s")


@contextmanager
def paused(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def patiently(call: Call) -> object:
    """Until the outage is over for this connection too."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return call()
        except (StoreUnavailable, QueueUnavailable):
            assert time.monotonic() < deadline, "it did not recover"
            time.sleep(0.05)


def works(url_calls: list[tuple[Call, type[Exception]]]) -> None:
    for call, _ in url_calls:
        try:
            patiently(call)
        except JobNotFound:
            continue


def test_a_redis_that_hangs_is_noticed_soon_and_served_again_when_it_goes_on(
    server: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "LET_ALONE_S", 0.0)  # every call is to wait by itself here
    cases = calls(server.url)
    works(cases)
    with paused(server.pid):
        for call, error in cases:
            answered_soon(call, error)
    works(cases)


def test_whoever_asks_a_redis_that_hangs_three_times_waits_once(server: EmbeddedRedis) -> None:
    store = redis_job_store(server.url)

    def thrice() -> None:
        for call in (store.recovery.lost, store.leases.orphans, store.records.overdue):
            with pytest.raises(StoreUnavailable):
                call()
        raise StoreUnavailable

    with paused(server.pid):
        answered_soon(thrice, StoreUnavailable)
    time.sleep(connection.LET_ALONE_S)
    patiently(store.leases.orphans)


def test_a_redis_that_is_gone_is_noticed_soon_and_served_again_when_it_is_back(server: EmbeddedRedis) -> None:
    cases = calls(server.url)
    works(cases)
    server.stop()
    for call, error in cases:
        answered_soon(call, error)
    server.start()
    works(cases)


def test_a_restarted_redis_counts_as_one_to_restore(server: EmbeddedRedis) -> None:
    store = redis_job_store(server.url)
    life = store.recovery.lost()
    assert life is not None
    store.recovery.restored(life)
    assert store.recovery.lost() is None
    server.stop()
    server.start()
    assert store.recovery.lost() is not None


def test_rings_reach_the_queue_also_after_redis_was_emptied(server: EmbeddedRedis) -> None:
    queue = CeleryQueue(server.url)
    assert queue.waiting() == 0
    queue.notify("e_1")
    redis.Redis.from_url(server.url).flushall()
    assert queue.waiting() == 0
    queue.notify("e_2")
    queue.notify("e_3")
    assert queue.waiting() == 2


def test_a_message_holds_the_job_id_and_nothing_else(server: EmbeddedRedis) -> None:
    CeleryQueue(server.url).notify("e_0123")
    messages = redis.Redis.from_url(server.url).lrange(QUEUE, 0, -1)
    assert isinstance(messages, list)
    message = json.loads(messages[0])
    assert message["content-type"] == "application/json"
    arguments, keywords, _ = json.loads(base64.b64decode(message["body"]))
    assert (arguments, keywords) == (["e_0123"], {})
