"""Sweeps up what has outlived its use, a few times a day: old notes of idempotency keys and of ended tokens, uploads that have
ended, and bytes that came by a link after their upload was erased.
"""

from __future__ import annotations

import threading
import time

import structlog

from s2edit_jobs.access.ended_tokens import sweep_ended
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.jobs.idempotency import sweep_notes
from s2edit_jobs.library.uploads import sweep_orphans, sweep_uploads
from s2edit_jobs.records.errors import ServiceUnavailable

log = structlog.get_logger(__name__)

SWEEP_S = 6 * 3600.0
"""Between two sweeps, of all workers together: each lists the whole object store."""
LOOK_S = 60.0
"""How soon a worker looks whether it is its turn."""


def sweep(services: Services) -> int | None:
    """How many objects went; None if it was another's turn. Raises `ServiceUnavailable`."""
    if not services.store.maintenance.take_task("sweep", every_s=SWEEP_S):
        return None
    gone = sweep_notes(services.artifacts, older_than_s=services.settings.idempotency_ttl_s)
    gone += sweep_ended(services.artifacts, now=time.time())
    uploads = sweep_uploads(services.artifacts, ttl_s=services.settings.upload_ttl_s)
    orphans = sweep_orphans(services.artifacts)
    log.info("what has outlived its use is gone", action="swept", notes=gone, uploads=uploads, orphans=orphans)
    return gone + uploads + orphans


class Sweeper:
    """`sweep`, whenever it is this worker's turn, from a thread."""

    def __init__(self, services: Services, *, look_s: float = LOOK_S) -> None:
        self._services = services
        self._look_s = look_s
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns at once."""
        self._done.set()

    def _run(self) -> None:
        while not self._done.wait(self._look_s):
            try:
                sweep(self._services)
            except ServiceUnavailable as error:
                log.warning("the sweeper waits for a service", action="sweep_failed", error=str(error))
            except Exception:
                log.exception("a sweep failed", action="sweep_failed")
