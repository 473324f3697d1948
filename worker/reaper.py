"""Finds the jobs that nobody works on and rings for them again, so that no lost message and no dead worker loses a job."""

from __future__ import annotations

import threading

import structlog

from s2edit_jobs.bootstrap import Services
from s2edit_jobs.errors import ServiceUnavailable
from s2edit_jobs.jobs import Jobs

log = structlog.get_logger(__name__)


def reap(services: Services) -> int:
    """One round: bring back what the job store lost, then ring for the orphans; how many. Raises `ServiceUnavailable`.

    Any number of reapers may run. While at least as many rings wait as there are orphans, the workers are busy and none is needed.
    """
    jobs = Jobs(services)
    if (life := services.store.lost()) is not None:
        log.warning("the job store is new or was emptied or restarted", action="rebuild", entered=jobs.rebuild())
        services.store.restored(life)
    jobs.enter_pending()
    orphans = services.store.orphans()
    if len(orphans) <= services.queue.waiting():
        return 0
    for job_id in orphans:
        services.queue.ring(job_id)
    log.info("rang for jobs that nobody holds", action="reaped", jobs=len(orphans))
    return len(orphans)


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
        while not self._done.is_set():
            try:
                reap(self._services)
            except ServiceUnavailable as error:
                log.warning("the reaper waits for a service", action="reap_failed", error=str(error))
            except Exception:
                log.exception("a round of the reaper failed", action="reap_failed")
            self._done.wait(self._interval_s)
