"""Recover jobs that no worker runs, so that neither a lost message nor a dead worker loses a job.

Every second, the reaper sends the notifications that are missing: of queued jobs, and of jobs whose lease has ended, 6 s after
their worker died (`lease_s`). `CLAIM` (`s2edit_jobs.stores.redis_store.leases`) then gives such a job to the next worker, which
continues it from its last checkpoint (`worker.attempts`). The reaper also fills a Redis that was emptied, ends overdue jobs,
completes erasures and erases expired identities.
"""

from __future__ import annotations

import threading
import time

import structlog

from s2edit_jobs.bootstrap import Services
from s2edit_jobs.library.erasure import Erasure
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.lifecycle.survey import rebuild_if_lost
from s2edit_jobs.lifecycle.unfinished import reconcile_if_due
from s2edit_jobs.stores.job_store import HOUSEKEEPER
from worker.housekeeping.loop import Loop

log = structlog.get_logger(__name__)

STALLED_S = 3600.0
"""Seconds without a completed iteration after which the reaper counts as stalled. A survey of a large store takes many minutes."""
PENDING_S = 5.0
"""Seconds between two searches for unfinished jobs that the job store lacks, interrupted erasures and expired identities.

They list folders of the object store, so one process does it for all.
"""


def reap(services: Services, *, pending: bool = True) -> int:
    """Run one iteration: restore jobs that the job store lost, end overdue ones, and send missing notifications.

    Return the number of notifications sent. Raise `ServiceUnavailable`. Any number of reapers may run at a time.

    A claimable job needs a message in the queue, and any message will do: the job store selects the job. So if the queue holds
    fewer messages than there are claimable jobs, send the difference. One page of claimable jobs is enough, because the workers
    do not reach its end before the next iteration.
    """
    jobs = Jobs(services)
    if (entered := rebuild_if_lost(services)) is not None:
        tell = log.warning if entered else log.info  # a new one is as empty as one that has lost its jobs
        tell("the job store was empty or had lost jobs, and is rebuilt", action="rebuild", entered=entered)
    if pending and (entered := reconcile_if_due(services, every_s=PENDING_S)) is not None:
        if entered:
            log.warning("jobs were missing in the job store", action="reconciled", entered=entered)
        services.layout.begin(services.artifacts)
        erasure = Erasure(services)
        erasure.resume()
        erasure.erase_expired()
    jobs.end_overdue()
    orphans = services.store.leases.orphans()
    missing = len(orphans) - services.queue.waiting()
    if missing <= 0:
        return 0
    for job_id in orphans[-missing:]:
        services.queue.notify(job_id)
    log.info("sent missing notifications", action="reaped", jobs=missing)
    return missing


class Reaper(Loop):
    """Calls `reap` at once and then every `interval_s` seconds, and reports to the job store that a housekeeper is alive."""

    def __init__(self, services: Services, *, interval_s: float, stop: threading.Event | None = None) -> None:
        super().__init__("reaper", pause_s=interval_s, stalled_s=STALLED_S, stop=stop)
        self._services = services
        self._listed_at = float("-inf")

    def step(self) -> bool:
        if pending := time.monotonic() - self._listed_at >= PENDING_S:
            self._listed_at = time.monotonic()
        reap(self._services, pending=pending)
        self._services.store.tasks.report_alive(HOUSEKEEPER)
        return False
