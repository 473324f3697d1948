"""Changes of jobs, for everybody in this process who waits for one: a single subscription, however many requests there are."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from starlette.concurrency import run_in_threadpool

from api.slow_calls import SharedCalls, SlowCalls
from s2edit_jobs.records.record import JobRecord
from s2edit_jobs.stores.job_store import Events

RECHECK_S = 5.0
"""Seconds after which a waiter reads the job anyway and a cached record expires, in case Redis lost the message of a change."""
MAX_CACHED = 10_000
"""The number of jobs whose records one process caches."""


FOLLOWING_THREADS = 2
"""Threads that read for open connections. More of them would take the interpreter's lock from the event loop more often."""


async def is_set_within(seconds: float, event: asyncio.Event) -> bool:
    """Wait for `event`, at most so many seconds. Return whether it was set.

    `asyncio.wait_for` of Python 3.11 ignores a cancellation that comes just when the event is set: its task would go on for ever.
    """
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


class Changes:
    """Wakes waiters when a job changes, and caches records until then. Use it on the thread of the event loop.

    The subscription begins with the first waiter and lasts until `stop`. `clock` is monotonic, in seconds. Calls for waiters and
    streams have threads of their own, `threads`, so they hold up no other request.
    """

    def __init__(self, events: Events, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._events = events
        self._clock = clock
        self._subscribed = False
        self._loads: dict[str, object] = {}
        self.threads = SlowCalls(FOLLOWING_THREADS)
        self._shared = SharedCalls[str](self.threads)
        self._cache: OrderedDict[str, tuple[float, JobRecord]] = OrderedDict()
        self._waiters: dict[str, set[asyncio.Event]] = {}
        self._stop = threading.Event()
        self._listening = False

    @contextmanager
    def watching(self, job_id: str) -> Iterator[asyncio.Event]:
        """Yield an event that is set when the job may have changed. Clear it before reading the job."""
        self._listen()
        changed = asyncio.Event()
        self._waiters.setdefault(job_id, set()).add(changed)
        try:
            yield changed
        finally:
            self._waiters[job_id].discard(changed)
            if not self._waiters[job_id]:
                del self._waiters[job_id]

    async def until(
        self, load: Callable[[], JobRecord], enough: Callable[[JobRecord], bool], *, job_id: str, wait_s: float
    ) -> JobRecord:
        """Return what `load`, called in a thread, returns: as soon as that is `enough`, or after `wait_s` seconds.

        The first call is the caller's own, so it raises `JobNotFound` for a job of another owner. Later ones are shared by all who
        wait.
        """
        ends = asyncio.get_running_loop().time() + wait_s
        with self.watching(job_id) as changed:
            record = await run_in_threadpool(load)
            while True:
                if changed.is_set():
                    changed.clear()
                    record = await self._shared.run(job_id, load)
                left = ends - asyncio.get_running_loop().time()
                if enough(record) or left <= 0:
                    return record
                await is_set_within(min(left, RECHECK_S), changed)
                changed.set()  # after `RECHECK_S` or at the end of the wait, too

    async def load(self, job_id: str, load: Callable[[], JobRecord]) -> JobRecord:
        """Return what `load`, called in a thread, returns. Cache it, unless the job changes meanwhile."""
        self._listen()
        mine = self._loads[job_id] = object()
        try:
            record = await run_in_threadpool(load)
            if self._subscribed and self._loads.get(job_id) is mine:
                self._cache[job_id] = self._clock() + RECHECK_S, record
                if len(self._cache) > MAX_CACHED:
                    self._cache.popitem(last=False)
            return record
        finally:
            if self._loads.get(job_id) is mine:
                del self._loads[job_id]

    def cached(self, job_id: str) -> JobRecord | None:
        """Return the record if it was loaded within the last `RECHECK_S` seconds and the job has not changed since."""
        until, record = self._cache.get(job_id, (0.0, None))
        return record if self._clock() < until else None

    def stop(self) -> None:
        """End the subscription and wake all waiters."""
        self._stop.set()
        self._wake(None)

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    def _listen(self) -> None:
        if not self._listening:
            self._listening = True
            loop = asyncio.get_running_loop()
            threading.Thread(target=self._receive, args=(loop,), name="changes", daemon=True).start()

    def _receive(self, loop: asyncio.AbstractEventLoop) -> None:
        for job_id in self._events.changes(self._stop):
            if loop.is_closed():
                return
            with suppress(RuntimeError):  # the loop was closed just now
                loop.call_soon_threadsafe(self._wake, job_id)

    def _wake(self, job_id: str | None) -> None:
        """Wake the waiters of a job and drop its record; None stands for all jobs, after the subscription began or broke."""
        if job_id is None:
            self._subscribed = not self._stop.is_set()
            self._cache.clear()
            self._loads.clear()
            self._shared.forget()
        else:
            self._cache.pop(job_id, None)
            self._loads.pop(job_id, None)
            self._shared.forget(job_id)
        waiting = self._waiters.values() if job_id is None else [self._waiters.get(job_id, set())]
        for waiters in waiting:
            for changed in waiters:
                changed.set()
