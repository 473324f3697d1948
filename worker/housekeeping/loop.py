"""A thread that repeats one task of a housekeeper, and reports when it last completed it."""

from __future__ import annotations

import threading
import time

import structlog

from s2edit_jobs.records.errors import ServiceUnavailable
from worker.metrics import ITERATIONS

log = structlog.get_logger(__name__)

WAKE_GAP_S = 0.005
"""Seconds between a call of `wake` and the iteration that it asks for. However many calls come meanwhile, they cause one."""


class Loop:
    """Calls `step` in a thread until `stop`. Subclasses define `step`.

    After a step that returns True there may be more to do, so the next one follows at once; otherwise after `pause_s` seconds, or
    after `wake`. The first one waits `delay_s` seconds. A step that raises is logged, and the loop goes on. A loop that has
    completed no step for `stalled_s` seconds counts as stalled; with None it may take any time.
    """

    def __init__(
        self,
        name: str,
        *,
        pause_s: float,
        stalled_s: float | None,
        delay_s: float = 0.0,
        stop: threading.Event | None = None,
    ) -> None:
        self.name = name
        self._pause_s = pause_s
        self._stalled_s = stalled_s
        self._delay_s = delay_s
        self._stop = stop or threading.Event()
        self._woken = threading.Event()
        self._completed_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def step(self) -> bool:
        """Do the next piece of work. Return whether there may be more. Raise `ServiceUnavailable`."""
        raise NotImplementedError

    def start(self) -> None:
        self._completed_at = time.monotonic()
        self._thread.start()

    def wake(self) -> None:
        """Let the next iteration begin now, rather than after the pause."""
        self._woken.set()

    def stop(self) -> None:
        """Stop after the current step. Return at once."""
        self._stop.set()
        self._woken.set()

    def join(self, timeout_s: float) -> None:
        """Wait until the thread has ended, for at most `timeout_s` seconds."""
        self._thread.join(timeout_s)

    @property
    def age_s(self) -> float:
        """The seconds since the last step was completed, or since the start."""
        return time.monotonic() - self._completed_at

    @property
    def problem(self) -> str | None:
        """Why this loop no longer works, or None."""
        if self._stop.is_set():
            return None
        if not self._thread.is_alive():
            return f"the {self.name} has ended"
        if self._stalled_s is not None and self.age_s > self._stalled_s:
            return f"the {self.name} has completed nothing for {self.age_s:.0f} s"
        return None

    def _run(self) -> None:
        self._stop.wait(self._delay_s)
        while not self._stop.is_set():
            if self._take_step():
                continue
            if self._woken.wait(self._pause_s):
                self._stop.wait(WAKE_GAP_S)
            self._woken.clear()

    def _take_step(self) -> bool:
        more, result = False, "ok"
        try:
            more = self.step()
        except ServiceUnavailable as error:
            result = "unavailable"
            log.warning("housekeeping waits for a service", action="housekeeping_failed", loop=self.name, error=str(error))
        except Exception:
            result = "failed"
            log.exception("an iteration of housekeeping failed", action="housekeeping_failed", loop=self.name)
        self._completed_at = time.monotonic()
        ITERATIONS.labels(self.name, result).inc()
        return more
