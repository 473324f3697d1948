"""Remove expired objects a few times a day: markers of idempotency keys and of revoked tokens, uploads, and files sent for erased
uploads.
"""

from __future__ import annotations

import threading
import time

import structlog

from s2edit_jobs.access.ended_tokens import sweep_ended
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.jobs.idempotency import sweep_idempotency_markers
from s2edit_jobs.jobs.survey import Survey, survey_if_outdated
from s2edit_jobs.library.uploads import sweep_orphans, sweep_uploads
from s2edit_jobs.records.errors import ServiceUnavailable
from s2edit_jobs.stores.write_probe import PROBES

log = structlog.get_logger(__name__)

SWEEP_S = 6 * 3600.0
"""Seconds between two sweeps of all workers together. Each sweep lists the whole object store."""
POLL_S = 60.0
"""Seconds after which a worker checks again whether a sweep is due."""


def sweep(services: Services) -> int | None:
    """Sweep if a sweep is due. Return the number of removed objects, or None if none is due. Raise `ServiceUnavailable`."""
    surveyed = survey_if_outdated(services)
    if not services.store.maintenance.take_task("sweep", every_s=SWEEP_S):
        return None
    if surveyed is None:
        Survey(services).complete()
    gone = sweep_idempotency_markers(services.artifacts, older_than_s=services.settings.idempotency_ttl_s)
    gone += sweep_ended(services.artifacts, now=time.time())
    services.artifacts.delete_prefix(PROBES)
    uploads = sweep_uploads(services.artifacts, ttl_s=services.settings.upload_ttl_s)
    orphans = sweep_orphans(services.artifacts)
    log.info("removed expired objects", action="swept", markers=gone, uploads=uploads, orphans=orphans)
    return gone + uploads + orphans


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
