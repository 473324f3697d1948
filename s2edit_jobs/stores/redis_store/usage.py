"""What tenants have used, and what was refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from s2edit_jobs.records.record import Spent
from s2edit_jobs.stores.job_store import DAY_S
from s2edit_jobs.stores.redis_store.connection import Connection

REFUSALS = "s2edit:refusals"


class RedisUsage:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def book(self, tenant: str, spent: Spent) -> None:
        key = self._account(tenant)
        with self._connection.asking():
            both = self._connection.client.pipeline(transaction=True)
            both.hincrby(key, "learnings", spent.learnings)
            both.hincrbyfloat(key, "worker_s", spent.worker_s)
            both.expire(key, 2 * DAY_S)
            both.execute()

    def spent(self, tenant: str) -> Spent:
        with self._connection.asking():
            values = cast("dict[str, str]", self._connection.client.hgetall(self._account(tenant)))
        return Spent(int(values.get("learnings", 0)), float(values.get("worker_s", 0)))

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
