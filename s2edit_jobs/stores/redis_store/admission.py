"""How many jobs are accepted: queue slots."""

from __future__ import annotations

from s2edit_jobs.records.record import Load, Owner
from s2edit_jobs.stores.job_store import SLOT_TTL_S
from s2edit_jobs.stores.redis_store.connection import Connection
from s2edit_jobs.stores.redis_store.lua import script

# Answers how many jobs and slots the owner and all owners have besides this one. Writes that need memory come first: a full Redis
# refuses those, but lets a script that has written go on.
TAKE_SLOT = script(
    """
local all, own, open = P .. 'slots', P .. 'slots:' .. who, P .. 'open:' .. who
local function taken(slots) return redis.call('ZCOUNT', slots, '(' .. integer(now_ms), '+inf') end
local function count()
  return redis.call('SCARD', open) + taken(own), redis.call('ZCARD', of_queue('due', who)) + taken(all)
end
local of_owner, in_all = count()
if of_owner >= tonumber(most_of_owner) then  -- refuse nobody for jobs whose records are lost
  for _, other in ipairs(redis.call('SMEMBERS', open)) do
    if not unfinished(other) then redis.call('SREM', open, other) end
  end
  of_owner, in_all = count()
end
if redis.call('ZSCORE', own, id) or redis.call('SISMEMBER', open, id) == 1 then
  of_owner, in_all = of_owner - 1, in_all - 1
end
if of_owner < tonumber(most_of_owner) and in_all < tonumber(most_in_all) then
  redis.call('ZADD', all, now_ms + ttl_ms, id)
  redis.call('ZADD', own, now_ms + ttl_ms, id)
  redis.call('PEXPIRE', own, ttl_ms)
  for _, slots in ipairs({ all, own }) do redis.call('ZREMRANGEBYSCORE', slots, '-inf', now_ms) end
end
return { of_owner, in_all }
""",
    "id, who, most_of_owner, most_in_all, ttl_ms",
)

LEAVE_SLOT = script(
    """
redis.call('ZREM', P .. 'slots', id)
redis.call('ZREM', P .. 'slots:' .. who, id)
""",
    "id, who",
)


class RedisAdmission:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def take_slot(self, owner: Owner, job_id: str, *, of_owner: int, in_all: int) -> Load:
        who = f"{owner.tenant}/{owner.user}"
        return Load(*self._connection.run(TAKE_SLOT, job_id, who, of_owner, in_all, int(SLOT_TTL_S * 1000)))

    def leave_slot(self, owner: Owner, job_id: str) -> None:
        self._connection.run(LEAVE_SLOT, job_id, f"{owner.tenant}/{owner.user}")
