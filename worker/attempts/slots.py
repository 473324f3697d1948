"""The threads of a worker that runs several attempts at a time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from worker.attempts.worker_health import WorkerHealth


class AttemptSlots:
    """Runs up to `size` attempts at a time, each in a thread."""

    def __init__(self, size: int, health: WorkerHealth) -> None:
        self._health, self._company = health, health.company
        self._company.open(size)
        self._threads = ThreadPoolExecutor(size, "attempt")

    def run(self, attempt: Callable[[], None]) -> None:
        """Begin `attempt` in a thread, as soon as one is free and no running attempt must be alone."""
        self._company.take_place()
        try:
            self._threads.submit(self._run, attempt)
        except BaseException:
            self._company.leave_place()
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
            self._company.leave_place()
