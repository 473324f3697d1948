"""A separate set of threads for slow calls, which are lists and erasures.

Starlette runs all blocking calls of a process in 40 threads. A few slow calls would occupy all of them, and every other request
would wait.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TypeVar

import anyio.to_thread
from anyio import CapacityLimiter

THREADS = 8
"""Slow calls that one process runs at a time. Others wait for their turn."""
Result = TypeVar("Result")


class SlowCalls:
    """The threads for slow calls of one app. Use it on the thread of the event loop."""

    @cached_property
    def _limiter(self) -> CapacityLimiter:
        return CapacityLimiter(THREADS)

    async def run(self, call: Callable[[], Result]) -> Result:
        """Call `call` in one of the threads and return its result."""
        return await anyio.to_thread.run_sync(call, limiter=self._limiter)
