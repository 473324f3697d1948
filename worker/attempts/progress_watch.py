"""Detect a hung worker: a computation that runs far longer than any before it.

A device can hang without an error, while the heartbeat runs in another thread. So an attempt marks its progress, and the heartbeat
renews the lease only while it finds new marks. An attempt sets a mark before every evaluation of the model and around every slow
step without one. The time between two marks is a *stretch*. `worker_progress` shows the whole process, for its liveness probe.

The longest stretch that needs no device is the planning of a 48-megapixel edit: 6.7 s on one CPU core, the delivery's parts 2.6 to
6.4 s. A pass takes 0.3 s with the shipped model there. The default of `pass_timeout_s` is 120 s.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

FACTOR = 20.0
"""How many times as long as the longest stretch so far a stretch may take. A shared or hot device is only a few times slower."""
COLD_FACTOR = 5.0
"""How many times `timeout_s` the first stretches of a process may take, because the device still compiles and loads kernels. No
later one may take longer either, however slow one before it was."""
COLD_MARKS = 3
"""Marks after which a process counts as warm."""


class ProcessProgress:
    """The attempts that run in this process, and the longest stretch between two of their marks once it is warm. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watches: set[ProgressWatch] = set()
        self._marks = 0
        self.longest_s = 0.0

    def stuck_s(self) -> float | None:
        """Return the seconds since the last mark of the attempt that has waited longest; None without an attempt."""
        return max((stuck for watch in self._running() if (stuck := watch.stuck_s()) is not None), default=None)

    def is_hung(self) -> bool:
        """Return whether an attempt hangs."""
        return any(watch.is_hung() for watch in self._running())

    def bound_s(self, timeout_s: float) -> float:
        """Return how many seconds a stretch may take: `timeout_s`, or more on a device that was slow so far or is still cold."""
        most = COLD_FACTOR * timeout_s
        return most if self._marks < COLD_MARKS else min(most, max(timeout_s, FACTOR * self.longest_s))

    def add(self, watch: ProgressWatch) -> None:
        with self._lock:
            self._watches.add(watch)

    def remove(self, watch: ProgressWatch) -> None:
        with self._lock:
            self._watches.discard(watch)

    def measured(self, seconds: float) -> None:
        """Record the duration of a stretch that has ended."""
        with self._lock:
            self._marks += 1
            if self._marks > COLD_MARKS:  # the first ones say how long the device compiles
                self.longest_s = max(self.longest_s, seconds)

    def _running(self) -> list[ProgressWatch]:
        with self._lock:
            return list(self._watches)


worker_progress = ProcessProgress()
"""The progress of this process."""


class ProgressWatch:
    """The marks of one attempt. It hangs if no mark comes for longer than `ProcessProgress.bound_s` allows."""

    def __init__(
        self, timeout_s: float, *, process: ProcessProgress = worker_progress, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.job_id: str | None = None
        self._timeout_s = timeout_s
        self._process = process
        self._now = now
        self._marked_at: float | None = None

    def begin(self, job_id: str) -> None:
        """Begin to watch the attempt at `job_id`."""
        self.job_id = job_id
        self._marked_at = self._now()
        self._process.add(self)

    def advance(self) -> None:
        """Mark that the attempt advances: the device has worked. Do nothing outside an attempt."""
        now, marked_at = self._now(), self._marked_at
        if marked_at is not None:
            self._process.measured(now - marked_at)
            self._marked_at = now

    def skip(self) -> None:
        """Mark that the attempt advances, but do not measure the stretch, in which the attempt waited for a store, for example."""
        if self._marked_at is not None:
            self._marked_at = self._now()

    def end(self) -> None:
        """The attempt is over. Repeating this is safe."""
        self._marked_at = None
        self._process.remove(self)

    def stuck_s(self) -> float | None:
        """Return the seconds since the last mark; None outside an attempt."""
        marked_at = self._marked_at
        return self._now() - marked_at if marked_at is not None else None

    @property
    def bound_s(self) -> float:
        """How many seconds may pass without a mark."""
        return self._process.bound_s(self._timeout_s)

    def is_nearly_hung(self) -> bool:
        """Return whether the last mark is so long ago that a hang which another attempt has noticed concerns this one too."""
        stuck = self.stuck_s()
        return stuck is not None and stuck > self.bound_s / 2

    def is_hung(self) -> bool:
        """Return whether the last mark is too long ago."""
        stuck = self.stuck_s()
        return stuck is not None and stuck > self.bound_s
