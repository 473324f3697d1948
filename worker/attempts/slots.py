"""The threads of a worker that runs several attempts at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from worker.attempts.worker_health import WorkerHealth


class AttemptSlots:
    """Runs up to `size` attempts at a time, each in a thread."""

    def __init__(self, size: int, health: WorkerHealth) -> None:
        self._health = health
        self._free = threading.BoundedSemaphore(size)
        self._threads = ThreadPoolExecutor(size, "attempt")

    def run(self, attempt: Callable[[], None]) -> None:
        """Begin `attempt` in a thread, as soon as one is free and no running attempt must be alone."""
        self._free.acquire()
        try:
            self._health.company.wait_for_room()
            self._threads.submit(self._run, attempt)
        except BaseException:
            self._free.release()
            raise

    def finish(self) -> None:
        """Wait for the end of all attempts. No further one can begin."""
        self._threads.shutdown()

    def _run(self, attempt: Callable[[], None]) -> None:
        try:
            attempt()
        except BaseException as error:
            self._health.interrupted(error)
        finally:
            self._free.release()
