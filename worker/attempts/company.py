"""The attempts that run beside each other in one process.

A process that dies takes all its attempts with it, and each of them counts. So a job that kills its worker would also use up the
attempts of its companions. That must park nobody but itself: a job's last attempt runs alone.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from s2edit_jobs.records.record import Lease

POLL_S = 0.1
"""Seconds between two calls of `while_waiting`."""


def must_run_alone(lease: Lease, max_attempts: int) -> bool:
    """Return whether this is a job's last attempt after earlier ones were lost, or after devices have failed in them."""
    return lease.attempt >= max(2, max_attempts) or lease.device_faults >= max(1, max_attempts - 1)


class Company:
    """The attempts of this process. Thread-safe."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._present: Counter[str] = Counter()  # attempts by job; a lost one may still run beside its successor
        self._working = 0
        self._alone = 0  # attempts that run alone or wait for that

    @contextmanager
    def present(self, job_id: str) -> Iterator[None]:
        """Be an attempt of this process, from its claim until its job is handed back or over."""
        with self._changed:
            self._present[job_id] += 1
        try:
            yield
        finally:
            with self._changed:
                self._present[job_id] -= 1
                self._present = +self._present
                self._changed.notify_all()

    @contextmanager
    def working(self, *, alone: bool, while_waiting: Callable[[], None]) -> Iterator[None]:
        """Use the engine beside others, or `alone`. What `while_waiting` raises ends the wait for that."""
        self._begin(alone=alone, while_waiting=while_waiting)
        try:
            yield
        finally:
            with self._changed:
                self._working -= 1
                self._alone -= alone
                self._changed.notify_all()

    def _begin(self, *, alone: bool, while_waiting: Callable[[], None]) -> None:
        with self._changed:
            self._alone += alone
            try:
                while self._working if alone else self._alone:
                    self._changed.wait(POLL_S)
                    while_waiting()
            except BaseException:
                self._alone -= alone
                self._changed.notify_all()
                raise
            self._working += 1

    def wait_for_room(self) -> None:
        """Wait until no attempt must run alone. A job that is claimed before would wait with its lease."""
        with self._changed:
            while self._alone:
                self._changed.wait(POLL_S)

    def others(self, job_id: str) -> int:
        """Return how many attempts at other jobs are present."""
        with self._changed:
            return self._present.total() - self._present[job_id]

    def wait_without(self, job_id: str, timeout_s: float) -> None:
        """Wait until all attempts at other jobs have ended, or for `timeout_s` seconds."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while self._present.total() > self._present[job_id] and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)
