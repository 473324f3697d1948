"""Notice that Redis was emptied, restarted or restored, and prepare what it still holds.

The reaper asks `lost` every second (`lifecycle.survey.rebuild_if_lost`). After a loss, `settle` raises the sequence numbers of
unfinished jobs above the time in milliseconds, so that polls and streams notice each change, and drops finished jobs and all
previews. A Redis that has restarted may have lost its last second, or come from an old snapshot. So `lifecycle.unfinished` then
enters the jobs that are missing, and ends or removes those that are over or erased in the object store.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import cast

from s2edit_jobs.records.record import JobRecord
from s2edit_jobs.stores.redis_store.hashes import mapping, record_of
from s2edit_jobs.stores.redis_store.lua import script
from s2edit_jobs.stores.redis_store.server.connection import Connection

GENERATION = "s2edit:life"
"""The name of this database until it is emptied."""
RESTORED = "s2edit:restored"
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
  elseif kind == 'preview' then
    redis.call('DEL', key)
  elseif kind == 'learner' and learner(name) == '' then
    redis.call('DEL', key, P .. 'waiters:' .. name)
  end
end
return { page[1], answers }
""",
    "cursor, count",
)


class RedisRecovery:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def lost(self) -> str | None:
        client = self._connection.client
        with self._connection.asking():
            client.set(GENERATION, secrets.token_hex(8), nx=True)
            # A restarted Redis begins a new generation: after a power cut the last second of its file may be missing.
            server = cast("dict[str, str]", client.info("server"))
            generation = f"{client.get(GENERATION)}:{server['run_id']}"
            return None if client.get(RESTORED) == generation else generation

    def restored(self, generation: str) -> None:
        with self._connection.asking():
            self._connection.client.set(RESTORED, generation)

    def settle(self, generation: str) -> Iterator[JobRecord]:
        """The cost is proportional to the keys of Redis, not to the history in the object store."""
        with self._connection.asking():
            if self._connection.client.get(SETTLED) == generation:
                return
        cursor = "0"
        while True:
            cursor, answers = self._connection.run(SETTLE, cursor, SCAN)
            for flat in answers:
                yield record_of(mapping(flat))
            if cursor == "0":
                break
        with self._connection.asking():
            self._connection.client.set(SETTLED, generation)

    def unfinished(self) -> Iterator[str]:
        for due in ("s2edit:due", "s2edit:due:test"):
            with self._connection.asking():
                for job_id, _ in self._connection.client.zscan_iter(due, count=SCAN):
                    yield job_id
