"""Remove what has outlived its time, a few times a day."""

from __future__ import annotations

import threading
import time

import structlog

from s2edit_jobs.access.ended_tokens import sweep_ended
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.jobs.survey import Survey, survey_if_outdated
from s2edit_jobs.library.retention import Retention
from s2edit_jobs.records.errors import ServiceUnavailable
from s2edit_jobs.stores.write_probe import PROBES

log = structlog.get_logger(__name__)

SWEEP_S = 6 * 3600.0
"""Seconds between two sweeps of all workers together. A sweep lists what users have, but for edits that can't have expired yet."""
POLL_S = 60.0
"""Seconds after which a worker checks again whether a sweep is due."""


def sweep(services: Services) -> int | None:
    """Sweep if a sweep is due. Return the number of removed things, or None if none is due. Raise `ServiceUnavailable`."""
    surveyed = survey_if_outdated(services)
    if not services.store.maintenance.take_task("sweep", every_s=SWEEP_S):
        return None
    if surveyed is None:
        Survey(services).complete()
    ended = sweep_ended(services.artifacts, now=time.time())
    services.artifacts.delete_prefix(PROBES)
    gone = Retention(services).sweep()
    log.info("removed expired objects", action="swept", ended=ended, **gone)
    return ended + sum(gone.values())


class Sweeper:
    """A thread that calls `sweep` every `poll_s` seconds."""

    def __init__(self, services: Services, *, poll_s: float = POLL_S) -> None:
        self._services = services
        self._poll_s = poll_s
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop after the current sweep. Return at once."""
        self._done.set()

    def _run(self) -> None:
        while not self._done.wait(self._poll_s):
            try:
                sweep(self._services)
            except ServiceUnavailable as error:
                log.warning("the sweeper waits for a service", action="sweep_failed", error=str(error))
            except Exception:
                log.exception("a sweep failed", action="sweep_failed")
