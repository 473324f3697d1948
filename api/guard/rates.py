"""Rate limits per user and tenant, by the `limits` library, and the headers that report them.

Writes are counted in Redis, for all processes together. Reads are counted in each process, so that a poll costs no round trip.
While Redis is down or refuses to write, each process counts everything itself, so an outage rejects nobody.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import structlog
from limits import RateLimitItem, RateLimitItemPerMinute
from limits.errors import StorageError
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from s2edit_jobs.records.errors import RateExceeded
from s2edit_jobs.records.record import Owner
from s2edit_jobs.settings import Settings

TIMEOUT_S = 0.1
REDIS_RETRY_S = 2.0
"""Seconds until a Redis that did not answer is tried again."""
STATE = "rates"
"""The key in a request's state under which its standings wait for the response headers."""
COUNTED = "counted"
"""The key that says that `UploadGuard` has counted the request."""
READ_METHODS = ("GET", "HEAD", "OPTIONS")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Standing:
    """The state of one limit after a request."""

    policy: str
    limit: int
    window_s: int
    left: int
    reset_s: int  # until one more request is allowed


class Rates:
    """Counts requests. Thread-safe. `clock` is monotonic, in seconds."""

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._local = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._redis = _redis_storage(settings.redis_url) if settings.redis_url else None
        self._shared = SlidingWindowCounterRateLimiter(self._redis) if self._redis is not None else None
        self._silent_until = 0.0

    def take(self, owner: Owner, method: str, standings: list[Standing]) -> None:
        """Count one request and append the state of each limit to `standings`. Raises `RateExceeded`."""
        reads = method in READ_METHODS
        # The user comes first: requests beyond a user's limit must not use up the tenant's.
        for policy, item, key in self._limits(owner, reads=reads):
            allowed, standing = self._hit(policy, item, key, shared=not reads)
            standings.append(standing)
            if not allowed:
                raise RateExceeded(f"{policy}: {item}", retry_after_s=max(1, standing.reset_s))

    def check_tenant(self, owner: Owner, method: str) -> None:
        """Raise `RateExceeded` if the tenant may send no further request now. Nothing is counted."""
        reads = method in READ_METHODS
        *_, (policy, item, key) = (("", None, ()), *self._limits(owner, reads=reads))
        if item is not None and policy.startswith("tenant"):
            allowed, standing = self._hit(policy, item, key, shared=not reads, count=False)
            if not allowed:
                raise RateExceeded(f"{policy}: {item}", retry_after_s=max(1, standing.reset_s))

    def _limits(self, owner: Owner, *, reads: bool) -> Iterator[tuple[str, RateLimitItem, tuple[str, ...]]]:
        kind, settings = ("reads" if reads else "writes"), self._settings
        for_user = settings.user_reads_per_minute if reads else settings.user_writes_per_minute
        for_tenant = settings.tenant_reads_per_minute if reads else settings.tenant_writes_per_minute
        if for_user:
            yield f"user-{kind}", RateLimitItemPerMinute(for_user), (f"user-{kind}", owner.tenant, owner.user)
        if for_tenant:
            yield f"tenant-{kind}", RateLimitItemPerMinute(for_tenant), (f"tenant-{kind}", owner.tenant)

    def _hit(
        self, policy: str, item: RateLimitItem, key: tuple[str, ...], *, shared: bool, count: bool = True
    ) -> tuple[bool, Standing]:
        if shared and self._shared is not None and self._clock() >= self._silent_until:
            try:
                return _hit(self._shared, policy, item, key, count=count)
            except StorageError as error:
                self._silent_until = self._clock() + REDIS_RETRY_S
                if self._redis is not None:  # a new connection may reach another server, after a failover
                    self._redis.storage.connection_pool.disconnect(inuse_connections=False)
                cause = type(error.storage_error).__name__
                log.warning("Redis is down: each process counts requests itself", action="rates_alone", error=cause)
        return _hit(self._local, policy, item, key, count=count)


def _redis_storage(url: str) -> RedisStorage:
    url = f"redis+{url}" if url.startswith("unix:") else url
    return RedisStorage(
        url, key_prefix="s2edit:rates", wrap_exceptions=True, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S
    )


def _hit(
    limiter: SlidingWindowCounterRateLimiter, policy: str, item: RateLimitItem, key: tuple[str, ...], *, count: bool
) -> tuple[bool, Standing]:
    allowed = (limiter.hit if count else limiter.test)(item, *key)
    stats = limiter.get_window_stats(item, *key)
    left = stats.remaining if allowed else 0
    reset_s = max(0, math.ceil(stats.reset_time - time.time()))
    return allowed, Standing(policy, item.amount, item.get_expiry(), left, reset_s)


def header_fields(standings: Sequence[Standing]) -> dict[str, str]:
    """Return the headers of draft-ietf-httpapi-ratelimit-headers-10."""
    policies = ", ".join(f'"{one.policy}";q={one.limit};w={one.window_s}' for one in standings)
    states = ", ".join(f'"{one.policy}";r={one.left};t={one.reset_s}' for one in standings)
    return {"RateLimit-Policy": policies, "RateLimit": states}


class RateHeaders:
    """Middleware that adds the rate limit headers to every response, errors included."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        standings: list[Standing] = []
        scope.setdefault("state", {})[STATE] = standings

        async def send_with(message: Message) -> None:
            if message["type"] == "http.response.start" and standings:
                MutableHeaders(scope=message).update(header_fields(standings))
            await send(message)

        await self._app(scope, receive, send_with)
