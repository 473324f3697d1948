"""How many jobs are accepted: queue slots."""

from __future__ import annotations

from s2edit_jobs.records.record import Load, Owner
from s2edit_jobs.stores.job_store import SLOT_TTL_S
from s2edit_jobs.stores.redis_store.lua import script
from s2edit_jobs.stores.redis_store.server.connection import Connection

# Answers how many jobs and slots the owner, the tenant and all have besides this one. Writes that need memory come first: a full
# Redis refuses those, but lets a script that has written go on.
TAKE_SLOT = script(
    """
local tenant = tenant_of(who)
local ends_at = tonumber(redis.call('ZSCORE', P .. 'slots:' .. who, id) or 0)
local mine = ends_at > now_ms or redis.call('SISMEMBER', P .. 'open:' .. who, id) == 1
local function slots(name) return redis.call('ZCOUNT', P .. name, '(' .. integer(now_ms), '+inf') - (mine and 1 or 0) end
local function load(name, most)
  local open = P .. 'open:' .. name
  local count = redis.call('SCARD', open) + slots('slots:' .. name)
  if count < most then return count end
  for _, other in ipairs(redis.call('SRANDMEMBER', open, PAGE)) do  -- refuse nobody for jobs whose records are lost
    if not unfinished(other) then redis.call('SREM', open, other) end
  end
  return redis.call('SCARD', open) + slots('slots:' .. name)
end
local of_owner, of_tenant = load(who, tonumber(most_of_owner)), load(tenant, tonumber(most_of_tenant))
local in_all = redis.call('ZCARD', of_queue('due', who)) + slots('slots')
if of_owner < tonumber(most_of_owner) and of_tenant < tonumber(most_of_tenant) and in_all < tonumber(most_in_all) then
  for _, name in ipairs({ 'slots', 'slots:' .. who, 'slots:' .. tenant }) do
    redis.call('ZADD', P .. name, now_ms + ttl_ms, id)
    if name ~= 'slots' then redis.call('PEXPIRE', P .. name, ttl_ms) end
  end
  for _, name in ipairs({ 'slots', 'slots:' .. who, 'slots:' .. tenant }) do
    redis.call('ZREMRANGEBYSCORE', P .. name, '-inf', now_ms)
  end
end
return { of_owner, of_tenant, in_all }
""",
    "id, who, most_of_owner, most_of_tenant, most_in_all, ttl_ms",
)

LEAVE_SLOT = script("leave_slots(id, who)", "id, who")


class RedisAdmission:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def take_slot(self, owner: Owner, job_id: str, *, of_owner: int, of_tenant: int, in_all: int) -> Load:
        who = owner.name
        return Load(*self._connection.run(TAKE_SLOT, job_id, who, of_owner, of_tenant, in_all, int(SLOT_TTL_S * 1000)))

    def leave_slot(self, owner: Owner, job_id: str) -> None:
        self._connection.run(LEAVE_SLOT, job_id, owner.name)
