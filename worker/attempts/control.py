"""Control of a running attempt: the reasons to interrupt it, and the progress that it publishes."""

from __future__ import annotations

import threading
import time
from contextlib import suppress

import structlog

from s2edit_core.request.spec import Progress
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.records.errors import LeaseLost, ServiceUnavailable
from s2edit_jobs.records.record import Lease
from worker.attempts.heartbeat import Heartbeat
from worker.attempts.phase_clock import PhaseClock
from worker.attempts.progress_watch import ProgressWatch
from worker.attempts.used_concepts import UsedConcepts
from worker.attempts.worker_health import WorkerHealth
from worker.engines.engine import PreviewedProgress

PROGRESS_INTERVAL_S = 0.2
"""Shortest time between two progress updates within a phase, and between two polls for cancellation."""
PREVIEW_INTERVAL_S = 1.0
"""Shortest time between two previews. A short edit shows one alone, that of its first step: its result is there soon after."""
PREVIEW_SHARE = 0.005
"""The share of the time that drawing may take: the next preview waits for as long as the last one took, divided by this. The first
one, which also prepares what the others use, does not count. Seconds are those of the CPU: a busy machine makes previews no rarer.
"""
log = structlog.get_logger(__name__)


class Canceled(Exception):
    """The user has canceled the job."""


class DeadlinePassed(Exception):
    """The job's deadline has passed."""


class Stopping(Exception):
    """The worker is about to exit. `hung`: because its device hangs, for which this attempt may be the reason."""

    def __init__(self, *, hung: bool = False) -> None:
        super().__init__()
        self.hung = hung


class WaitsForConcept(Exception):
    """Another job is learning the concept. The job has been put back without a lease and waits for it."""


class AttemptControl:
    """Interrupts an attempt and publishes its progress.

    Use `heartbeat` and `concepts` as context managers around the attempt. `clock` measures the phases, `watch` notices a hang.
    `deadline_at`, in seconds since the epoch, is set once the job's spec is known. `health` is that of the worker, if attempts may
    end its process.
    """

    def __init__(self, lease: Lease, services: Services, stop: threading.Event, health: WorkerHealth | None = None) -> None:
        self.lease = lease
        self.watch = ProgressWatch(services.settings.pass_timeout_s)
        self.heartbeat = Heartbeat(
            services.store.leases,
            lease,
            interval_s=services.settings.heartbeat_interval_s,
            watch=self.watch,
            health=health,
        )
        self.concepts = UsedConcepts(services.artifacts, job_id=lease.job_id)
        self.clock = PhaseClock()
        self.deadline_at: float | None = None
        self._store = services.store
        self._stop = stop
        self._health = health
        self._books_learning = not (lease.learning_booked or lease.owner.test)
        self._published: tuple[str, float] = ("", 0.0)  # phase and time of the last progress update
        self._polled_at = time.monotonic()
        self._next_preview_at = 0.0  # on the monotonic clock
        self._previews = True
        self._has_drawn = False

    def check(self) -> None:
        """Raise if the attempt must end. Uses no I/O.

        The lease is lost, the job is canceled or overdue, its identity or an attribute was erased, or the worker stops.
        """
        if self.heartbeat.lost:
            raise LeaseLost(self.lease.job_id)
        if self.heartbeat.cancel_requested:
            raise Canceled
        if self.deadline_at is not None and time.time() > self.deadline_at:
            raise DeadlinePassed
        self.concepts.check()
        if self._stop.is_set():
            raise Stopping(hung=self._health is not None and self._health.hangs and self.watch.is_nearly_hung())

    def poll(self, *, advanced: bool = True) -> None:
        """Do what `check` does, and ask the job store at most every `PROGRESS_INTERVAL_S` seconds.

        The engine calls this before each evaluation of the model, of which one step may need many, and while it waits for one. It
        says whether the model has `advanced` meanwhile: otherwise the watch goes on measuring how long nothing happens.
        """
        if advanced:
            self.watch.advance()
        self.check()
        if time.monotonic() - self._polled_at < PROGRESS_INTERVAL_S:
            return
        self._polled_at = time.monotonic()
        with suppress(ServiceUnavailable):
            if self._store.leases.renew(self.lease).cancel_requested:
                raise Canceled

    def publish(self, progress: Progress) -> None:
        """Publish the progress, unless the last update of the same phase is too recent. Raise `Canceled` and `LeaseLost`.

        A learning is booked when it begins, because its job may be erased, or its worker killed, before the attempt ends.
        """
        self.watch.advance()
        self.clock.enter(progress.phase)
        phase, published_at = self._published
        now = time.monotonic()
        if progress.phase == phase and progress.step < progress.total and now - published_at < PROGRESS_INTERVAL_S:
            return
        self._published = (progress.phase, now)
        self._polled_at = now
        with suppress(ServiceUnavailable):  # losing a progress update is harmless
            if progress.phase == "learning" and self._books_learning:
                self._store.usage.book_learning(self.lease)
                self._books_learning = False
            if self._store.events.progress(self.lease, progress, self._preview(progress)).cancel_requested:
                raise Canceled

    def _preview(self, progress: Progress) -> bytes | None:
        """Return the preview of `progress`, unless it has none or the last one is too recent. No edit fails for its previews."""
        if not self._previews or not isinstance(progress, PreviewedProgress):
            return None
        began, computed_s = time.monotonic(), time.thread_time()
        if began < self._next_preview_at:
            return None
        try:
            return progress.draw()
        except Exception:
            self._previews = False
            log.exception("no preview could be drawn: this attempt shows none", action="preview_failed")
            return None
        finally:
            took_s = time.thread_time() - computed_s if self._has_drawn else 0.0
            self._next_preview_at = began + max(PREVIEW_INTERVAL_S, took_s / PREVIEW_SHARE)
            self._has_drawn = True
