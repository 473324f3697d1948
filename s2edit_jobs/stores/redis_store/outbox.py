"""Jobs whose end is still to be sent to a webhook."""

from __future__ import annotations

from s2edit_jobs.stores.redis_store.connection import Connection
from s2edit_jobs.stores.redis_store.lua import script

# Answers the job and the number of this try.
TAKE = script(
    """
local outbox = P .. 'outbox'
local first = redis.call('ZRANGEBYSCORE', outbox, '-inf', now_ms, 'LIMIT', 0, 1)[1]
if not first then return false end
redis.call('ZADD', outbox, now_ms + lease_ms, first)
return { first, redis.call('HINCRBY', P .. 'tries', first, 1) }
""",
    "lease_ms",
)

# `condition`: NX enters a job that is not there yet, XX changes one that is.
SCHEDULE = script("return redis.call('ZADD', P .. 'outbox', condition, now_ms + wait_ms, id)", "id, condition, wait_ms")

END = script("redis.call('ZREM', P .. 'outbox', id) redis.call('HDEL', P .. 'tries', id)", "id")


class RedisOutbox:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def announce(self, job_id: str) -> None:
        self._connection.run(SCHEDULE, job_id, "NX", 0)

    def take(self, *, lease_s: float) -> tuple[str, int] | None:
        taken = self._connection.run(TAKE, int(lease_s * 1000))
        return (taken[0], int(taken[1])) if taken else None

    def put_off(self, job_id: str, wait_s: float, *, counted: bool = True) -> None:
        self._connection.run(SCHEDULE, job_id, "XX", int(wait_s * 1000))
        if not counted:
            with self._connection.asking():
                self._connection.client.hincrby("s2edit:tries", job_id, -1)

    def end(self, job_id: str) -> None:
        self._connection.run(END, job_id)
