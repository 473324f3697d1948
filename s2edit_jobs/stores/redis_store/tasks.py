"""Which process does a periodic task for all of them, and when each kind of process was last alive."""

from __future__ import annotations

from s2edit_jobs.stores.redis_store.lua import script
from s2edit_jobs.stores.redis_store.server.connection import Connection

# The value decides; the expiry only removes it, on the server's own clock.
TAKE_TASK = script(
    """
local task = P .. 'task:' .. name
if now_ms < tonumber(redis.call('GET', task) or 0) then return 0 end
redis.call('SET', task, now_ms + every_ms, 'PX', every_ms + 60000)
return 1
""",
    "name, every_ms",
)

# Both times are the server's, so no machine's clock matters.
REPORT_ALIVE = script("return redis.call('SET', P .. 'alive:' .. name, now_ms)", "name")
LAST_ALIVE = script(
    """
local at = redis.call('GET', P .. 'alive:' .. name)
return at and now_ms - tonumber(at)
""",
    "name",
)
CLOCK = script("return now_ms")


# The task stays known for a minute after it is due, as in `TAKE_TASK`.
HOLD_TASK = script("redis.call('SET', P .. 'task:' .. name, now_ms + for_ms, 'PX', for_ms + 60000)", "name, for_ms")


class RedisTasks:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def take_task(self, name: str, *, every_s: float) -> bool:
        return bool(self._connection.run(TAKE_TASK, name, int(every_s * 1000)))

    def hold_task(self, name: str, *, for_s: float) -> None:
        self._connection.run(HOLD_TASK, name, int(for_s * 1000))

    def report_alive(self, name: str) -> None:
        self._connection.run(REPORT_ALIVE, name)

    def last_alive_s(self, name: str) -> float | None:
        ms = self._connection.run(LAST_ALIVE, name)
        return None if ms is None else max(0.0, int(ms) / 1000)

    def clock(self) -> float:
        return int(self._connection.run(CLOCK)) / 1000
