"""What tenants have used, and what was refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from s2edit_jobs.records.record import DailyUsage, Lease, Measurement
from s2edit_jobs.stores.job_store import DAY_S, MEASURE_S
from s2edit_jobs.stores.redis_store.lua import script
from s2edit_jobs.stores.redis_store.server.connection import Connection

REFUSALS = "s2edit:refusals"
KEPT_S = 2 * DAY_S
"""Seconds for which the account of a day is kept."""

BOOK_LEARNING = script(
    """
if held(id, fence) and redis.call('HSETNX', job(id), 'learning_booked', '1') == 1 then
  redis.call('HINCRBY', account, 'learnings', 1)
  redis.call('EXPIRE', account, kept_s)
end
""",
    "id, fence, account, kept_s",
)
_MEASURE = """
local stored, measure = P .. 'stored:' .. tenant, P .. 'measure'
local function bytes(name) return tonumber(redis.call('HGET', stored, name) or '') or 0 end
local function have_measured(at_ms)
  if at_ms < (tonumber(redis.call('ZSCORE', measure, tenant) or '') or math.huge) then
    redis.call('ZADD', measure, integer(at_ms), tenant)
  end
end
"""
BOOK_STORED = script(
    _MEASURE
    + """
redis.call('HSET', stored, 'booked', integer(bytes('booked') + size))
have_measured(now_ms + wait_ms)
""",
    "tenant, size, wait_ms",
)
STORED = script(
    _MEASURE
    + """
local size = bytes('measured') + bytes('booked')
if size >= tonumber(bound) or redis.call('HEXISTS', stored, 'measured') == 0 then have_measured(now_ms) end
return integer(size)
""",
    "tenant, bound",
)
TAKE_MEASUREMENT = script(
    """
local tenant = redis.call('ZRANGEBYSCORE', P .. 'measure', '-inf', now_ms, 'LIMIT', 0, 1)[1]
if not tenant then return false end
redis.call('ZREM', P .. 'measure', tenant)
return { tenant, integer(tonumber(redis.call('HGET', P .. 'stored:' .. tenant, 'booked') or '') or 0) }
"""
)
MEASURED_STORED = script(
    _MEASURE
    + """
redis.call('HSET', stored, 'measured', size, 'booked', integer(math.max(0, bytes('booked') - booked)))
""",
    "tenant, size, booked",
)


class RedisUsage:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def book(self, tenant: str, spent: DailyUsage) -> None:
        key = self._account(tenant)
        with self._connection.asking():
            both = self._connection.client.pipeline(transaction=True)
            both.hincrby(key, "learnings", spent.learnings)
            both.hincrbyfloat(key, "worker_s", spent.worker_s)
            both.expire(key, KEPT_S)
            both.execute()

    def book_learning(self, lease: Lease) -> None:
        self._connection.run(BOOK_LEARNING, lease.job_id, lease.fence, self._account(lease.owner.tenant), KEPT_S)

    def spent(self, tenant: str) -> DailyUsage:
        with self._connection.asking():
            values = cast("dict[str, str]", self._connection.client.hgetall(self._account(tenant)))
        return DailyUsage(int(values.get("learnings", 0)), float(values.get("worker_s", 0)))

    def book_stored(self, tenant: str, size_bytes: int) -> None:
        self._connection.run(BOOK_STORED, tenant, size_bytes, int(MEASURE_S * 1000))

    def stored(self, tenant: str, *, bound: int) -> int:
        return int(self._connection.run(STORED, tenant, bound))

    def take_measurement(self) -> Measurement | None:
        answer = self._connection.run(TAKE_MEASUREMENT)
        return Measurement(answer[0], int(answer[1])) if answer else None

    def measured(self, measurement: Measurement, size_bytes: int) -> None:
        self._connection.run(MEASURED_STORED, measurement.tenant, size_bytes, measurement.booked)

    def count_refusal(self, field: str) -> None:
        with self._connection.asking():
            self._connection.client.hincrby(REFUSALS, field, 1)

    def refusals(self) -> Mapping[str, int]:
        with self._connection.asking():
            values = cast("dict[str, str]", self._connection.client.hgetall(REFUSALS))
        return {field: int(count) for field, count in values.items()}

    def _account(self, tenant: str) -> str:
        """Return the key of the tenant's usage today."""
        return f"s2edit:spent:{tenant}:{int(self._connection.now() // DAY_S)}"
