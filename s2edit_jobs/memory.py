"""The three ports in memory: for tests of whatever stands on them, and for trying things out. One process, nothing is kept."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from urllib.parse import quote, urlencode

from s2edit_core.spec import Progress
from s2edit_jobs.artifacts import check_key
from s2edit_jobs.errors import ArtifactExists, ArtifactMissing, JobNotFound, LeaseLost
from s2edit_jobs.record import JobRecord, JobState, Lease, Outcome, Owner

Clock = Callable[[], float]


class MemoryArtifactStore:
    """A dictionary. Its presigned URLs have the scheme `memory:` and are served by nobody."""

    def __init__(self, *, clock: Clock = time.time) -> None:
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

    def get(self, key: str) -> bytes:
        try:
            return self.objects[check_key(key)]
        except KeyError:
            raise ArtifactMissing(key) from None

    def exists(self, key: str) -> bool:
        return check_key(key) in self.objects

    def list(self, prefix: str) -> Iterator[str]:
        with self._lock:
            keys = sorted(key for key in self.objects if key.startswith(prefix))
        return iter(keys)

    def delete_prefix(self, prefix: str) -> int:
        if not prefix:
            raise ValueError("an empty prefix would delete everything")
        with self._lock:
            keys = [key for key in self.objects if key.startswith(prefix)]
            for key in keys:
                del self.objects[key]
        return len(keys)

    def presigned_get(self, key: str, *, expires_s: int, filename: str | None = None) -> str:
        query = {"expires": int(self._clock()) + expires_s} | ({"name": filename} if filename else {})
        return f"memory:///{quote(check_key(key))}?{urlencode(query)}"


@dataclass
class _Entry:
    record: JobRecord
    fence: int = 0
    lease_until: float = 0.0


@dataclass
class _Life:
    name: str
    jobs: dict[str, _Entry] = field(default_factory=dict)
    restored: bool = False


class MemoryJobStore:
    """Jobs in a dictionary under one lock. `clock` gives seconds since the epoch; tests move it to let leases run out."""

    def __init__(self, *, clock: Clock = time.time) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._lives = 0
        self.forget()

    def forget(self) -> None:
        """Lose everything, as Redis does at FLUSHALL."""
        with self._lock:
            self._lives += 1
            self._life = _Life(str(self._lives))

    def add(self, record: JobRecord) -> JobRecord:
        with self._lock:
            return self._life.jobs.setdefault(record.id, _Entry(record)).record

    def get(self, owner: Owner, job_id: str) -> JobRecord:
        with self._lock:
            return self._entry(owner, job_id).record

    def claim(self, job_id: str, *, lease_s: float) -> Lease | None:
        with self._lock:
            entry = self._life.jobs.get(job_id)
            if entry is None or not self._is_free(entry):
                return None
            now = self._clock()
            entry.fence = max(entry.fence + 1, int(now * 1000))
            entry.lease_until = now + lease_s
            record = self._change(entry, state=JobState.RUNNING, attempt=entry.record.attempt + 1, phase=None, step=0, total=0)
            return Lease(job_id=job_id, owner=record.owner, fence=entry.fence, attempt=record.attempt, lease_s=lease_s)

    def renew(self, lease: Lease) -> JobRecord:
        with self._lock:
            entry = self._held(lease)
            entry.lease_until = self._clock() + lease.lease_s
            return entry.record

    def progress(self, lease: Lease, progress: Progress) -> None:
        with self._lock:
            self._change(self._held(lease), phase=progress.phase, step=progress.step, total=progress.total)

    def finish(self, job_id: str, owner: Owner, outcome: Outcome) -> JobRecord:
        with self._lock:
            entry = self._entry(owner, job_id)
            if entry.record.state.over:
                return entry.record
            return self._change(
                entry, state=outcome.state, artifacts=dict(outcome.artifacts), identity=outcome.identity, failure=outcome.failure
            )

    def hand_back(self, lease: Lease, *, failed: bool = False) -> None:
        with self._lock:
            try:
                entry = self._held(lease)
            except LeaseLost:
                return
            attempt = entry.record.attempt if failed else entry.record.attempt - 1
            self._change(entry, state=JobState.QUEUED, attempt=attempt, phase=None, step=0, total=0)

    def request_cancel(self, owner: Owner, job_id: str) -> JobRecord:
        with self._lock:
            entry = self._entry(owner, job_id)
            if entry.record.state.over or entry.record.cancel_requested:
                return entry.record
            return self._change(entry, cancel_requested=True)

    def orphans(self) -> list[str]:
        with self._lock:
            return sorted(job_id for job_id, entry in self._life.jobs.items() if self._is_free(entry))

    def lost(self) -> str | None:
        with self._lock:
            return None if self._life.restored else self._life.name

    def restored(self, life: str) -> None:
        with self._lock:
            self._life.restored |= life == self._life.name

    def _entry(self, owner: Owner, job_id: str) -> _Entry:
        entry = self._life.jobs.get(job_id)
        if entry is None or entry.record.owner != owner:
            raise JobNotFound(job_id)
        return entry

    def _held(self, lease: Lease) -> _Entry:
        entry = self._life.jobs.get(lease.job_id)
        if entry is None or entry.record.state is not JobState.RUNNING or entry.fence != lease.fence:
            raise LeaseLost(lease.job_id)
        return entry

    def _is_free(self, entry: _Entry) -> bool:
        state = entry.record.state
        return state is JobState.QUEUED or (state is JobState.RUNNING and entry.lease_until <= self._clock())

    def _change(self, entry: _Entry, **values: object) -> JobRecord:
        record = replace(entry.record, sequence=entry.record.sequence + 1, updated_at=self._clock(), **values)  # type: ignore[arg-type]
        entry.record = record
        return record


class MemoryJobQueue:
    """Rings in the order they came. Tests take them with `rings.popleft()`."""

    def __init__(self) -> None:
        self.rings: deque[str] = deque()

    def ring(self, job_id: str) -> None:
        self.rings.append(job_id)

    def waiting(self) -> int:
        return len(self.rings)
