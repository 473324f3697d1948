"""A separate set of threads for slow calls, which are lists and erasures, and one for open connections.

Starlette runs all blocking calls of a process in 40 threads. A few slow calls would occupy all of them, and every other request
would wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from functools import cached_property
from typing import Any, Generic, TypeVar

import anyio.to_thread
from anyio import CapacityLimiter

THREADS = 8
"""Slow calls that one process runs at a time. Others wait for their turn."""
Result = TypeVar("Result")
Key = TypeVar("Key", bound=Hashable)


class SlowCalls:
    """A set of threads of one app. Use it on the thread of the event loop."""

    def __init__(self, threads: int = THREADS) -> None:
        self._threads = threads

    @cached_property
    def _limiter(self) -> CapacityLimiter:
        return CapacityLimiter(self._threads)

    async def run(self, call: Callable[[], Result]) -> Result:
        """Call `call` in one of the threads and return its result."""
        return await anyio.to_thread.run_sync(call, limiter=self._limiter)


class SharedCalls(Generic[Key]):
    """Calls that several callers share: whoever asks while a call with the same key runs gets its result."""

    def __init__(self, threads: SlowCalls) -> None:
        self._threads = threads
        self._running: dict[Key, asyncio.Future[Any]] = {}

    async def run(self, key: Key, call: Callable[[], Result]) -> Result:
        """Return what `call` returns, or what the running call with this key does. Raise what it raises."""
        if key not in self._running:
            running = self._running[key] = asyncio.ensure_future(self._threads.run(call))
            running.add_done_callback(lambda done: self._end(key, done))
        result: Result = await asyncio.shield(self._running[key])
        return result

    def forget(self, key: Key | None = None) -> None:
        """Have later callers begin a call of their own with `key`, or with any: the running one may return what is outdated."""
        if key is None:
            self._running.clear()
        else:
            self._running.pop(key, None)

    def _end(self, key: Key, done: asyncio.Future[Any]) -> None:
        if not done.cancelled():
            done.exception()  # so that asyncio does not log it if nobody waits any more
        if self._running.get(key) is done:
            del self._running[key]
