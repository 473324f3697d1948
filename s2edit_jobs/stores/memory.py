"""The three ports in memory: for tests of whatever stands on them, and for trying things out. One process, nothing is kept."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue
from typing import Any
from urllib.parse import quote, urlencode

from s2edit_core.request.spec import Progress
from s2edit_jobs.records.errors import ArtifactExists, ArtifactMissing, JobNotFound, LeaseLost
from s2edit_jobs.records.record import Failure, JobRecord, JobState, Lease, Load, Outcome, Outlook, Owner, Spent
from s2edit_jobs.stores.artifacts import SignedPut, check_folder, check_key, put_headers
from s2edit_jobs.stores.store import DAY_S, KEEP_EVENTS, PAGE, PLACE_S

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

    def size_bytes(self, key: str) -> int:
        return len(self.get(key))

    def list(self, prefix: str) -> Iterator[str]:
        with self._lock:
            keys = sorted(key for key in self.objects if key.startswith(prefix))
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

    def presigned_post(self, key: str, *, expires_s: int, media_type: str, min_bytes: int, max_bytes: int) -> None:  # noqa: ARG002
        check_key(key)


@dataclass
class _Entry:
    record: JobRecord
    fence: int = 0
    lease_until: float = 0.0
    verdict: Failure | None = None
    log: list[JobRecord] = field(default_factory=list)


@dataclass
class _Life:
    name: str
    jobs: dict[str, _Entry] = field(default_factory=dict)
    turns: dict[Owner, int] = field(default_factory=dict)
    learners: dict[str, str] = field(default_factory=dict)  # concept → job
    pace: dict[str, dict[str, float]] = field(default_factory=dict)
    outbox: dict[str, float] = field(default_factory=dict)
    tries: dict[str, int] = field(default_factory=dict)
    places: dict[str, tuple[Owner, float]] = field(default_factory=dict)  # until when
    errands: dict[str, float] = field(default_factory=dict)  # until when they are done
    spent: dict[tuple[str, int], Spent] = field(default_factory=dict)  # by tenant and day
    refusals: dict[str, int] = field(default_factory=dict)  # by field
    turn: int = 0
    restored: bool = False


class MemoryJobStore:
    """Jobs in a dictionary under one lock. `clock` gives seconds since the epoch; tests move it to let leases run out."""

    def __init__(self, *, clock: Clock = time.time) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._listeners: list[SimpleQueue[str | None]] = []
        self._lives = 0
        self.forget()

    def forget(self) -> None:
        """Lose everything, as Redis does at FLUSHALL."""
        with self._lock:
            self._lives += 1
            self._life = _Life(str(self._lives))

    def add(self, record: JobRecord) -> JobRecord:
        with self._lock:
            if record.id not in self._life.jobs:
                self._life.jobs[record.id] = _Entry(record, log=[record])
                self._enqueue(record.owner)
                self._tell(record.id)
            self._life.places.pop(record.id, None)
            return self._life.jobs[record.id].record

    def get(self, owner: Owner, job_id: str) -> JobRecord:
        with self._lock:
            return self._entry(owner, job_id).record

    def events(self, owner: Owner, job_id: str, *, after: int) -> tuple[list[JobRecord], bool]:
        with self._lock:
            entry = self._entry(owner, job_id)
            records = [record for record in (entry.log or [entry.record]) if record.sequence > after]
            return records, not records or records[0].sequence == after + 1

    def changes(self, stop: threading.Event) -> Iterator[str | None]:
        heard: SimpleQueue[str | None] = SimpleQueue()
        heard.put(None)
        self._listeners.append(heard)
        while not stop.is_set():
            with suppress(Empty):
                yield heard.get(timeout=0.05)
        self._listeners.remove(heard)

    def claim(self, job_id: str | None = None, *, lease_s: float, test: bool = False) -> Lease | None:
        with self._lock:
            self._requeue_lost(test=test)
            entry = self._life.jobs.get(job_id) if job_id is not None else self._next(test=test)
            if entry is None or not _is_free(entry):
                return None
            now, owner = self._clock(), entry.record.owner
            self._life.turns[owner] = self._turn()
            entry.fence = max(entry.fence + 1, int(now * 1000))
            entry.lease_until = now + lease_s
            record = self._change(entry, state=JobState.RUNNING, attempt=entry.record.attempt + 1, phase=None, step=0, total=0)
            self._leave(owner)
            return Lease(record.id, owner, fence=entry.fence, attempt=record.attempt, lease_s=lease_s, verdict=entry.verdict)

    def renew(self, lease: Lease) -> JobRecord:
        with self._lock:
            entry = self._held(lease)
            entry.lease_until = self._clock() + lease.lease_s
            return entry.record

    def progress(self, lease: Lease, progress: Progress) -> JobRecord:
        with self._lock:
            return self._change(self._held(lease), phase=progress.phase, step=progress.step, total=progress.total)

    def reserve(self, lease: Lease, concept: str) -> bool:
        with self._lock:
            entry = self._held(lease)
            if self._learner(concept) not in (None, lease.job_id):
                self._change(entry, **_QUEUED, attempt=entry.record.attempt - 1, waits_for=concept)
                return False
            self._life.learners[concept] = lease.job_id
            return True

    def release(self, lease: Lease, failure: Failure | None = None) -> list[str]:
        with self._lock:
            holder = self._life.jobs.get(lease.job_id)
            if holder is None or holder.fence != lease.fence:
                return []
            mine = [concept for concept, job_id in self._life.learners.items() if job_id == lease.job_id]
            woken = []
            for concept in mine:
                del self._life.learners[concept]
                for entry in [one for one in self._life.jobs.values() if one.record.waits_for == concept]:
                    entry.verdict = failure
                    woken.append(self._change(entry, waits_for=None).id)
                    self._enqueue(entry.record.owner)
            return woken

    def finish(self, job_id: str, owner: Owner, outcome: Outcome) -> JobRecord:
        with self._lock:
            entry = self._entry(owner, job_id)
            if entry.record.state.over:
                return entry.record
            ended = {"artifacts": dict(outcome.artifacts), "identity": outcome.identity, "failure": outcome.failure}
            record = self._change(entry, state=outcome.state, waits_for=None, **ended)
            if record.webhook:
                self.announce(job_id)
            self._leave(owner)
            return record

    def hand_back(self, lease: Lease, *, failed: bool = False) -> None:
        with self._lock:
            try:
                entry = self._held(lease)
            except LeaseLost:
                return
            attempt = entry.record.attempt if failed else entry.record.attempt - 1
            self._change(entry, **_QUEUED, attempt=attempt)
            self._enqueue(lease.owner)

    def request_cancel(self, owner: Owner, job_id: str) -> JobRecord:
        with self._lock:
            entry = self._entry(owner, job_id)
            if entry.record.state.over or entry.record.cancel_requested:
                return entry.record
            return self._change(entry, cancel_requested=True)

    def orphans(self) -> list[str]:
        with self._lock:
            self._requeue_lost(test=False)
            live = [(job_id, entry) for job_id, entry in self._life.jobs.items() if not entry.record.owner.test]
            return sorted(job_id for job_id, entry in live if _is_free(entry))[:PAGE]

    def overdue(self) -> list[JobRecord]:
        with self._lock:
            due = [(one.deadline_at, one.id, one) for one in self._records() if one.deadline_at is not None]
            return [record for at, _, record in sorted(due)[:PAGE] if at <= self._clock()]

    def announce(self, job_id: str) -> None:
        with self._lock:
            self._life.outbox.setdefault(job_id, self._clock())

    def take_delivery(self, *, lease_s: float) -> tuple[str, int] | None:
        with self._lock:
            life, now = self._life, self._clock()
            job_id = min((one for one, at in life.outbox.items() if at <= now), key=life.outbox.__getitem__, default=None)
            if job_id is None:
                return None
            life.outbox[job_id] = now + lease_s
            life.tries[job_id] = life.tries.get(job_id, 0) + 1
            return job_id, life.tries[job_id]

    def put_off_delivery(self, job_id: str, wait_s: float) -> None:
        with self._lock:
            if job_id in self._life.outbox:
                self._life.outbox[job_id] = self._clock() + wait_s

    def end_delivery(self, job_id: str) -> None:
        with self._lock:
            self._life.outbox.pop(job_id, None)
            self._life.tries.pop(job_id, None)

    def take_place(self, owner: Owner, job_id: str, *, of_owner: int, in_all: int) -> Load:
        with self._lock:
            places, now = self._life.places, self._clock()
            for one in [one for one, (_, until) in places.items() if until <= now]:
                del places[one]
            records = [record for record in self._records() if record.id != job_id]
            owners = [record.owner for record in records] + [whose for one, (whose, _) in places.items() if one != job_id]
            apart = sum(record.owner.test != owner.test for record in records)
            load = Load(of_owner=owners.count(owner), in_all=len(owners) - apart)
            if load.of_owner < of_owner and load.in_all < in_all:
                places[job_id] = (owner, now + PLACE_S)
            return load

    def leave_place(self, owner: Owner, job_id: str) -> None:  # noqa: ARG002  ids are unique
        with self._lock:
            self._life.places.pop(job_id, None)

    def take_turn(self, errand: str, *, every_s: float) -> bool:
        with self._lock:
            if self._life.errands.get(errand, 0.0) > self._clock():
                return False
            self._life.errands[errand] = self._clock() + every_s
            return True

    def measured(self, preset: str, seconds: Mapping[str, float]) -> None:
        with self._lock:
            pace = self._life.pace.setdefault(preset, {})
            for phase, spent in seconds.items():
                before = pace.get(phase, spent)
                pace[phase] = before + 0.2 * (spent - before)

    def book(self, tenant: str, spent: Spent) -> None:
        with self._lock:
            before = self.spent(tenant)
            total = Spent(before.learnings + spent.learnings, before.worker_s + spent.worker_s)
            self._life.spent[tenant, self._today()] = total

    def spent(self, tenant: str) -> Spent:
        with self._lock:
            return self._life.spent.get((tenant, self._today()), Spent())

    def count_refusal(self, field: str) -> None:
        with self._lock:
            self._life.refusals[field] = self._life.refusals.get(field, 0) + 1

    def refusals(self) -> Mapping[str, int]:
        with self._lock:
            return dict(self._life.refusals)

    def _today(self) -> int:
        return int(self._clock() // DAY_S)

    def outlook(self, owner: Owner, job_id: str) -> Outlook:
        with self._lock:
            record = self._entry(owner, job_id).record
            lines = {one: self._line(one) for one in self._life.turns if one.test == owner.test}
            running = self._running(test=owner.test)
            rank = lines.get(owner, []).index(job_id) if job_id in lines.get(owner, []) else None
            ahead = 0 if rank is None else rank + sum(min(len(lines[one]), rank + 1) for one in lines if one != owner)
            return Outlook(ahead, running, dict(self._life.pace.get(record.preset, {})))

    def erase(self, owner: Owner, job_id: str) -> str | None:
        with self._lock:
            life, entry = self._life, self._life.jobs.get(job_id)
            if entry is None or entry.record.owner != owner:
                return None
            del life.jobs[job_id]
            learned = [concept for concept, learner in life.learners.items() if learner == job_id]
            for concept in learned:
                del life.learners[concept]
            self.end_delivery(job_id)
            self._leave(owner)
            self._tell(job_id)
            return learned[0] if learned and not entry.record.state.over else None

    def erase_owner(self, owner: Owner) -> int:
        with self._lock:
            records = [entry.record for entry in self._life.jobs.values() if entry.record.owner == owner]
            for record in records:
                self.erase(owner, record.id)
            places = self._life.places
            for one in [one for one, (whose, _) in places.items() if whose == owner]:
                del places[one]
            return sum(record.state is JobState.RUNNING for record in records)

    def compact(self) -> bool:
        return True

    def prospect(self, owner: Owner, preset: str) -> Outlook:
        with self._lock:
            rank = len(self._line(owner))
            others = [one for one in self._life.turns if one != owner and one.test == owner.test]
            ahead = rank + sum(min(len(self._line(one)), rank + 1) for one in others)
            return Outlook(ahead, self._running(test=owner.test), dict(self._life.pace.get(preset, {})))

    def lost(self) -> str | None:
        with self._lock:
            return None if self._life.restored else self._life.name

    def restored(self, life: str) -> None:
        with self._lock:
            self._life.restored |= life == self._life.name

    def _records(self) -> list[JobRecord]:
        """Of the jobs that are not over."""
        return [entry.record for entry in self._life.jobs.values() if not entry.record.state.over]

    def _running(self, *, test: bool) -> int:
        return sum(one.state is JobState.RUNNING and one.owner.test == test for one in self._records())

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

    def _line(self, owner: Owner) -> list[str]:
        """The owner's jobs that can be taken, oldest first."""
        return sorted(job_id for job_id, one in self._life.jobs.items() if one.record.owner == owner and _is_free(one))

    def _next(self, *, test: bool) -> _Entry | None:
        lane = [owner for owner in self._life.turns if owner.test == test]
        owner = min(lane, key=self._life.turns.__getitem__, default=None)
        return self._life.jobs[self._line(owner)[0]] if owner else None

    def _turn(self) -> int:
        self._life.turn += 1
        return self._life.turn

    def _enqueue(self, owner: Owner, *, first: bool = False) -> None:
        if first:
            lane = [turn for other, turn in self._life.turns.items() if other.test == owner.test]
            self._life.turns[owner] = min(lane, default=0) - 1
        elif owner not in self._life.turns:
            self._life.turns[owner] = self._turn()

    def _leave(self, owner: Owner) -> None:
        if not self._line(owner):
            self._life.turns.pop(owner, None)

    def _learner(self, concept: str) -> str | None:
        """The job that has reserved `concept` and is not over."""
        job_id = self._life.learners.get(concept)
        return job_id if job_id is not None and not self._life.jobs[job_id].record.state.over else None

    def _requeue_lost(self, *, test: bool) -> None:
        lane = [one for one in self._life.jobs.values() if one.record.owner.test == test]
        for entry in sorted(lane, key=lambda one: (one.lease_until, one.record.id), reverse=True):
            record = entry.record
            ran_out = record.state is JobState.RUNNING and entry.lease_until <= self._clock()
            if ran_out or (record.waits_for is not None and self._learner(record.waits_for) is None):
                self._change(entry, **_QUEUED, waits_for=None)
                self._enqueue(record.owner, first=ran_out)

    def _change(self, entry: _Entry, **values: Any) -> JobRecord:
        record = replace(entry.record, sequence=entry.record.sequence + 1, updated_at=self._clock(), **values)
        entry.record = record
        entry.log = [*entry.log[1 - KEEP_EVENTS :], record]
        self._tell(record.id)
        return record

    def _tell(self, job_id: str) -> None:
        for listener in self._listeners:
            listener.put(job_id)


_QUEUED: Mapping[str, Any] = {"state": JobState.QUEUED, "phase": None, "step": 0, "total": 0}


def _is_free(entry: _Entry) -> bool:
    return entry.record.state is JobState.QUEUED and entry.record.waits_for is None


class MemoryJobQueue:
    """Rings in the order they came. Tests take them with `rings.popleft()`."""

    def __init__(self) -> None:
        self.rings: deque[str] = deque()

    def ring(self, job_id: str) -> None:
        self.rings.append(job_id)

    def waiting(self) -> int:
        return len(self.rings)
