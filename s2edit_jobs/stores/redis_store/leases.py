"""Which worker may work on which job, and whose job is next."""

from __future__ import annotations

from collections.abc import Collection

from s2edit_jobs.records.record import TEST_TENANT_PREFIX, JobRecord, Lease
from s2edit_jobs.stores.redis_store.hashes import failure_of, mapping, record_of, still_held
from s2edit_jobs.stores.redis_store.lua import script
from s2edit_jobs.stores.redis_store.server.connection import Connection

TEND_MS = 2000
"""How often the queue is searched for lost records and places. That takes Redis about 10 ms for a full page."""

# `id` is '' for the next job; `queue` is '' for live jobs, else the prefix of test tenants. `passed` names tenants, and users as
# tenant/user, each between spaces, whose turn it is not.
CLAIM = script(
    """
local due, turns = of_queue('due', queue), of_queue('turns', queue)
requeue_lost(due)
if id == '' then
  local tenant, who, checked
  local looks, _, number = 0, string.gsub(passed, '%S+', '')
  local passes_users = string.find(passed, '/', 1, true)  -- asked several times a second: the reaper looks for lost places
  local function first_of(names)  -- whose turn it is
    for _, name in ipairs(redis.call('ZRANGE', names, 0, number)) do
      if not string.find(passed, ' ' .. name .. ' ', 1, true) then return name end
    end
  end
  repeat
    looks = looks + 1
    if looks > PAGE then return false end  -- after a great loss; the reaper notifies again
    tenant = first_of(turns)
    if not tenant and (checked or passes_users or #check_queued(due) == 0) then return false end
    checked = checked or not tenant
    who = tenant and first_of(P .. 'users:' .. tenant)
    id = who and redis.call('ZRANGE', P .. 'line:' .. who, 0, 0)[1] or ''
    if tenant and not who and redis.call('EXISTS', P .. 'users:' .. tenant) == 1 then  -- all of its users are passed
      passed, number = passed .. ' ' .. tenant .. ' ', number + 1
    elseif tenant and not who then
      -- `erase_owner` removes a queue first and comes to these places later. An earlier release has entered owners as turns.
      redis.call('ZREM', turns, tenant)
    end
    if who and id == '' then redis.call('ZREM', users_of(who), who) end
    if id ~= '' and not intact(id) then
      drop(id, who)
      id = ''
    elseif id ~= '' and (value(id, 'state') ~= 'queued' or value(id, 'waits_for') ~= '') then
      leave_line(id, who)
      id = ''
    end
  until id ~= ''
  redis.call('ZADD', turns, next_turn(turns), tenant)
  redis.call('ZADD', users_of(who), next_turn(users_of(who)), who)
elseif not intact(id) or value(id, 'state') ~= 'queued' or value(id, 'waits_for') ~= '' then
  return false
end
leave(id)
local fence = math.max((tonumber(value(id, 'fence')) or 0) + 1, now_ms)
redis.call('HINCRBY', job(id), 'attempt', 1)
redis.call('HSET', job(id), 'fence', integer(fence), 'term_ms', lease_ms)
change(id, 'state', 'running', 'phase', '', 'step', 0, 'total', 0)
redis.call('ZADD', due_of(id), now_ms + lease_ms, id)
return answer(id)
""",
    "id, lease_ms, queue, passed",
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
redis.call('HSET', job(id), 'device_faults', integer((tonumber(value(id, 'device_faults')) or 0) + tonumber(faults)))
change(id, 'state', 'queued', 'phase', '', 'step', 0, 'total', 0)
if tonumber(delay_ms) > 0 then  -- outside the queue until `requeue_lost` finds it
  redis.call('HSET', job(id), 'term_ms', delay_ms)
  redis.call('ZADD', due_of(id), integer(now_ms + tonumber(delay_ms)), id)
else
  enqueue(id)
end
return answer(id)
""",
    "id, fence, attempts, faults, delay_ms",
)

ORPHANS = script(
    """
local due = of_queue('due', '')
requeue_lost(due)
shorten_leases(due)
shorten_leases(P .. 'due:test')
local tend = P .. 'task:tend'
if now_ms >= tonumber(redis.call('GET', tend) or 0) then  -- one reaper looks for losses, for all
  redis.call('SET', tend, integer(now_ms + tonumber(tend_ms)), 'PX', 60000)
  local looks = 0
  for _, tenant in ipairs(redis.call('ZRANGE', of_queue('turns', ''), 0, PAGE - 1)) do
    for _, who in ipairs(redis.call('ZRANGE', P .. 'users:' .. tenant, 0, PAGE - 1 - looks)) do
      looks = looks + 1
      local first = redis.call('ZRANGE', P .. 'line:' .. who, 0, 0)[1]
      if first and not redis.call('ZSCORE', due, first) and intact(first) then complete(first) end
    end
    if looks >= PAGE then break end
  end
  return check_queued(due)
end
return redis.call('ZRANGEBYSCORE', due, 0, 0, 'LIMIT', 0, PAGE)
""",
    "tend_ms",
)


class RedisLeases:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def claim(
        self, job_id: str | None = None, *, lease_s: float, test: bool = False, passing: Collection[str] = ()
    ) -> Lease | None:
        passed = "".join(f" {name} " for name in passing)
        queue = TEST_TENANT_PREFIX if test else ""
        values = mapping(self._connection.run(CLAIM, job_id or "", int(lease_s * 1000), queue, passed))
        if not values:
            return None
        record = record_of(values)
        return Lease(
            job_id=record.id,
            owner=record.owner,
            fence=int(values["fence"]),
            attempt=record.attempt,
            lease_s=lease_s,
            device_faults=int(values.get("device_faults", "0")),
            learning_booked=values.get("learning_booked") == "1",
            learning_failure=failure_of(values.get("verdict", "")),
        )

    def renew(self, lease: Lease) -> JobRecord:
        return still_held(lease, mapping(self._connection.run(RENEW, lease.job_id, lease.fence, int(lease.lease_s * 1000))))

    def hand_back(self, lease: Lease, *, failed: bool = False, device_fault: bool = False, delay_s: float = 0.0) -> None:
        attempts, faults = 0 if failed else -1, int(device_fault)
        self._connection.run(HAND_BACK, lease.job_id, lease.fence, attempts, faults, int(delay_s * 1000))

    def orphans(self) -> list[str]:
        return sorted(self._connection.run(ORPHANS, TEND_MS))
