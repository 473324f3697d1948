"""Report to the API that the worker has loaded the model, at its start and then periodically."""

from __future__ import annotations

import structlog

from s2edit_jobs.bootstrap import Services
from s2edit_jobs.records.errors import ServiceUnavailable
from s2edit_jobs.stores.model_facts import REPORT_S, ModelFacts, report_loaded
from worker.housekeeping.loop import Loop

log = structlog.get_logger(__name__)

STALLED_S = 15 * REPORT_S
"""Seconds without a completed report after which the announcer counts as stalled."""


class Announcer(Loop):
    """Reports from a background thread, so that long computations do not delay the reports."""

    def __init__(self, services: Services, facts: ModelFacts, *, interval_s: float = REPORT_S) -> None:
        super().__init__("announcer", pause_s=interval_s, delay_s=interval_s, stalled_s=STALLED_S)
        self._services = services
        self._facts = facts
        self.has_reported = False

    def start(self) -> None:
        """Report now and start the thread."""
        self.report()
        super().start()

    def report(self) -> None:
        """Report now. If the object store is down, the next report or the next job tries again."""
        try:
            self.step()
        except ServiceUnavailable as error:
            log.warning("the loaded model could not be reported", action="tell_failed", error=str(error))

    def step(self) -> bool:
        report_loaded(self._services.artifacts, self._services.settings.model, self._facts)
        self.has_reported = True
        return False
