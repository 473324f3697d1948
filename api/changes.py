"""Who waits for which edit, and what was last seen of it: one subscription per process, however many requests wait or ask."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from starlette.concurrency import run_in_threadpool

from s2edit_jobs.records.record import JobRecord
from s2edit_jobs.stores.store import JobStore

LOOK_S = 5.0
"""At the latest, whoever waits looks again: so a message that Redis lost costs seconds."""
MAX_SEEN = 10_000
"""Jobs of which one process remembers how they stood."""


class Changes:
    """Of one process, and for its event loop's own thread. The subscription begins with the first one who waits or asks again, and
    is kept from then on. `clock` is monotonic, in seconds."""

    def __init__(self, store: JobStore, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._hears = False  # since the subscription stands
        self._looks: dict[str, object] = {}
        self._seen: OrderedDict[str, tuple[float, JobRecord]] = OrderedDict()
        self._bells: dict[str, set[asyncio.Event]] = {}
        self._stop = threading.Event()
        self._listening = False

    @contextmanager
    def watching(self, job_id: str) -> Iterator[asyncio.Event]:
        """An event that is set when the job may have changed; clear it before you look."""
        self._listen()
        bell = asyncio.Event()
        self._bells.setdefault(job_id, set()).add(bell)
        try:
            yield bell
        finally:
            self._bells[job_id].discard(bell)
            if not self._bells[job_id]:
                del self._bells[job_id]

    async def until(
        self, look: Callable[[], JobRecord], enough: Callable[[JobRecord], bool], *, job_id: str, wait_s: float
    ) -> JobRecord:
        """What `look` (called in a thread) answers, as soon as that is `enough` or `wait_s` seconds have passed."""
        ends = asyncio.get_running_loop().time() + wait_s
        with self.watching(job_id) as bell:
            while True:
                bell.clear()
                record = await run_in_threadpool(look)
                left = ends - asyncio.get_running_loop().time()
                if enough(record) or left <= 0:
                    return record
                with suppress(TimeoutError):
                    await asyncio.wait_for(bell.wait(), min(left, LOOK_S))

    async def look(self, job_id: str, look: Callable[[], JobRecord]) -> JobRecord:
        """What `look` (called in a thread) answers; that is remembered unless the job changes meanwhile."""
        self._listen()
        mine = self._looks[job_id] = object()
        try:
            record = await run_in_threadpool(look)
            if self._hears and self._looks.get(job_id) is mine:
                self._seen[job_id] = self._clock() + LOOK_S, record
                if len(self._seen) > MAX_SEEN:
                    self._seen.popitem(last=False)
            return record
        finally:
            if self._looks.get(job_id) is mine:
                del self._looks[job_id]

    def seen(self, job_id: str) -> JobRecord | None:
        """How the job stands, if that has been looked up within `LOOK_S` seconds and no change has been heard of since."""
        until, record = self._seen.get(job_id, (0.0, None))
        return record if self._clock() < until else None

    def stop(self) -> None:
        """End the subscription, and wake all who wait."""
        self._stop.set()
        self._wake(None)

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    def _listen(self) -> None:
        if not self._listening:
            self._listening = True
            loop = asyncio.get_running_loop()
            threading.Thread(target=self._hear, args=(loop,), name="changes", daemon=True).start()

    def _hear(self, loop: asyncio.AbstractEventLoop) -> None:
        for job_id in self._store.changes(self._stop):
            if loop.is_closed():
                return
            with suppress(RuntimeError):  # closed just now
                loop.call_soon_threadsafe(self._wake, job_id)

    def _wake(self, job_id: str | None) -> None:
        """None: anything may have changed."""
        if job_id is None:
            self._hears = not self._stop.is_set()
            self._seen.clear()
            self._looks.clear()
        else:
            self._seen.pop(job_id, None)
            self._looks.pop(job_id, None)
        waiting = self._bells.values() if job_id is None else [self._bells.get(job_id, set())]
        for bells in waiting:
            for bell in bells:
                bell.set()
