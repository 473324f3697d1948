"""Decide when a worker ends its own process, so that its supervisor starts a new one.

A process whose device has failed fails every job within milliseconds. It would claim and fail all queued jobs, faster than any
healthy worker completes them. A process that hangs does nothing for ever. Neither can recover by itself: a lost CUDA context stays
lost until the process ends.
"""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog

from s2edit_core.errors import DeviceFault
from worker.attempts.tallies import count

log = structlog.get_logger(__name__)

EXIT_DEVICE_FAULT: Final = 75
"""Exit status after a sticky fault of the device: EX_TEMPFAIL, another try may succeed."""
EXIT_FAILING: Final = 76
"""Exit status after `FAILED_JOBS` jobs in a row have failed unexpectedly."""
EXIT_HUNG: Final = 77
"""Exit status of a worker that hung."""
FAILED_JOBS: Final = 3
"""How many different jobs may fail unexpectedly in a row. One may fail by its own fault; so many mean a fault of the worker."""


def end_process(status: int) -> None:
    """End this process at once.

    A regular exit would run the destructors of CUDA and wait for other threads. Both hang or crash when the device has failed. What
    is lost by this is lost by a power cut too: the lease ends or was handed back, and the log is written line by line.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


class WorkerHealth:
    """Decides from a worker's attempts whether its process must end. Then sets `stop`, so that it claims no jobs, and calls
    `end`."""

    def __init__(self, stop: threading.Event, end: Callable[[int], None] = end_process) -> None:
        self._stop = stop
        self._end = end
        self._failed: set[str] = set()

    def succeeded(self) -> None:
        """A job has succeeded: the worker can do its work."""
        self._failed.clear()

    def failed(self, job_id: str) -> None:
        """An attempt has failed unexpectedly, or for lack of memory. Call this after the hand-back."""
        self._failed.add(job_id)
        if len(self._failed) >= FAILED_JOBS:
            self._give_up(EXIT_FAILING, f"{len(self._failed)} jobs in a row have failed")

    def device_failed(self, job_id: str, fault: DeviceFault) -> None:
        """The device has failed in an attempt. Call this after the hand-back."""
        if fault.sticky:
            self._give_up(EXIT_DEVICE_FAULT, "the device has failed, and this process can't use it any more")
        else:
            self.failed(job_id)

    def hung(self, job_id: str, stuck_s: float) -> None:
        """An attempt hangs. Call this from another thread."""
        count("hangs")
        self._give_up(EXIT_HUNG, f"the attempt at {job_id} has not advanced for {stuck_s:.0f} s")

    def guard(self, timeout_s: float) -> None:
        """End the process if this is not called again within `timeout_s` seconds: something holds the interpreter's lock."""
        if self._end is end_process:
            with suppress(OSError, ValueError, RuntimeError):  # standard error is closed, or is no file
                faulthandler.dump_traceback_later(timeout_s, exit=True)

    def relax(self) -> None:
        """Cancel `guard`."""
        if self._end is end_process:
            faulthandler.cancel_dump_traceback_later()

    def _give_up(self, status: int, reason: str) -> None:
        log.critical("the worker exits, so that its supervisor restarts it", action="worker_ends", reason=reason, status=status)
        self._stop.set()
        self._end(status)
