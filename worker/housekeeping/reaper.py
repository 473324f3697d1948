"""Finds the jobs that nobody works on and rings for them again, so that no lost message and no dead worker loses a job."""

from __future__ import annotations

import threading
import time

import structlog

from s2edit_jobs.bootstrap import Services
from s2edit_jobs.jobs.jobs import Jobs
from s2edit_jobs.library.erasure import Erasure
from s2edit_jobs.records.errors import ServiceUnavailable

log = structlog.get_logger(__name__)


PENDING_S = 5.0
"""Seconds between two looks for jobs accepted while the job store was down, and for erasures that were cut short: each lists
a folder of the object store."""


def reap(services: Services, *, pending: bool = True) -> int:
    """One round: bring back what the job store lost, end what is overdue, ring where rings are missing; how many were.

    Any number of reapers may run. As long as at least as many rings wait as there are orphans, the workers are busy and none is
    needed; which job rings does not matter, for the store says whose turn it is. So a page of the orphans is enough, however many
    there are: the workers do not come to its end before the next round. Raises `ServiceUnavailable`.
    """
    jobs = Jobs(services)
    if (life := services.store.maintenance.lost()) is not None:
        log.warning("the job store is new or was emptied or restarted", action="rebuild", entered=jobs.rebuild())
        services.store.maintenance.restored(life)
    if pending:
        jobs.enter_pending()
        erasure = Erasure(services)
        erasure.go_on()
        erasure.expired()
    jobs.end_overdue()
    orphans = services.store.leases.orphans()
    missing = len(orphans) - services.queue.waiting()
    if missing <= 0:
        return 0
    for job_id in orphans[-missing:]:
        services.queue.ring(job_id)
    log.info("rang for jobs that nobody holds", action="reaped", jobs=missing)
    return missing


class Reaper:
    """`reap`, at once and every `interval_s`, from a thread."""

    def __init__(self, services: Services, *, interval_s: float) -> None:
        self._services = services
        self._interval_s = interval_s
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reaper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns at once; a round under way goes on to its end."""
        self._done.set()

    def _run(self) -> None:
        listed = float("-inf")
        while not self._done.is_set():
            try:
                if pending := time.monotonic() - listed >= PENDING_S:
                    listed = time.monotonic()
                reap(self._services, pending=pending)
            except ServiceUnavailable as error:
                log.warning("the reaper waits for a service", action="reap_failed", error=str(error))
            except Exception:
                log.exception("a round of the reaper failed", action="reap_failed")
            self._done.wait(self._interval_s)
