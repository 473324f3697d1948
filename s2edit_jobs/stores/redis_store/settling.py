"""Prepare what a Redis that has restarted still holds: it may have lost its last second, or come from an old snapshot.

The sequence numbers of unfinished jobs are raised above the time in milliseconds, so that polls and streams notice each change.
Finished jobs are dropped. The caller then ends or removes those unfinished jobs that are over or erased in the object store.
"""

from __future__ import annotations

from collections.abc import Iterator

from s2edit_jobs.records.record import JobRecord
from s2edit_jobs.stores.redis_store.connection import Connection
from s2edit_jobs.stores.redis_store.hashes import mapping, record_of
from s2edit_jobs.stores.redis_store.lua import script

SETTLED = "s2edit:settled"
SCAN = 500
"""Keys that one script looks at: about 2 ms."""

# Answers the next cursor and the unfinished jobs. A key may be met twice, which changes nothing but a sequence.
SETTLE = script(
    """
local page, answers = redis.call('SCAN', cursor, 'MATCH', P .. '*', 'COUNT', count), {}
for _, key in ipairs(page[2]) do
  local kind, name = string.match(key, '^s2edit:(%a+):(.+)$')
  if kind == 'job' and not intact(name) then
    drop(name)
  elseif kind == 'job' and not unfinished(name) then
    redis.call('DEL', key, P .. 'events:' .. name)
  elseif kind == 'job' then
    if tonumber(value(name, 'sequence')) < now_ms then redis.call('HSET', key, 'sequence', integer(now_ms - 1)) end
    change(name)
    complete(name)
    answers[#answers + 1] = answer(name)
  elseif kind == 'events' and redis.call('EXISTS', job(name)) == 0 then
    redis.call('DEL', key)
  elseif kind == 'learner' and learner(name) == '' then
    redis.call('DEL', key, P .. 'waiters:' .. name)
  end
end
return { page[1], answers }
""",
    "cursor, count",
)


def settle(connection: Connection, generation: str) -> Iterator[JobRecord]:
    """Implement `Records.settle`. The cost is proportional to the keys of Redis, not to the history in the object store."""
    with connection.asking():
        if connection.client.get(SETTLED) == generation:
            return
    cursor = "0"
    while True:
        cursor, answers = connection.run(SETTLE, cursor, SCAN)
        for flat in answers:
            yield record_of(mapping(flat))
        if cursor == "0":
            break
    with connection.asking():
        connection.client.set(SETTLED, generation)
