"""How long jobs take: means of what was measured, and the jobs ahead."""

from __future__ import annotations

from collections.abc import Mapping

from s2edit_jobs.records.errors import JobNotFound
from s2edit_jobs.records.record import Outlook, Owner
from s2edit_jobs.stores.redis_store.hashes import mapping
from s2edit_jobs.stores.redis_store.lua import script
from s2edit_jobs.stores.redis_store.server.connection import Connection

NEWEST = 0.2
"""Weight of the newest measurement in a mean of seconds."""

KEPT_S = 30 * 86_400
"""Seconds for which the means of a name are kept after the last measurement: requests choose the numbers in names."""

# The phases and their seconds follow the numbers.
MEASURED = script(
    """
local pace = P .. 'pace:' .. preset
for i = 5, #ARGV, 2 do
  local before = tonumber(redis.call('HGET', pace, ARGV[i]) or '') or ARGV[i + 1]
  redis.call('HSET', pace, ARGV[i], string.format('%.4f', before + weight * (ARGV[i + 1] - before)))
end
redis.call('EXPIRE', pace, kept_s)
""",
    "preset, weight, kept_s",
)

LOOKS = 100
"""How many users of the caller's tenant, other tenants, and users of those one estimate looks at, of each at most. Those beyond
count like the others on average. A look takes Redis about a microsecond, and every `GET` of a queued edit makes an estimate."""

_AHEAD = f"""
local function counted(places, without, most, looks, jobs_of)  -- jobs of the names in `places` but one, at most `most` of each
  local count = redis.call('ZCARD', places) - (redis.call('ZSCORE', places, without) and 1 or 0)
  if most == 1 then return count end  -- who is in there has a job, so this is exact
  local sum, looked = 0, 0
  for _, name in ipairs(redis.call('ZRANGE', places, 0, looks.left)) do
    if looks.left == 0 then break end
    if name ~= without then
      looks.left, looked, sum = looks.left - 1, looked + 1, sum + math.min(jobs_of(name), most)
    end
  end
  return looked == 0 and count or math.floor(sum / looked * count + 0.5)
end

local function queued(who) return redis.call('ZCARD', P .. 'line:' .. who) end

local function jobs_ahead(who, rank)  -- that start before this owner's job with `rank` of the owner's others before it
  local of_tenant = rank + counted(users_of(who), who, rank + 1, {{ left = {LOOKS} }}, queued)
  local most, looks = of_tenant + 1, {{ left = {LOOKS} }}
  return of_tenant + counted(of_queue('turns', who), tenant_of(who), most, {{ left = {LOOKS} }}, function(tenant)
    local users = P .. 'users:' .. tenant
    return redis.call('ZCARD', users) >= most and most or counted(users, '', most, looks, queued)
  end)
end
"""

_ANSWER = """
local running = redis.call('ZCOUNT', of_queue('due', who), '(' .. now_ms, '+inf')
return { integer(ahead), integer(running), redis.call('HGETALL', P .. 'pace:' .. preset) }
"""

OUTLOOK = script(
    _AHEAD
    + """
if not owned(id, tenant, user) then return false end
local who, preset = owner(id), value(id, 'preset')
local rank = redis.call('ZRANK', P .. 'line:' .. who, id)
local ahead = rank and jobs_ahead(who, rank) or 0
"""
    + _ANSWER,
    "id, tenant, user",
)

PROSPECT = script(
    _AHEAD
    + """
local rank = redis.call('ZCARD', P .. 'line:' .. who)
local ahead = jobs_ahead(who, rank)
"""
    + _ANSWER,
    "who, preset",
)


class RedisEstimates:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def measured(self, preset: str, seconds: Mapping[str, float]) -> None:
        self._connection.run(MEASURED, preset, NEWEST, KEPT_S, *(part for pair in seconds.items() for part in pair))

    def outlook(self, owner: Owner, job_id: str) -> Outlook:
        answer = self._connection.run(OUTLOOK, job_id, owner.tenant, owner.user)
        if not answer:
            raise JobNotFound(job_id)
        return _outlook(*answer)

    def prospect(self, owner: Owner, preset: str) -> Outlook:
        return _outlook(*self._connection.run(PROSPECT, owner.name, preset))


def _outlook(ahead: str, running: str, pace: list[str]) -> Outlook:
    return Outlook(int(ahead), int(running), {phase: float(seconds) for phase, seconds in mapping(pace).items()})
