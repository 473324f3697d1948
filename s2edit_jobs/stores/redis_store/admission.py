"""How many jobs are accepted: queue slots."""

from __future__ import annotations

from s2edit_jobs.records.record import Load, Owner
from s2edit_jobs.stores.job_store import SLOT_TTL_S
from s2edit_jobs.stores.redis_store.connection import Connection
from s2edit_jobs.stores.redis_store.lua import script

# Answers how many jobs and slots the owner and all owners have besides this one.
TAKE_SLOT = script(
    """
local all, own, open = P .. 'slots', P .. 'slots:' .. who, P .. 'open:' .. who
for _, slots in ipairs({ all, own }) do redis.call('ZREMRANGEBYSCORE', slots, '-inf', now_ms) end
local of_owner = redis.call('SCARD', open) + redis.call('ZCARD', own)
local in_all = redis.call('ZCARD', of_queue('due', who)) + redis.call('ZCARD', all)
if redis.call('ZSCORE', own, id) or redis.call('SISMEMBER', open, id) == 1 then
  of_owner, in_all = of_owner - 1, in_all - 1
end
if of_owner < tonumber(most_of_owner) and in_all < tonumber(most_in_all) then
  redis.call('ZADD', all, now_ms + ttl_ms, id)
  redis.call('ZADD', own, now_ms + ttl_ms, id)
  redis.call('PEXPIRE', own, ttl_ms)
end
return { of_owner, in_all }
""",
    "id, who, most_of_owner, most_in_all, ttl_ms",
)


class RedisAdmission:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def take_slot(self, owner: Owner, job_id: str, *, of_owner: int, in_all: int) -> Load:
        who = f"{owner.tenant}/{owner.user}"
        return Load(*self._connection.run(TAKE_SLOT, job_id, who, of_owner, in_all, int(SLOT_TTL_S * 1000)))

    def leave_slot(self, owner: Owner, job_id: str) -> None:
        with self._connection.asking():
            both = self._connection.client.pipeline(transaction=True)
            both.zrem("s2edit:slots", job_id)
            both.zrem(f"s2edit:slots:{owner.tenant}/{owner.user}", job_id)
            both.execute()
