"""The job store on Redis. Every transition is one Lua script, so it happens whole or not at all.

Keys: `s2edit:job:<id>` is a hash with one field per value of the record, and the fence. `s2edit:due` is a sorted set of the jobs
that are not over, by the millisecond from which nobody holds them (0: queued). `s2edit:life` names the database until it is
emptied. Times are the Redis server's, so workers' clocks don't matter.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, cast

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from s2edit_core.spec import Progress
from s2edit_jobs.errors import JobNotFound, LeaseLost, StoreUnavailable
from s2edit_jobs.record import Failure, JobRecord, JobState, Lease, Outcome, Owner

DUE = "s2edit:due"
LIFE = "s2edit:life"
RESTORED = "s2edit:restored"
KEEP_OVER_S = 7 * 24 * 3600
"""How long a finished job is answered from Redis; after that, from the object store."""

# Every script gets the job's hash and DUE as KEYS, and answers the hash after the change, or false.
_PRELUDE = """
local job, due = KEYS[1], KEYS[2]
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local function value(name) return redis.call('HGET', job, name) end
local function change(...)  -- sets the fields, and makes the change visible
  redis.call('HSET', job, 'updated_at', string.format('%.3f', now_ms / 1000), ...)
  redis.call('HINCRBY', job, 'sequence', 1)
end
local function held(fence) return value('state') == 'running' and value('fence') == fence end
local function answer() return redis.call('HGETALL', job) end
local function owned(tenant, user) return value('tenant') == tenant and value('user') == user end
"""

# ARGV: the job's id, then the fields and values of a new record.
_ADD = """
if redis.call('EXISTS', job) == 0 then
  redis.call('HSET', job, unpack(ARGV, 2))
  redis.call('ZADD', due, 0, ARGV[1])
end
return answer()
"""

# ARGV: id, lease in ms.
_CLAIM = """
local state = value('state')
if state == 'running' then
  if tonumber(redis.call('ZSCORE', due, ARGV[1]) or 0) > now_ms then return false end
elseif state ~= 'queued' then
  redis.call('ZREM', due, ARGV[1])  -- over, or unknown: nobody need look at it again
  return false
end
local fence = math.max(tonumber(value('fence') or 0) + 1, now_ms)
redis.call('HINCRBY', job, 'attempt', 1)
change('state', 'running', 'fence', string.format('%d', fence), 'phase', '', 'step', 0, 'total', 0)
redis.call('ZADD', due, now_ms + ARGV[2], ARGV[1])
return answer()
"""

# ARGV: id, fence, lease in ms.
_RENEW = """
if not held(ARGV[2]) then return false end
redis.call('ZADD', due, now_ms + ARGV[3], ARGV[1])
return answer()
"""

# ARGV: id, fence, phase, step, total.
_PROGRESS = """
if not held(ARGV[2]) then return false end
change('phase', ARGV[3], 'step', ARGV[4], 'total', ARGV[5])
return answer()
"""

# ARGV: id, tenant, user, state, artifacts, identity, failure, seconds to keep it.
_FINISH = """
if not owned(ARGV[2], ARGV[3]) then return false end
local state = value('state')
if state == 'queued' or state == 'running' then
  change('state', ARGV[4], 'artifacts', ARGV[5], 'identity', ARGV[6], 'failure', ARGV[7])
  redis.call('ZREM', due, ARGV[1])
  redis.call('EXPIRE', job, ARGV[8])
end
return answer()
"""

# ARGV: id, fence, what to add to the attempts.
_HAND_BACK = """
if not held(ARGV[2]) then return false end
redis.call('HINCRBY', job, 'attempt', ARGV[3])
change('state', 'queued', 'phase', '', 'step', 0, 'total', 0)
redis.call('ZADD', due, 0, ARGV[1])
return answer()
"""

# ARGV: id, tenant, user.
_CANCEL = """
if not owned(ARGV[2], ARGV[3]) then return false end
local state = value('state')
if (state == 'queued' or state == 'running') and value('cancel_requested') ~= '1' then change('cancel_requested', '1') end
return answer()
"""

_ORPHANS = """
local time = redis.call('TIME')
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', time[1] * 1000 + math.floor(time[2] / 1000))
"""


class RedisJobStore:
    """`url` as redis-py takes it. A Redis that does not answer within `timeout_s` is `StoreUnavailable`."""

    def __init__(self, url: str, *, timeout_s: float = 0.2) -> None:
        self._redis: redis.Redis = redis.Redis.from_url(
            url,
            decode_responses=True,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            # A second try after a cut connection only: waiting and repeating is the caller's business.
            retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
        )
        self._add = self._redis.register_script(_PRELUDE + _ADD)
        self._claim = self._redis.register_script(_PRELUDE + _CLAIM)
        self._renew = self._redis.register_script(_PRELUDE + _RENEW)
        self._progress = self._redis.register_script(_PRELUDE + _PROGRESS)
        self._finish = self._redis.register_script(_PRELUDE + _FINISH)
        self._hand_back = self._redis.register_script(_PRELUDE + _HAND_BACK)
        self._cancel = self._redis.register_script(_PRELUDE + _CANCEL)
        self._orphans = self._redis.register_script(_ORPHANS)

    def add(self, record: JobRecord) -> JobRecord:
        fields = [part for name, value in _fields(record).items() for part in (name, value)]
        answer = self._call(self._add, record.id, *fields)
        return _record(answer)

    def get(self, owner: Owner, job_id: str) -> JobRecord:
        with _translated():
            values = cast("dict[str, str]", self._redis.hgetall(_key(job_id)))
        if not values:
            raise JobNotFound(job_id)
        record = _record(values)
        if record.owner != owner:
            raise JobNotFound(job_id)
        return record

    def claim(self, job_id: str, *, lease_s: float) -> Lease | None:
        values = self._call(self._claim, job_id, int(lease_s * 1000))
        if not values:
            return None
        record = _record(values)
        return Lease(job_id=job_id, owner=record.owner, fence=int(values["fence"]), attempt=record.attempt, lease_s=lease_s)

    def renew(self, lease: Lease) -> JobRecord:
        values = self._call(self._renew, lease.job_id, lease.fence, int(lease.lease_s * 1000))
        if not values:
            raise LeaseLost(lease.job_id)
        return _record(values)

    def progress(self, lease: Lease, progress: Progress) -> None:
        if not self._call(self._progress, lease.job_id, lease.fence, progress.phase, progress.step, progress.total):
            raise LeaseLost(lease.job_id)

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
        )
        if not values:
            raise JobNotFound(job_id)
        return _record(values)

    def hand_back(self, lease: Lease, *, failed: bool = False) -> None:
        self._call(self._hand_back, lease.job_id, lease.fence, 0 if failed else -1)

    def request_cancel(self, owner: Owner, job_id: str) -> JobRecord:
        values = self._call(self._cancel, job_id, owner.tenant, owner.user)
        if not values:
            raise JobNotFound(job_id)
        return _record(values)

    def orphans(self) -> list[str]:
        with _translated():
            return sorted(self._orphans(keys=[DUE]))

    def lost(self) -> str | None:
        with _translated():
            self._redis.set(LIFE, secrets.token_hex(8), nx=True)
            # A restarted Redis counts as another life: after a power cut the last second of its file may be missing.
            server = cast("dict[str, str]", self._redis.info("server"))
            life = f"{self._redis.get(LIFE)}:{server['run_id']}"
            return None if self._redis.get(RESTORED) == life else life

    def restored(self, life: str) -> None:
        with _translated():
            self._redis.set(RESTORED, life)

    def _call(self, script: Any, job_id: str, *arguments: Any) -> dict[str, str]:
        """Run one of the scripts above; its answer as a mapping, empty for false."""
        with _translated():
            flat = script(keys=[_key(job_id), DUE], args=[job_id, *arguments]) or []
        return dict(zip(flat[::2], flat[1::2], strict=True))


@contextmanager
def _translated() -> Iterator[None]:
    """The one place where redis-py's errors become ours. A loading or full Redis counts as one that does not answer."""
    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError, redis.OutOfMemoryError, redis.ReadOnlyError) as error:
        raise StoreUnavailable(f"Redis does not answer: {type(error).__name__}") from error


def _key(job_id: str) -> str:
    return f"s2edit:job:{job_id}"


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
        failure=Failure(**json.loads(values["failure"])) if values["failure"] else None,
    )
