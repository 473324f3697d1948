"""Run the jobs of test mode in threads of every housekeeper. They need no model, so they neither wait for live jobs nor delay them.

Test jobs have their own queue (`Leases.claim` with `test`). Their attempts are the same as those of live jobs.
"""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import structlog

from s2edit_jobs.bootstrap import Services
from s2edit_jobs.records.record import Lease
from s2edit_jobs.stores.model_facts import ModelFacts, assumed_test_facts, facts_of
from worker.attempts.runner import run_attempt
from worker.engines.modeless_engine import ModelessEngine, engine_of_test_mode
from worker.housekeeping.loop import Loop

log = structlog.get_logger(__name__)

MAX_CONCURRENT = 16
"""Test jobs that one housekeeper runs at a time. Slow ones only sleep."""
MAX_OF_TENANT = 6
"""Most of them that are of one tenant, whose slow jobs could otherwise hold up everybody's for a minute."""
POLL_S = 1.0
"""Seconds between two looks at the test queue if Redis reports no change of any job."""
STALLED_S = 120.0
"""Seconds without a look at the queue after which test mode counts as stalled."""


class _NoQueue:
    """A queue without messages: no worker takes a test job, and housekeepers see every change."""

    def notify(self, job_id: str) -> None:
        """Do nothing."""

    def waiting(self) -> int:
        return 0


class ModelessRunner(Loop):
    """Claims and runs test jobs. Once `stop` is set, running jobs go back to the queue."""

    def __init__(self, services: Services, stop: threading.Event, *, poll_s: float = POLL_S) -> None:
        super().__init__("test queue", pause_s=poll_s, stalled_s=STALLED_S, stop=stop)
        self._services = replace(services, queue=_NoQueue())
        self._known: ModelFacts | None = None
        self._slots = threading.BoundedSemaphore(MAX_CONCURRENT)
        self._running: Counter[str] = Counter()  # by tenant
        self._counting = threading.Lock()
        self._workers = ThreadPoolExecutor(MAX_CONCURRENT, "test mode")  # the process does not exit before its threads
        self._listener = threading.Thread(target=self._listen, name="test queue changes", daemon=True)

    def start(self) -> None:
        super().start()
        self._listener.start()

    def step(self) -> bool:
        """Claim the next job and start it in a thread. Return False if there is none, or no free thread."""
        if not self._slots.acquire(timeout=self._pause_s):
            return False
        lease = None
        try:
            busy = self._busy_tenants()
            lease = self._services.store.leases.claim(lease_s=self._services.settings.lease_s, test=True, passing=busy)
        finally:
            if lease is None:
                self._slots.release()
        if lease is not None:
            self._count(lease, 1)
            self._workers.submit(self._run_attempt, lease)
        return lease is not None

    def _run_attempt(self, lease: Lease) -> None:
        try:
            run_attempt(lease, self._services, self._engine(), stop=self._stop)
        finally:
            self._count(lease, -1)
            self._slots.release()
            self.wake()  # its tenant may have a turn again

    def _busy_tenants(self) -> list[str]:
        with self._counting:
            return [tenant for tenant, number in self._running.items() if number >= MAX_OF_TENANT]

    def _count(self, lease: Lease, number: int) -> None:
        with self._counting:
            self._running[lease.owner.tenant] += number
            self._running += Counter()  # drops those at 0

    def _engine(self) -> ModelessEngine:
        """Return an engine with the facts that the latest worker has reported, or with the last known ones."""
        model = self._services.settings.model
        try:
            self._known = facts_of(self._services.artifacts, model, test=True)
        except Exception as error:  # the object store is down, which the attempt will notice too; or the report is damaged
            log.warning("the facts about the model can't be read", action="facts_unread", error=type(error).__name__)
            self._known = self._known or assumed_test_facts(model)
        return engine_of_test_mode(self._known)

    def _listen(self) -> None:
        """Look at the queue whenever a job changes. A new job is a change; polling alone would make it wait."""
        for _ in self._services.store.events.changes(self._stop):
            self.wake()
