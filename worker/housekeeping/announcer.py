"""A worker's reports that it has loaded the model: once it has, and then every so often, so that the API knows it is there."""

from __future__ import annotations

import threading

import structlog

from s2edit_jobs.bootstrap import Services
from s2edit_jobs.records.errors import ServiceUnavailable
from s2edit_jobs.stores.model_facts import REPORT_S, ModelFacts, tell

log = structlog.get_logger(__name__)


class Announcer:
    """Reports from a thread of its own, which a long computation does not hold up."""

    def __init__(self, services: Services, facts: ModelFacts, *, interval_s: float = REPORT_S) -> None:
        self._services = services
        self._facts = facts
        self._interval_s = interval_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._report_on, name="announcer", daemon=True)
        self.has_reported = False

    def start(self) -> None:
        """Report now, and go on."""
        self.report()
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()

    def report(self) -> None:
        """An object store that is down is told with the next report or the next job."""
        try:
            tell(self._services.artifacts, self._services.settings.model, self._facts)
            self.has_reported = True
        except ServiceUnavailable as error:
            log.warning("the model could not be told", action="tell_failed", error=str(error))

    def _report_on(self) -> None:
        while not self._stop.wait(self._interval_s):
            self.report()
