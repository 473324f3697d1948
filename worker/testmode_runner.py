"""Run the jobs of test mode in threads of every worker. They need no model, so they neither wait for live jobs nor delay them.

Test jobs have their own queue (`Leases.claim` with `test`). Their attempts are the same as those of live jobs.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import structlog

from s2edit_jobs.bootstrap import Services
from s2edit_jobs.records.errors import ServiceUnavailable
from s2edit_jobs.records.record import Lease
from s2edit_jobs.stores.model_facts import ModelFacts
from worker.attempts.runner import run_attempt
from worker.engines.modeless_engine import engine_of_test_mode

log = structlog.get_logger(__name__)

MAX_CONCURRENT = 8
"""Test jobs that one worker runs at a time. Slow ones only sleep."""
POLL_S = 1.0
"""Seconds between two looks at the test queue without a notification."""


class ModelessRunner:
    """Claims and runs test jobs. `facts` are those of the live model. Once `stop` is set, running jobs go back to the queue."""

    def __init__(self, services: Services, facts: ModelFacts, stop: threading.Event, *, poll_s: float = POLL_S) -> None:
        self._services = services
        self._engine = engine_of_test_mode(facts)
        self._stop = stop
        self._poll_s = poll_s
        self._notified = threading.Event()
        self._slots = threading.BoundedSemaphore(MAX_CONCURRENT)
        self._workers = ThreadPoolExecutor(MAX_CONCURRENT, "test mode")  # the process does not exit before its threads
        self._thread = threading.Thread(target=self._run, name="test queue", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def notify(self) -> None:
        """Look for a job now, rather than within `poll_s` seconds."""
        self._notified.set()

    def take_next(self) -> bool:
        """Claim the next job and start it in a thread. Return False if the queue is empty. Raise `ServiceUnavailable`."""
        self._slots.acquire()
        lease = None
        try:
            lease = self._services.store.leases.claim(lease_s=self._services.settings.lease_s, test=True)
        finally:
            if lease is None:
                self._slots.release()
        if lease is not None:
            self._workers.submit(self._run_attempt, lease)
        return lease is not None

    def _run_attempt(self, lease: Lease) -> None:
        try:
            run_attempt(lease, self._services, self._engine, stop=self._stop)
        finally:
            self._slots.release()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                while not self._stop.is_set() and self.take_next():
                    pass
            except ServiceUnavailable as error:
                log.warning("the test queue waits for a service", action="claim_failed", error=str(error))
            except Exception:
                log.exception("a test job could not be claimed", action="claim_failed")
            self._notified.wait(self._poll_s)
            self._notified.clear()
