"""Faults of Redis: killed, emptied, cut off, restored to an older state, without one job's record, without Celery's messages."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from redis import Redis

from lab.storm.app import ClientApp
from lab.storm.census import Census
from lab.storm.plan import LATE_POSTS
from lab.storm.system.points import EventLog
from lab.storm.system.processes import StormSetup
from s2edit_jobs.stores.celery_queue import QUEUE
from s2edit_jobs.stores.embedded_redis import EmbeddedRedis
from s2edit_jobs.stores.queue import JobQueue
from s2edit_jobs.stores.redis_store.object_store_id import STORE

CUT_S = (0.5, 5.0)
"""Redis is cut off until the late edits are accepted, but for at least and at most so long."""
ADVANCED, ADVANCED_S = 3, 3.0
"""Redis is emptied while a poll has shown an edit with this sequence, so that a later poll can show a smaller one; or later."""
LOST_TAIL_S = 2.0
"""A killed Redis may have lost its last writes."""
RESTORE_LEASES = 1.0
"""How old the state is to which Redis is restored."""
AOF = "appendonly*"
"""The append-only file of Redis, or since version 7 a folder."""


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """A copy of the files of Redis."""

    files: Path
    copied_at: float  # seconds since the epoch
    restore_at: float  # on the monotonic clock


class RedisFaults:
    """Causes faults of Redis, and ends those that last. Faults raise `RedisError` if Redis is down at the moment."""

    def __init__(
        self, setup: StormSetup, redis: EmbeddedRedis, app: ClientApp, census: Census, queue: JobQueue, rng: random.Random
    ) -> None:
        self._setup = setup
        self._redis = redis
        self._app = app
        self._census = census
        self._queue = queue
        self._rng = rng
        self._log = EventLog(setup.event_logs)
        self._socket = Path(redis.url.removeprefix("unix://"))
        self._hidden = self._socket.with_name("away.sock")
        self._cut_at: float | None = None
        self._empty_by: float | None = None
        self._snapshot: _Snapshot | None = None
        self.causes: Mapping[str, Callable[[], bool]] = {
            "kill redis": self._kill,
            "empty redis": self._empty,
            "cut redis": self._cut,
            "restore redis": self._take_snapshot,
            "lose a record": self._lose_record,
            "lose notifications": self._lose_notifications,
            "notify twice": self._notify_twice,
        }

    @property
    def is_cut(self) -> bool:
        return self._cut_at is not None

    @property
    def idle(self) -> bool:
        return self._cut_at is None and self._snapshot is None

    def remembers_store(self) -> bool:
        """Whether Redis knows the object store. Without both, a starting process takes an empty folder for a new store."""
        with self._client() as client:
            return bool(client.exists(STORE))

    def tick(self, *, may_restore: bool) -> None:
        """Start a dead Redis, and end what has lasted long enough."""
        self._redis.restart_if_dead()
        self._end_cut()
        if may_restore:
            self._restore()

    def _client(self, path: Path | None = None) -> Redis:
        return Redis.from_url(f"unix://{path or self._socket}", socket_timeout=2)

    def _kill(self) -> bool:
        self._log.write("redis restored", since=time.time() - LOST_TAIL_S)
        os.kill(self._redis.pid, signal.SIGKILL)
        return True

    def _empty(self) -> bool:
        """Empty Redis while an edit is unfinished that nobody looks at. One of the late edits is posted if there is none."""
        if not self._census.unfinished():
            self._app.post_late(0 if self._app.posting_late else 1)
            return False
        self._empty_by = self._empty_by or time.monotonic() + ADVANCED_S
        if not self._app.advanced_jobs(ADVANCED) and time.monotonic() < self._empty_by:
            return False
        began = time.time()
        with self._client() as client:
            client.flushall()
        self._empty_by = None
        self._log.write("redis emptied", began=began, unfinished=len(self._census.unfinished()))
        return True

    def _cut(self) -> bool:
        """Let nobody reach Redis, which goes on, and post late edits meanwhile: the API accepts them without it."""
        self._socket.rename(self._hidden)
        self._cut_at = time.monotonic()
        with self._client(self._hidden) as client:
            for kind in ("normal", "pubsub"):
                client.client_kill_filter(_type=kind, skipme=True)
        self._app.post_late(LATE_POSTS)
        return True

    def _end_cut(self) -> None:
        if self._cut_at is None:
            return
        lasted, (at_least, at_most) = time.monotonic() - self._cut_at, CUT_S
        if lasted < at_least or (self._app.posting_late and lasted < at_most):
            return
        self._cut_at = None
        self._log.write("redis reachable", lasted_s=round(lasted, 1))
        if self._socket.exists():  # Redis was started again meanwhile
            self._hidden.unlink(missing_ok=True)
        else:
            self._hidden.rename(self._socket)

    def _take_snapshot(self) -> bool:
        """Copy the files of Redis. After a while, `_restore` starts Redis with them."""
        if self._snapshot is not None or not self.remembers_store():
            return False
        copy, copied_at = self._setup.folder / f"redis-{time.time_ns()}", time.time()
        copy.mkdir()
        for path in self._redis.data_dir.glob(AOF):
            (shutil.copytree if path.is_dir() else shutil.copy)(path, copy / path.name)
        self._snapshot = _Snapshot(copy, copied_at, time.monotonic() + RESTORE_LEASES * self._setup.settings.lease_s)
        return True

    def _restore(self) -> None:
        """Kill Redis and start it with the older files."""
        snapshot = self._snapshot
        if snapshot is None or self.is_cut or time.monotonic() < snapshot.restore_at:
            return
        self._snapshot = None
        os.kill(self._redis.pid, signal.SIGKILL)
        while _listens(self._socket):
            time.sleep(0.01)
        for path in snapshot.files.iterdir():
            there = self._redis.data_dir / path.name
            if there.is_dir():
                shutil.rmtree(there)
            path.replace(there)
        self._log.write("redis restored", since=snapshot.copied_at)

    def _lose_record(self) -> bool:
        """Delete the record of an unfinished edit that nobody looks at."""
        unfinished = self._census.unfinished()
        if not unfinished:
            return False
        job = self._rng.choice(unfinished)
        with self._client() as client:
            client.delete(f"s2edit:job:{job}")
        self._log.write("hash lost", job=job)
        return True

    def _lose_notifications(self) -> bool:
        with self._client() as client:
            client.delete(QUEUE)
        return True

    def _notify_twice(self) -> bool:
        for job in self._app.open_jobs():
            self._queue.notify(job)
        return True


def _listens(path: Path) -> bool:
    """Whether a server listens on the socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
