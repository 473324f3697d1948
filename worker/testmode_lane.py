"""Jobs of test mode beside the live ones: they need no model, so they neither wait for it nor hold it up.

They stand in a line of their own (`Leases.claim` with `test`), and threads of every worker answer them, by the attempt that
answers any job.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import structlog

from s2edit_jobs.bootstrap import Services
from s2edit_jobs.records.errors import ServiceUnavailable
from s2edit_jobs.records.record import Lease
from s2edit_jobs.stores.model_facts import ModelFacts
from worker.attempts.runner import work_on
from worker.engines.modeless_engine import engine_of_test_mode

log = structlog.get_logger(__name__)

AT_ONCE = 8
"""Jobs of test mode that one worker is at; slow ones do nothing but wait."""
LOOK_S = 1.0
"""How often a worker that nobody has rung looks whether there is one."""


class Lane:
    """`facts` are the live model's. Once `stop` is set, jobs under way go back to their line within a step."""

    def __init__(self, services: Services, facts: ModelFacts, stop: threading.Event, *, look_s: float = LOOK_S) -> None:
        self._services = services
        self._engine = engine_of_test_mode(facts)
        self._stop = stop
        self._look_s = look_s
        self._rung = threading.Event()
        self._places = threading.BoundedSemaphore(AT_ONCE)
        self._workers = ThreadPoolExecutor(AT_ONCE, "test mode")  # the process does not end before its threads have
        self._thread = threading.Thread(target=self._run, name="test lane", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def ring(self) -> None:
        """There may be a job; without a ring it is found within `look_s`."""
        self._rung.set()

    def take_next(self) -> bool:
        """Begin the job whose turn it is; False if there is none. Raises `ServiceUnavailable`."""
        self._places.acquire()
        lease = None
        try:
            lease = self._services.store.leases.claim(lease_s=self._services.settings.lease_s, test=True)
        finally:
            if lease is None:
                self._places.release()
        if lease is not None:
            self._workers.submit(self._work_on, lease)
        return lease is not None

    def _work_on(self, lease: Lease) -> None:
        try:
            work_on(lease, self._services, self._engine, stop=self._stop)
        finally:
            self._places.release()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                while not self._stop.is_set() and self.take_next():
                    pass
            except ServiceUnavailable as error:
                log.warning("the test lane waits for a service", action="claim_failed", error=str(error))
            except Exception:
                log.exception("a job of test mode could not be taken", action="claim_failed")
            self._rung.wait(self._look_s)
            self._rung.clear()
