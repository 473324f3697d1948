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
from worker.attempts.company import Company
from worker.attempts.tallies import count

log = structlog.get_logger(__name__)

EXIT_DEVICE_FAULT: Final = 75
"""Exit status after a sticky fault of the device: EX_TEMPFAIL, another try may succeed."""
EXIT_FAILING: Final = 76
"""Exit status after `FAILED_JOBS` jobs in a row have failed unexpectedly."""
EXIT_HUNG: Final = 77
"""Exit status of a worker that hung."""
LEAVE_S: Final = 3.0
"""Seconds that the other attempts of a process have to hand their jobs back before it ends. What is left then counts as lost."""
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
    """Decides from a worker's attempts whether its process must end. Thread-safe.

    If so, it sets `stop`: the process claims no more jobs, and the other attempts hand theirs back. Then it calls `end`. `hangs` is
    set if the device hangs.
    """

    def __init__(self, stop: threading.Event, end: Callable[[int], None] = end_process) -> None:
        self.company = Company()
        self.hangs = False
        self._stop = stop
        self._end = end
        self._failed: set[str] = set()
        self._lock = threading.Lock()
        self._ending = False

    def succeeded(self) -> None:
        """A job has succeeded: the worker can do its work."""
        with self._lock:
            self._failed.clear()

    def failed(self, job_id: str) -> None:
        """An attempt has failed unexpectedly, or for lack of memory. Call this after the hand-back."""
        with self._lock:
            self._failed.add(job_id)
            failed = len(self._failed)
        if failed >= FAILED_JOBS:
            self._give_up(EXIT_FAILING, f"{failed} jobs in a row have failed", job_id)

    def device_failed(self, job_id: str, fault: DeviceFault) -> None:
        """The device has failed in an attempt. Call this after the hand-back."""
        if fault.sticky:
            self._give_up(EXIT_DEVICE_FAULT, "the device has failed, and this process can't use it any more", job_id)
        else:
            self.failed(job_id)

    def hung(self, job_id: str, stuck_s: float) -> None:
        """An attempt hangs. Call this from another thread."""
        count("hangs")
        self.hangs = True
        self._give_up(EXIT_HUNG, f"the attempt at {job_id} has not advanced for {stuck_s:.0f} s", job_id)

    def interrupted(self, error: BaseException) -> None:
        """A thread of attempts has got an exception that ends the process. Its job was handed back."""
        self._give_up(EXIT_FAILING, f"an attempt was ended by {type(error).__name__}")

    def guard(self, timeout_s: float) -> None:
        """End the process if this is not called again within `timeout_s` seconds: something holds the interpreter's lock."""
        if self._end is end_process:
            with suppress(OSError, ValueError, RuntimeError):  # standard error is closed, or is no file
                faulthandler.dump_traceback_later(timeout_s, exit=True)

    def relax(self, job_id: str) -> None:
        """Cancel `guard` at the end of the attempt at `job_id`, unless others run: they go on calling `guard`."""
        if self._end is end_process and not self.company.others(job_id):
            faulthandler.cancel_dump_traceback_later()

    def _give_up(self, status: int, reason: str, job_id: str = "") -> None:
        """End the process. The attempt at `job_id` has handed its job back, or never will."""
        with self._lock:
            if self._ending:  # another attempt has decided so, and waits for this one
                return
            self._ending = True
        log.critical("the worker exits, so that its supervisor restarts it", action="worker_ends", reason=reason, status=status)
        self._stop.set()
        self.company.wait_without(job_id, LEAVE_S)
        self._ending = False  # for tests, in which the process goes on
        self._end(status)
