"""The attempts that run beside each other in one process, and the places that they take.

A process that dies takes all its attempts with it, and each of them counts. So a job that kills its worker would also use up the
attempts of its companions. That must park nobody but itself: a job's last attempt runs alone.

A first edit may hold its place for a minute. So that a flood of them does not hold up everybody else, the last place of a process
with many is for users who have no other there.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from s2edit_jobs.records.record import Lease

POLL_S = 0.1
"""Seconds between two calls of `while_waiting`."""
LOOK_S = 0.25
"""Seconds between two looks for a job of somebody who has no place."""
MANY = 8
"""Places from which on the last one is not for everybody."""


def must_run_alone(lease: Lease, max_attempts: int) -> bool:
    """Return whether this is a job's last attempt after earlier ones were lost, or after devices have failed in them."""
    return lease.attempt >= max(2, max_attempts) or lease.device_faults >= max(1, max_attempts - 1)


class Company:
    """The attempts of this process. Thread-safe."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._present: list[tuple[str, str]] = []  # job and owner of each attempt; a lost one may still run beside its successor
        self._places = math.inf
        self._taken = 0  # places, by threads that may only wait for a job
        self._occupied = 0  # places, by attempts and by threads that claim a job
        self._working = 0
        self._alone = 0  # attempts that run alone or wait for that

    def open(self, places: int) -> None:
        """Let this process run so many attempts at a time."""
        with self._changed:
            self._places = places

    def take_place(self) -> None:
        """Wait until a place is free and no attempt must run alone, then take it: a job that is claimed before would wait."""
        with self._changed:
            while self._alone or self._taken >= self._places:
                self._changed.wait(POLL_S)
            self._taken += 1

    def leave_place(self) -> None:
        with self._changed:
            self._taken -= 1
            self._changed.notify_all()

    @contextmanager
    def next_job(self, claim: Callable[[Collection[str]], Lease | None], stop: threading.Event) -> Iterator[Lease | None]:
        """Claim the next job and occupy a place with it; give None if there is no job, or if the process stops before.

        `claim` claims a job of nobody whom it gets. While only the last place is left, these are the owners of all jobs here, and
        `claim` is called until it finds a job or another place is free.
        """
        lease, occupied = None, False
        try:
            while not (occupied or stop.is_set()):
                passing = self._passing()
                occupied = passing is not None and not passing
                lease = claim(passing) if passing is not None else None
                if lease is not None and not occupied:
                    occupied = self._occupy()
                elif not occupied:
                    self._look_again()
            yield lease
        finally:
            if occupied:
                self._vacate()

    def _passing(self) -> frozenset[str] | None:
        """Return the owners whose jobs are not to be claimed; None while another thread is about to claim a job.

        If anybody's job may be claimed, there are none, and a place is occupied.
        """
        with self._changed:
            if self._occupied < self._places - (self._places >= MANY):
                self._occupied += 1
                return frozenset()
            return frozenset(owner for _, owner in self._present) if len(self._present) >= self._occupied else None

    def _occupy(self) -> bool:
        with self._changed:
            self._occupied += 1
        return True

    def _vacate(self) -> None:
        with self._changed:
            self._occupied -= 1
            self._changed.notify_all()

    def _look_again(self) -> None:
        """Wait for a while, or until something has changed, and as long as an attempt must run alone."""
        with self._changed:
            self._changed.wait(LOOK_S)
            while self._alone:
                self._changed.wait(POLL_S)

    @contextmanager
    def present(self, job_id: str, owner: str) -> Iterator[None]:
        """Be an attempt of this process at a job of `owner`, from its claim until its job is handed back or over."""
        with self._changed:
            self._present.append((job_id, owner))
        try:
            yield
        finally:
            with self._changed:
                self._present.remove((job_id, owner))
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

    def others(self, job_id: str) -> int:
        """Return how many attempts at other jobs are present."""
        with self._changed:
            return self._others(job_id)

    def wait_without(self, job_id: str, timeout_s: float) -> None:
        """Wait until all attempts at other jobs have ended, or for `timeout_s` seconds."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while self._others(job_id) and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)

    def _others(self, job_id: str) -> int:
        return sum(present != job_id for present, _ in self._present)
