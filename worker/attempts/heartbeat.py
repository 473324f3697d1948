"""Renew a lease from a background thread, so that it does not expire during a long computation."""

from __future__ import annotations

import threading
from types import TracebackType

import structlog

from s2edit_jobs.records.errors import LeaseLost
from s2edit_jobs.records.record import Lease
from s2edit_jobs.stores.job_store import Leases

log = structlog.get_logger(__name__)


class Heartbeat:
    """A context manager that renews the lease at once and then every `interval_s` seconds.

    The attempt reads `lost` and `cancel_requested`. It continues while the job store is down: nobody else can claim the job
    meanwhile, and only one outcome can be written.
    """

    def __init__(self, leases: Leases, lease: Lease, *, interval_s: float) -> None:
        self._leases = leases
        self._lease = lease
        self._interval_s = interval_s
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"heartbeat {lease.job_id}", daemon=True)
        self.lost = False
        self.cancel_requested = False

    def __enter__(self) -> Heartbeat:
        self._beat()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while not self.lost and not self._done.wait(self._interval_s):
            self._beat()

    def _beat(self) -> None:
        try:
            self.cancel_requested = self._leases.renew(self._lease).cancel_requested
        except LeaseLost:
            self.lost = True
        except Exception as error:  # the next heartbeat may succeed
            log.warning("a heartbeat failed", action="heartbeat_failed", job_id=self._lease.job_id, error=type(error).__name__)
