"""Remember in Redis which object store the service uses."""

from __future__ import annotations

from typing import cast

from s2edit_jobs.stores.redis_store.recovery import RESTORED
from s2edit_jobs.stores.redis_store.server.connection import Connection

STORE = "s2edit:store"
"""The id in the marker of the object store."""


class RedisStoreMemory:
    """Implements `StoreMemory`."""

    def __init__(self, url: str, *, timeout_s: float = 0.2) -> None:
        self._connection = Connection(url, timeout_s=timeout_s, clock=None)

    def recall(self) -> str | None:
        with self._connection.asking():
            return cast("str | None", self._connection.client.get(STORE))

    def has_served(self) -> bool:
        with self._connection.asking():
            return bool(self._connection.client.exists(RESTORED))

    def remember(self, store_id: str) -> str:
        with self._connection.asking():
            self._connection.client.set(STORE, store_id, nx=True)
            return cast("str | None", self._connection.client.get(STORE)) or store_id

    def replace(self, store_id: str) -> None:
        with self._connection.asking():
            self._connection.client.set(STORE, store_id)
