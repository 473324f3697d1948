"""Keeps a lease alive from a thread of its own, so that no long computation can let it run out."""

from __future__ import annotations

import threading
from types import TracebackType

import structlog

from s2edit_jobs.records.errors import LeaseLost
from s2edit_jobs.records.record import Lease
from s2edit_jobs.stores.job_store import Leases

log = structlog.get_logger(__name__)


class Heartbeat:
    """`with Heartbeat(...) as heart:` beats at once, then every `interval_s`; the attempt asks `lost` and `cancel_requested`.

    A store that does not answer is no reason to stop: nobody can take the lease from it meanwhile, and the outcome is written once.
    """

    def __init__(self, leases: Leases, lease: Lease, *, interval_s: float) -> None:
        self._leases = leases
        self._lease = lease
        self._interval_s = interval_s
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._beat_on, name=f"heartbeat {lease.job_id}", daemon=True)
        self.lost = False
        self.cancel_requested = False

    def __enter__(self) -> Heartbeat:
        self._beat()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._done.set()
        self._thread.join()

    def _beat_on(self) -> None:
        while not self.lost and not self._done.wait(self._interval_s):
            self._beat()

    def _beat(self) -> None:
        try:
            self.cancel_requested = self._leases.renew(self._lease).cancel_requested
        except LeaseLost:
            self.lost = True
        except Exception as error:  # whatever it is, the next beat may come through
            log.warning("a heartbeat failed", action="heartbeat_failed", job_id=self._lease.job_id, error=type(error).__name__)
