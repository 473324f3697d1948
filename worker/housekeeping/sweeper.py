"""Remove what has expired, a few times a day."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from s2edit_jobs.access.revoked_tokens import sweep_ended
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.library.retention import Retention
from s2edit_jobs.lifecycle.request_markers import sweep_erased_keys
from s2edit_jobs.lifecycle.survey import Survey, survey_if_outdated
from s2edit_jobs.lifecycle.unfinished import Unfinished, run_alone
from s2edit_jobs.records.set_aside import set_aside
from s2edit_jobs.stores.model_facts import REPORTS
from s2edit_jobs.stores.object_store.write_probe import PROBES
from s2edit_jobs.stores.stored_bytes import measure
from worker.housekeeping.loop import Loop

log = structlog.get_logger(__name__)

SWEEP_S = 6 * 3600.0
"""Seconds between two sweeps of all housekeepers together. A sweep lists what users have, but no edit too young to expire."""
RETRY_S = 600.0
"""Seconds until a sweep that failed is repeated, and after which the process of one that has made no progress counts as dead."""
POLL_S = 60.0
"""Seconds after which a housekeeper checks again whether a sweep is due."""


def sweep(services: Services) -> int | None:
    """Sweep if a sweep is due. Return the number of removed things, or None if none is due. Raise `ServiceUnavailable`.

    A sweep that ends early, because the store fails or its process dies, is repeated soon: it may not have come to all users.
    """
    surveyed = survey_if_outdated(services)
    measure(services.artifacts, services.store.usage)

    def work(busy: Callable[[], None]) -> int:
        if surveyed is None:
            Survey(services, busy=busy).complete()
        return _remove_expired(services, busy)

    return run_alone(services, "sweep", SWEEP_S, work, lease_s=RETRY_S, retry_s=RETRY_S)


def _remove_expired(services: Services, busy: Callable[[], None]) -> int:
    Unfinished(services).announce_webhooks()  # in case somebody has deleted the outbox alone
    now = time.time()
    ended = sweep_ended(services.artifacts, now=now)
    erased = sweep_erased_keys(services.artifacts, before=now - services.settings.idempotency_ttl_s)
    with set_aside("probe", PROBES):
        services.artifacts.delete_prefix(PROBES)
    with set_aside("report of a model", REPORTS):
        services.artifacts.delete_older_versions(REPORTS)  # a worker overwrites its report every 20 s
    gone = Retention(services, busy=busy).sweep()
    log.info("removed expired objects", action="swept", ended=ended, erased_users=erased, **gone)
    return ended + erased + sum(gone.values())


class Sweeper(Loop):
    """Calls `sweep` every `poll_s` seconds. A sweep may take any time, so this loop never counts as stalled."""

    def __init__(self, services: Services, *, poll_s: float = POLL_S, stop: threading.Event | None = None) -> None:
        super().__init__("sweeper", pause_s=poll_s, stalled_s=None, delay_s=poll_s, stop=stop)
        self._services = services

    def step(self) -> bool:
        sweep(self._services)
        return False
