"""Report to the API that the worker has loaded the model, at its start and then periodically."""

from __future__ import annotations

import threading

import structlog

from s2edit_jobs.bootstrap import Services
from s2edit_jobs.records.errors import ServiceUnavailable
from s2edit_jobs.stores.model_facts import REPORT_S, ModelFacts, report_loaded

log = structlog.get_logger(__name__)


class Announcer:
    """Reports from a background thread, so that long computations do not delay the reports."""

    def __init__(self, services: Services, facts: ModelFacts, *, interval_s: float = REPORT_S) -> None:
        self._services = services
        self._facts = facts
        self._interval_s = interval_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="announcer", daemon=True)
        self.has_reported = False

    def start(self) -> None:
        """Report now and start the thread."""
        self.report()
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()

    def report(self) -> None:
        """Report now. If the object store is down, the next report or the next job tries again."""
        try:
            report_loaded(self._services.artifacts, self._services.settings.model, self._facts)
            self.has_reported = True
        except ServiceUnavailable as error:
            log.warning("the loaded model could not be reported", action="tell_failed", error=str(error))

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            self.report()
