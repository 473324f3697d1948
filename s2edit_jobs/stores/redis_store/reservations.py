"""Which job learns a concept, and which jobs wait for it."""

from __future__ import annotations

from s2edit_jobs.records.errors import LeaseLost
from s2edit_jobs.records.record import Failure, Lease
from s2edit_jobs.stores.redis_store.hashes import failure_json
from s2edit_jobs.stores.redis_store.lua import RESERVED_S, script
from s2edit_jobs.stores.redis_store.server.connection import Connection

# Answers 'lost', 'waits' or 'learns'.
RESERVE = script(
    """
if not held(id, fence) then return 'lost' end
local key, waiters, other = P .. 'learner:' .. concept, P .. 'waiters:' .. concept, learner(concept)
if other ~= '' and other ~= id then
  redis.call('HINCRBY', job(id), 'attempt', -1)
  change(id, 'state', 'queued', 'phase', '', 'step', 0, 'total', 0, 'waits_for', concept)
  redis.call('ZADD', due_of(id), now_ms + LOOK_MS, id)
  redis.call('SADD', waiters, id)
  redis.call('EXPIRE', waiters, keep_s)
  return 'waits'
end
redis.call('SET', key, id, 'EX', keep_s)
redis.call('HSET', job(id), 'holds', concept)
return 'learns'
""",
    "id, fence, concept, keep_s",
)

# Only the latest attempt may release, also after its job is over.
RELEASE = script(
    """
local concept = value(id, 'holds')
local key, waiters = P .. 'learner:' .. concept, P .. 'waiters:' .. concept
if concept == '' or value(id, 'fence') ~= fence then return {} end
if redis.call('GET', key) ~= id then return {} end
redis.call('DEL', key)
redis.call('HSET', job(id), 'holds', '')
local woken = {}
for _, waiter in ipairs(redis.call('SMEMBERS', waiters)) do
  if value(waiter, 'state') == 'queued' and value(waiter, 'waits_for') == concept then
    redis.call('HSET', job(waiter), 'verdict', verdict)
    change(waiter, 'waits_for', '')
    enqueue(waiter)
    woken[#woken + 1] = waiter
  end
end
redis.call('DEL', waiters)
return woken
""",
    "id, fence, verdict",
)


class RedisReservations:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def reserve(self, lease: Lease, concept: str) -> bool:
        answer = self._connection.run(RESERVE, lease.job_id, lease.fence, concept, RESERVED_S)
        if answer == "lost":
            raise LeaseLost(lease.job_id)
        return bool(answer == "learns")

    def release(self, lease: Lease, failure: Failure | None = None) -> list[str]:
        return list(self._connection.run(RELEASE, lease.job_id, lease.fence, failure_json(failure)))
