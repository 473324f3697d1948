"""The jobs and their states."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import cast

from s2edit_jobs.records.record import JobRecord, Outcome, Owner
from s2edit_jobs.stores.redis_store.hashes import failure_json, fields_of, job_key, mapping, owned, record_of
from s2edit_jobs.stores.redis_store.lua import script
from s2edit_jobs.stores.redis_store.server.connection import Connection

KEEP_OVER_S = 7 * 24 * 3600
"""How long Redis answers for a finished job; after that, the object store does."""
KEEP_EVENTS_S = 3600
"""How long its events are kept; after that, only its end is known."""
KEEP_PREVIEW_S = 60
"""How long its last preview is kept: a page that shows it needs a moment to load the result."""

_ENDED = f"""
local function ended(id)  -- after the change to a final state: give up its places, have its end sent, keep it for a while
  leave(id)
  redis.call('ZREM', due_of(id), id)
  redis.call('ZREM', deadlines, id)
  for _, open in ipairs({{ owner(id), value(id, 'tenant') }}) do redis.call('SREM', P .. 'open:' .. open, id) end
  if value(id, 'webhook') == '1' then redis.call('ZADD', P .. 'outbox', 'NX', now_ms, id) end
  redis.call('EXPIRE', job(id), {KEEP_OVER_S})
  redis.call('EXPIRE', P .. 'events:' .. id, {KEEP_EVENTS_S})
  redis.call('EXPIRE', preview_of(id, owner(id)), {KEEP_PREVIEW_S})
end
"""

# The fields and values of a new record follow the id. A damaged record is replaced; a known job keeps its record and its place.
ADD = script(
    _ENDED
    + """
if not intact(id) then
  if redis.call('EXISTS', job(id)) == 1 then redis.call('DEL', job(id)) end
  redis.call('HSET', job(id), unpack(ARGV, 3))
  local sequence = tonumber(value(id, 'sequence'))  -- 1, or that of a lost job by a clock that may be slower than this one
  if sequence > 1 then redis.call('HSET', job(id), 'sequence', integer(math.max(sequence, now_ms))) end
  redis.call('DEL', P .. 'events:' .. id)
  log(id)
  if unfinished(id) then enqueue(id) else ended(id) end
end
if unfinished(id) then complete(id) end
leave_slots(id, owner(id))
return answer(id)
""",
    "id",
)

REQUEST_CANCEL = script(
    """
if not owned(id, tenant, user) then return false end
if unfinished(id) and value(id, 'cancel_requested') ~= '1' then change(id, 'cancel_requested', '1') end
return answer(id)
""",
    "id, tenant, user",
)

FINISH = script(
    _ENDED
    + """
if not owned(id, tenant, user) then return false end
if unfinished(id) then
  leave(id)  -- first: a full Redis would refuse a change as the first write
  change(id, 'state', state, 'artifacts', artifacts, 'identity', identity, 'failure', failure, 'waits_for', '')
  ended(id)
end
return answer(id)
""",
    "id, tenant, user, state, artifacts, identity, failure",
)

OVERDUE = script(
    """
local answers = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', deadlines, '-inf', now_ms / 1000, 'LIMIT', 0, PAGE)) do
  if not intact(id) then
    drop(id)
  elseif unfinished(id) then
    answers[#answers + 1] = answer(id)
  else
    redis.call('ZREM', deadlines, id)
  end
end
return answers
"""
)


class RedisRecords:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, record: JobRecord) -> JobRecord:
        fields = [part for pair in fields_of(record).items() for part in pair]
        return record_of(mapping(self._connection.run(ADD, record.id, *fields)))

    def get(self, owner: Owner, job_id: str) -> JobRecord:
        with self._connection.asking():
            values = cast("dict[str, str]", self._connection.client.hgetall(job_key(job_id)))
        return owned(values, owner, job_id)

    def find(self, job_ids: Sequence[str]) -> Mapping[str, JobRecord]:
        asked = self._connection.client.pipeline(transaction=False)
        for job_id in job_ids:
            asked.hgetall(job_key(job_id))
        with self._connection.asking():
            answers = cast("list[dict[str, str]]", asked.execute())
        found = {}
        for job_id, values in zip(job_ids, answers, strict=True):
            with suppress(KeyError, ValueError, TypeError):  # missing or damaged: `add` replaces it
                found[job_id] = record_of(values)
        return found

    def unfinished(self, owner: Owner) -> list[JobRecord]:
        with self._connection.asking():
            ids = cast("set[str]", self._connection.client.smembers(f"s2edit:open:{owner.name}"))
        found = self.find(sorted(ids)) if ids else {}
        return [record for record in found.values() if record.owner == owner and not record.state.over]

    def request_cancel(self, owner: Owner, job_id: str) -> JobRecord:
        return owned(mapping(self._connection.run(REQUEST_CANCEL, job_id, owner.tenant, owner.user)), owner, job_id)

    def finish(self, job_id: str, owner: Owner, outcome: Outcome) -> JobRecord:
        values = self._connection.run(
            FINISH,
            job_id,
            owner.tenant,
            owner.user,
            outcome.state,
            json.dumps(dict(outcome.artifacts)),
            outcome.identity or "",
            failure_json(outcome.failure),
        )
        return owned(mapping(values), owner, job_id)

    def overdue(self) -> list[JobRecord]:
        return [record_of(mapping(flat)) for flat in self._connection.run(OVERDUE)]
