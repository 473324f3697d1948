"""What the roles share: one Redis client, its limits, and the clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.commands.core import Script
from redis.retry import Retry

from s2edit_jobs.records.errors import StoreUnavailable
from s2edit_jobs.stores.redis_errors import from_a_replica, outage

Clock = Callable[[], float]

LET_ALONE_S = 0.3
"""How long a Redis that hung is not asked again."""


class Connection:
    """For any number of threads. Nothing is connected before the first call."""

    def __init__(self, url: str, *, timeout_s: float, clock: Clock | None) -> None:
        self.url = url
        self.timeout_s = timeout_s
        self._clock = clock
        self._hangs_until = 0.0  # on the monotonic clock
        self._scripts: dict[str, Script] = {}
        self.client: redis.Redis = redis.Redis.from_url(
            url,
            decode_responses=True,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            # A second try after a cut connection only: waiting and repeating is the caller's business.
            retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
        )

    def run(self, script: str, *arguments: str | bytes | int | float) -> Any:
        """Run a script of `lua.script`. An answer of false is None."""
        if script not in self._scripts:
            self._scripts[script] = self.client.register_script(script)
        now_ms = "" if self._clock is None else int(self._clock() * 1000)
        with self.asking():
            return self._scripts[script](args=[now_ms, *arguments])

    def now(self) -> float:
        """Return the seconds since the epoch where no script runs, by this machine's clock unless one was given."""
        return time.time() if self._clock is None else self._clock()

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Turn redis-py's errors into ours: the only place that does. A Redis that is full, loads or was demoted is unavailable.

        A Redis that hangs is not asked again for a moment. Otherwise a request that asks it three times would wait three times.
        After a failover, connections to the former primary are closed, so that the next call follows its name to the new one.
        """
        if time.monotonic() < self._hangs_until:
            raise StoreUnavailable("Redis did not answer a moment ago")
        try:
            yield
        except redis.RedisError as error:
            if (reason := outage(error)) is None:
                raise
            if isinstance(error, redis.TimeoutError):
                self._hangs_until = time.monotonic() + LET_ALONE_S
            if from_a_replica(error):
                self.client.connection_pool.disconnect(inuse_connections=False)
            raise StoreUnavailable(reason) from error
