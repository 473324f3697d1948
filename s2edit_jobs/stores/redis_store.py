"""The job store on Redis. Every transition is one Lua script (`redis_scripts`), so it happens whole or not at all.

`s2edit:life` names the database until it is emptied. Times are the Redis server's, so workers' clocks don't matter.
"""

from __future__ import annotations

import itertools
import json
import re
import secrets
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any, cast

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from s2edit_core.request.spec import Progress
from s2edit_jobs.records.errors import JobNotFound, LeaseLost, StoreUnavailable
from s2edit_jobs.records.record import TWIN, Failure, JobRecord, JobState, Lease, Load, Outcome, Outlook, Owner, Spent
from s2edit_jobs.stores import redis_scripts as scripts
from s2edit_jobs.stores.redis_disk import compact
from s2edit_jobs.stores.store import DAY_S, KEEP_EVENTS, PLACE_S

CHANGES = "s2edit:changes"
LIFE = "s2edit:life"
RESTORED = "s2edit:restored"
REFUSALS = "s2edit:refusals"
KEEP_OVER_S = 7 * 24 * 3600
"""How long a finished job is answered from Redis; after that, from the object store."""
KEEP_EVENTS_S = 3600
"""How long its events are; after that, only where it ended."""
NEWEST = 0.2
"""Weight of the newest measurement in a mean of seconds."""
LET_ALONE_S = 0.3
"""How long a Redis that hung is not asked again."""
COMPACT_S = 30.0
SCAN = 1000
"""Keys that are looked at in one go."""
LISTEN_S = 1.0
"""How soon a listener sees that it is to stop; and the pause before it subscribes again."""


class RedisJobStore:
    """`url` as redis-py takes it. A Redis that does not answer within `timeout_s` is `StoreUnavailable`."""

    def __init__(self, url: str, *, timeout_s: float = 0.2) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._hangs_until = 0.0  # on the monotonic clock
        self._redis: redis.Redis = redis.Redis.from_url(
            url,
            decode_responses=True,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            # A second try after a cut connection only: waiting and repeating is the caller's business.
            retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
        )
        script = self._redis.register_script
        self._add = script(scripts.ADD)
        self._claim = script(scripts.CLAIM)
        self._renew = script(scripts.RENEW)
        self._progress = script(scripts.PROGRESS)
        self._reserve = script(scripts.RESERVE)
        self._release = script(scripts.RELEASE)
        self._finish = script(scripts.FINISH)
        self._hand_back = script(scripts.HAND_BACK)
        self._cancel = script(scripts.CANCEL)
        self._orphans = script(scripts.ORPHANS)
        self._overdue = script(scripts.OVERDUE)
        self._take_place = script(scripts.TAKE_PLACE)
        self._measured = script(scripts.MEASURED)
        self._outlook = script(scripts.OUTLOOK)
        self._prospect = script(scripts.PROSPECT)
        self._take_delivery = script(scripts.TAKE_DELIVERY)
        self._put_off_delivery = script(scripts.PUT_OFF_DELIVERY)
        self._erase = script(scripts.ERASE)

    def add(self, record: JobRecord) -> JobRecord:
        fields = [part for name, value in _fields(record).items() for part in (name, value)]
        return _record(self._call(self._add, record.id, *fields))

    def get(self, owner: Owner, job_id: str) -> JobRecord:
        with self._asking():
            values = cast("dict[str, str]", self._redis.hgetall(_key(job_id)))
        return _owned(values, owner, job_id)

    def events(self, owner: Owner, job_id: str, *, after: int) -> tuple[list[JobRecord], bool]:
        with self._asking():
            both = self._redis.pipeline(transaction=True)
            both.hgetall(_key(job_id))
            both.xrange(f"s2edit:events:{job_id}", min=f"{after + 1}-0")
            values, entries = both.execute()
        record = _owned(values, owner, job_id)
        records = [_record({**values, **entry, "sequence": name.partition("-")[0]}) for name, entry in entries]
        if not records and record.sequence > after:
            records = [record]
        return records, not records or records[0].sequence == after + 1

    def changes(self, stop: threading.Event) -> Iterator[str | None]:
        while not stop.is_set():
            with suppress(redis.RedisError, OSError):
                yield from self._listen(stop)
            stop.wait(LISTEN_S)

    def _listen(self, stop: threading.Event) -> Iterator[str | None]:
        """One subscription, until it breaks."""
        connect_s = self._timeout_s
        with (
            # It waits for messages, so it must not have a short timeout; the health check finds a connection that is dead.
            redis.Redis.from_url(
                self._url, decode_responses=True, socket_connect_timeout=connect_s, socket_timeout=5.0, health_check_interval=5
            ) as client,
            client.pubsub() as subscription,
        ):
            subscription.subscribe(CHANGES)
            while not stop.is_set():
                message = subscription.get_message(timeout=LISTEN_S)
                if message is not None and message["type"] in ("message", "subscribe"):
                    yield message["data"] if message["type"] == "message" else None

    def claim(self, job_id: str | None = None, *, lease_s: float, test: bool = False) -> Lease | None:
        values = self._call(self._claim, job_id or "", int(lease_s * 1000), TWIN if test else "")
        if not values:
            return None
        record = _record(values)
        return Lease(
            job_id=record.id,
            owner=record.owner,
            fence=int(values["fence"]),
            attempt=record.attempt,
            lease_s=lease_s,
            verdict=_failure(values.get("verdict", "")),
        )

    def renew(self, lease: Lease) -> JobRecord:
        return _still_held(lease, self._call(self._renew, lease.job_id, lease.fence, int(lease.lease_s * 1000)))

    def progress(self, lease: Lease, progress: Progress) -> JobRecord:
        values = self._call(self._progress, lease.job_id, lease.fence, progress.phase, progress.step, progress.total)
        return _still_held(lease, values)

    def reserve(self, lease: Lease, concept: str) -> bool:
        with self._asking():
            said = self._reserve(args=[lease.job_id, lease.fence, concept, KEEP_OVER_S, KEEP_EVENTS])
        if said == "lost":
            raise LeaseLost(lease.job_id)
        return bool(said == "learns")

    def release(self, lease: Lease, failure: Failure | None = None) -> list[str]:
        with self._asking():
            return list(self._release(args=[lease.job_id, lease.fence, _failure_json(failure), KEEP_EVENTS]))

    def finish(self, job_id: str, owner: Owner, outcome: Outcome) -> JobRecord:
        values = self._call(
            self._finish,
            job_id,
            owner.tenant,
            owner.user,
            outcome.state,
            json.dumps(dict(outcome.artifacts)),
            outcome.identity or "",
            _failure_json(outcome.failure),
            KEEP_OVER_S,
            KEEP_EVENTS_S,
        )
        return _owned(values, owner, job_id)

    def hand_back(self, lease: Lease, *, failed: bool = False) -> None:
        self._call(self._hand_back, lease.job_id, lease.fence, 0 if failed else -1)

    def request_cancel(self, owner: Owner, job_id: str) -> JobRecord:
        return _owned(self._call(self._cancel, job_id, owner.tenant, owner.user), owner, job_id)

    def orphans(self) -> list[str]:
        with self._asking():
            return sorted(self._orphans(args=["", KEEP_EVENTS]))

    def overdue(self) -> list[JobRecord]:
        with self._asking():
            return [_record(_mapping(flat)) for flat in self._overdue(args=[""])]

    def announce(self, job_id: str) -> None:
        self.put_off_delivery(job_id, 0)

    def take_delivery(self, *, lease_s: float) -> tuple[str, int] | None:
        with self._asking():
            taken = self._take_delivery(args=["", int(lease_s * 1000)])
        return (taken[0], int(taken[1])) if taken else None

    def put_off_delivery(self, job_id: str, wait_s: float) -> None:
        with self._asking():
            self._put_off_delivery(args=[job_id, int(wait_s * 1000)])

    def end_delivery(self, job_id: str) -> None:
        with self._asking():
            both = self._redis.pipeline(transaction=True)
            both.zrem("s2edit:outbox", job_id)
            both.hdel("s2edit:tries", job_id)
            both.execute()

    def take_place(self, owner: Owner, job_id: str, *, of_owner: int, in_all: int) -> Load:
        with self._asking():
            name = f"{owner.tenant}/{owner.user}"
            return Load(*self._take_place(args=[job_id, name, of_owner, in_all, int(PLACE_S * 1000)]))

    def leave_place(self, owner: Owner, job_id: str) -> None:
        with self._asking():
            both = self._redis.pipeline(transaction=True)
            both.zrem("s2edit:places", job_id)
            both.zrem(f"s2edit:places:{owner.tenant}/{owner.user}", job_id)
            both.execute()

    def take_turn(self, errand: str, *, every_s: float) -> bool:
        with self._asking():
            return bool(self._redis.set(f"s2edit:turn:{errand}", 1, nx=True, px=int(every_s * 1000)))

    def measured(self, preset: str, seconds: Mapping[str, float]) -> None:
        with self._asking():
            self._measured(args=[preset, NEWEST, *(part for pair in seconds.items() for part in pair)])

    def book(self, tenant: str, spent: Spent) -> None:
        key = _account(tenant)
        with self._asking():
            both = self._redis.pipeline(transaction=True)
            both.hincrby(key, "learnings", spent.learnings)
            both.hincrbyfloat(key, "worker_s", spent.worker_s)
            both.expire(key, 2 * DAY_S)
            both.execute()

    def spent(self, tenant: str) -> Spent:
        with self._asking():
            values = cast("dict[str, str]", self._redis.hgetall(_account(tenant)))
        return Spent(int(values.get("learnings", 0)), float(values.get("worker_s", 0)))

    def count_refusal(self, field: str) -> None:
        with self._asking():
            self._redis.hincrby(REFUSALS, field, 1)

    def refusals(self) -> Mapping[str, int]:
        with self._asking():
            values = cast("dict[str, str]", self._redis.hgetall(REFUSALS))
        return {field: int(count) for field, count in values.items()}

    def outlook(self, owner: Owner, job_id: str) -> Outlook:
        with self._asking():
            said = self._outlook(args=[job_id, owner.tenant, owner.user])
        if not said:
            raise JobNotFound(job_id)
        ahead, running, pace = said
        return Outlook(int(ahead), int(running), {phase: float(seconds) for phase, seconds in _mapping(pace).items()})

    def erase(self, owner: Owner, job_id: str) -> str | None:
        with self._asking():
            said = self._erase(args=[job_id, owner.tenant, owner.user])
        return said[1] or None

    def erase_owner(self, owner: Owner) -> int:
        """Looks at every key: an owner's finished jobs stand in no index, and this must not depend on one."""
        who = f"{owner.tenant}/{owner.user}"
        names = re.compile(
            rf"s2edit:[a-z_]+:({re.escape(who)}(:.*)?|{re.escape(owner.prefix)}.*)|s2edit:rates\b.*/{re.escape(who)}/.*"
        )
        running = 0
        with self._asking():
            if places := self._redis.zrange(f"s2edit:places:{who}", 0, -1):
                self._redis.zrem("s2edit:places", *cast("list[str]", places))
            for keys in _in_parts(self._redis.scan_iter(count=SCAN), SCAN):
                if found := [key for key in keys if names.fullmatch(key)]:
                    self._redis.unlink(*found)
                jobs = [key for key in keys if key.startswith(_key(""))]
                asked = self._redis.pipeline(transaction=False)
                for key in jobs:
                    asked.hmget(key, ["tenant", "user"])
                for key, whose in zip(jobs, asked.execute(), strict=True):
                    if whose == [owner.tenant, owner.user]:
                        running += int(self._erase(args=[key.removeprefix(_key("")), owner.tenant, owner.user])[0])
            for turns in ("s2edit:turns", "s2edit:turns:test"):
                self._redis.zrem(turns, who)
        return running

    def compact(self) -> bool:
        with (
            self._asking(),
            # A fork of a large server takes longer than any other call may.
            redis.Redis.from_url(self._url, decode_responses=True, socket_timeout=COMPACT_S, socket_connect_timeout=2.0) as client,
        ):
            return compact(client, timeout_s=COMPACT_S)

    def prospect(self, owner: Owner, preset: str) -> Outlook:
        with self._asking():
            ahead, running, pace = self._prospect(args=[f"{owner.tenant}/{owner.user}", preset])
        return Outlook(int(ahead), int(running), {phase: float(seconds) for phase, seconds in _mapping(pace).items()})

    def lost(self) -> str | None:
        with self._asking():
            self._redis.set(LIFE, secrets.token_hex(8), nx=True)
            # A restarted Redis counts as another life: after a power cut the last second of its file may be missing.
            server = cast("dict[str, str]", self._redis.info("server"))
            life = f"{self._redis.get(LIFE)}:{server['run_id']}"
            return None if self._redis.get(RESTORED) == life else life

    def restored(self, life: str) -> None:
        with self._asking():
            self._redis.set(RESTORED, life)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """The one place where redis-py's errors become ours. A loading or full Redis counts as one that does not answer.

        A Redis that hangs is left alone for a moment: else a request that asks it three times would wait three times as long.
        """
        if time.monotonic() < self._hangs_until:
            raise StoreUnavailable("Redis did not answer a moment ago")
        try:
            yield
        except (redis.ConnectionError, redis.TimeoutError, redis.OutOfMemoryError, redis.ReadOnlyError) as error:
            if isinstance(error, redis.TimeoutError):
                self._hangs_until = time.monotonic() + LET_ALONE_S
            raise StoreUnavailable(f"Redis does not answer: {type(error).__name__}") from error

    def _call(self, script: Any, job_id: str, *arguments: Any) -> dict[str, str]:
        """Run a script of one job; its answer as a mapping, empty for false."""
        with self._asking():
            return _mapping(script(args=[job_id, *arguments, KEEP_EVENTS]) or [])


def _key(job_id: str) -> str:
    return f"s2edit:job:{job_id}"


def _in_parts(keys: Iterable[str], size: int) -> Iterator[Sequence[str]]:
    all_keys = iter(keys)
    while part := list(itertools.islice(all_keys, size)):
        yield part


def _account(tenant: str) -> str:
    """Of today."""
    return f"s2edit:spent:{tenant}:{int(time.time() // DAY_S)}"


def _mapping(flat: list[str]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _owned(values: Mapping[str, str], owner: Owner, job_id: str) -> JobRecord:
    """Raises `JobNotFound` for an unknown job and for somebody else's."""
    if not values or (record := _record(values)).owner != owner:
        raise JobNotFound(job_id)
    return record


def _still_held(lease: Lease, values: Mapping[str, str]) -> JobRecord:
    if not values:
        raise LeaseLost(lease.job_id)
    return _record(values)


def _failure(text: str) -> Failure | None:
    return Failure(**json.loads(text)) if text else None


def _failure_json(failure: Failure | None) -> str:
    return json.dumps(asdict(failure)) if failure else ""


def _fields(record: JobRecord) -> dict[str, str]:
    return {
        "id": record.id,
        "tenant": record.owner.tenant,
        "user": record.owner.user,
        "state": record.state,
        "sequence": str(record.sequence),
        "created_at": repr(record.created_at),
        "updated_at": repr(record.updated_at),
        "phase": record.phase or "",
        "step": str(record.step),
        "total": str(record.total),
        "attempt": str(record.attempt),
        "cancel_requested": "1" if record.cancel_requested else "",
        "artifacts": json.dumps(dict(record.artifacts)),
        "identity": record.identity or "",
        "failure": _failure_json(record.failure),
        "preset": record.preset,
        "deadline_at": repr(record.deadline_at) if record.deadline_at is not None else "",
        "webhook": "1" if record.webhook else "",
        "waits_for": record.waits_for or "",
        "kind": record.kind,
        "parent": record.parent or "",
    }


def _record(values: Mapping[str, str]) -> JobRecord:
    return JobRecord(
        id=values["id"],
        owner=Owner(tenant=values["tenant"], user=values["user"]),
        state=JobState(values["state"]),
        sequence=int(values["sequence"]),
        created_at=float(values["created_at"]),
        updated_at=float(values["updated_at"]),
        phase=values["phase"] or None,  # type: ignore[arg-type]  # written from a Phase
        step=int(values["step"]),
        total=int(values["total"]),
        attempt=int(values["attempt"]),
        cancel_requested=values["cancel_requested"] == "1",
        artifacts=json.loads(values["artifacts"]),
        identity=values["identity"] or None,
        failure=_failure(values["failure"]),
        preset=values["preset"],
        deadline_at=float(values["deadline_at"]) if values["deadline_at"] else None,
        webhook=values["webhook"] == "1",
        waits_for=values["waits_for"] or None,
        kind=values.get("kind", "edit"),  # type: ignore[arg-type]  # written from a JobKind
        parent=values.get("parent") or None,
    )
