"""Which worker may work on which job, and whose job is next."""

from __future__ import annotations

from s2edit_jobs.records.record import TEST_TENANT_PREFIX, JobRecord, Lease
from s2edit_jobs.stores.redis_store.connection import Connection
from s2edit_jobs.stores.redis_store.hashes import failure_of, mapping, record_of, still_held
from s2edit_jobs.stores.redis_store.lua import script

# `id` is '' for the next job; `queue` is '' for live jobs, else the prefix of test tenants.
CLAIM = script(
    """
requeue_lost(of_queue('due', queue))
local turns = of_queue('turns', queue)
if id == '' then
  local who
  repeat
    who = redis.call('ZRANGE', turns, 0, 0)[1]
    if not who then return false end
    id = redis.call('ZRANGE', P .. 'line:' .. who, 0, 0)[1]
    if not id then redis.call('ZREM', turns, who) end  -- `erase_owner` has removed the queue and comes to the rest later
  until id
  redis.call('ZADD', turns, redis.call('INCR', P .. 'turn'), who)
elseif value(id, 'state') ~= 'queued' or value(id, 'waits_for') ~= '' then
  return false
end
leave(id)
local fence = math.max(tonumber(redis.call('HGET', job(id), 'fence') or 0) + 1, now_ms)
redis.call('HINCRBY', job(id), 'attempt', 1)
redis.call('HSET', job(id), 'fence', integer(fence))
change(id, 'state', 'running', 'phase', '', 'step', 0, 'total', 0)
redis.call('ZADD', due_of(id), now_ms + lease_ms, id)
return answer(id)
""",
    "id, lease_ms, queue",
)

RENEW = script(
    """
if not held(id, fence) then return false end
redis.call('ZADD', due_of(id), now_ms + lease_ms, id)
return answer(id)
""",
    "id, fence, lease_ms",
)

HAND_BACK = script(
    """
if not held(id, fence) then return false end
redis.call('HINCRBY', job(id), 'attempt', attempts)
change(id, 'state', 'queued', 'phase', '', 'step', 0, 'total', 0)
if tonumber(wait_ms) > 0 then redis.call('ZADD', due_of(id), integer(now_ms + wait_ms), id) else enqueue(id) end
return answer(id)
""",
    "id, fence, attempts, wait_ms",
)

ORPHANS = script(
    """
local due = of_queue('due', '')
requeue_lost(due)
return redis.call('ZRANGEBYSCORE', due, 0, 0, 'LIMIT', 0, PAGE)
"""
)


class RedisLeases:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def claim(self, job_id: str | None = None, *, lease_s: float, test: bool = False) -> Lease | None:
        values = mapping(self._connection.run(CLAIM, job_id or "", int(lease_s * 1000), TEST_TENANT_PREFIX if test else ""))
        if not values:
            return None
        record = record_of(values)
        return Lease(
            job_id=record.id,
            owner=record.owner,
            fence=int(values["fence"]),
            attempt=record.attempt,
            lease_s=lease_s,
            learning_failure=failure_of(values.get("verdict", "")),
        )

    def renew(self, lease: Lease) -> JobRecord:
        return still_held(lease, mapping(self._connection.run(RENEW, lease.job_id, lease.fence, int(lease.lease_s * 1000))))

    def hand_back(self, lease: Lease, *, failed: bool = False, wait_s: float = 0.0) -> None:
        self._connection.run(HAND_BACK, lease.job_id, lease.fence, 0 if failed else -1, int(wait_s * 1000))

    def orphans(self) -> list[str]:
        return sorted(self._connection.run(ORPHANS))
