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

_ANSWER = """
local running = redis.call('ZCOUNT', of_queue('due', who), '(' .. now_ms, '+inf')
return { integer(ahead), integer(running), redis.call('HGETALL', P .. 'pace:' .. preset) }
"""

OUTLOOK = script(
    """
if not owned(id, tenant, user) then return false end
local who, preset = owner(id), value(id, 'preset')
local rank = redis.call('ZRANK', P .. 'line:' .. who, id)
local ahead = rank and jobs_ahead(who, rank) or 0
"""
    + _ANSWER,
    "id, tenant, user",
)

PROSPECT = script(
    """
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
