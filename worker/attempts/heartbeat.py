"""Renew a lease from a background thread, so that it does not expire during a long computation. Let it expire if that hangs."""

from __future__ import annotations

import sys
import threading
import traceback
from types import TracebackType

import structlog

from s2edit_jobs.records.errors import LeaseLost
from s2edit_jobs.records.record import Lease
from s2edit_jobs.stores.job_store import Leases
from worker.attempts.progress_watch import ProgressWatch
from worker.attempts.worker_health import WorkerHealth

log = structlog.get_logger(__name__)


class Heartbeat:
    """A context manager that renews the lease at once and then every `interval_s` seconds, while `watch` sees the attempt advance.

    The attempt reads `lost` and `cancel_requested`. It continues while the job store is down: nobody else can claim the job
    meanwhile, and only one outcome can be written. If the attempt hangs, the lease expires, and `health` is notified.
    """

    def __init__(
        self, leases: Leases, lease: Lease, *, interval_s: float, watch: ProgressWatch, health: WorkerHealth | None = None
    ) -> None:
        self._leases = leases
        self._lease = lease
        self._interval_s = interval_s
        self._watch = watch
        self._health = health
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"heartbeat {lease.job_id}", daemon=True)
        self._attempt = threading.get_ident()
        self.lost = False
        self.cancel_requested = False

    def __enter__(self) -> Heartbeat:
        self._attempt = threading.get_ident()
        self._watch.begin(self._lease.job_id)
        self._beat()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._watch.end()
        self._done.set()
        self._thread.join()
        if self._health is not None:
            self._health.relax(self._lease.job_id)

    def _run(self) -> None:
        while not self._done.wait(self._interval_s):
            if self._watch.is_hung():
                self._end_hung()
                return
            if self._health is not None:
                self._health.guard(self._watch.bound_s + self._lease.lease_s)
            if not self.lost:  # an attempt whose lease is lost may hang too
                self._beat()

    def _end_hung(self) -> None:
        stuck_s = self._watch.stuck_s() or 0.0
        frame = sys._current_frames().get(self._attempt)
        log.error(
            "the attempt hangs: its lease is not renewed any more",
            action="hung",
            job_id=self._lease.job_id,
            stuck_s=round(stuck_s, 1),
            stack="".join(traceback.format_stack(frame)) if frame is not None else None,
        )
        self.lost = True
        if self._health is not None:
            self._health.hung(self._lease.job_id, stuck_s)

    def _beat(self) -> None:
        try:
            self.cancel_requested = self._leases.renew(self._lease).cancel_requested
        except LeaseLost:
            self.lost = True
        except Exception as error:  # the next heartbeat may succeed
            log.warning("a heartbeat failed", action="heartbeat_failed", job_id=self._lease.job_id, error=type(error).__name__)
