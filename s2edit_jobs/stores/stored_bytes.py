"""What tenants store, in bytes: bounded by `S2EDIT_MAX_STORED_BYTES_PER_TENANT`.

Every write is booked in the job store. A listing of the tenant's objects replaces what was booked, at most `MEASURE_S` seconds
after a write, so what was erased counts no longer. An upload is booked with its announced size, because its bytes may go past the
service. All of it is lost with Redis, and then measured again.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from s2edit_jobs.records.errors import ServiceUnavailable, StorageFull
from s2edit_jobs.stores.artifacts import ArtifactStore, path_in_user
from s2edit_jobs.stores.job_store import Usage

RETRY_S = 2.0
"""Seconds for which nothing is booked after the job store did not answer: writes must not wait for it."""
MAX_MEASURED = 100
"""Tenants that one call of `measure` measures at most."""

log = structlog.get_logger(__name__)


class Booking:
    """Books each write of a tenant's object. Pass it as `ProvenStore.on_put`. `clock` is monotonic, in seconds."""

    def __init__(self, usage: Usage, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._usage = usage
        self._clock = clock
        self._silent_until = 0.0

    def __call__(self, key: str, size_bytes: int) -> None:
        """Book the object. Do nothing if it is no tenant's, or the job store does not answer."""
        path = path_in_user(key)
        if path and not is_sent_file(path):
            self.book(key.split("/")[1], size_bytes)

    def book(self, tenant: str, size_bytes: int) -> None:
        if self._clock() < self._silent_until:
            return
        try:
            self._usage.book_stored(tenant, size_bytes)
        except ServiceUnavailable:
            self._silent_until = self._clock() + RETRY_S


def is_sent_file(path: str) -> bool:
    """Return whether a path within a user is the file of an upload, which its announcement has booked."""
    parts = path.split("/")
    return parts[0] == "uploads" and parts[-1].startswith("file.")


def check_stored(usage: Usage, tenant: str, *, bound: int, more: int = 0) -> None:
    """Raise `StorageFull` if the tenant stores `bound` bytes, or would store more than that with `more`. A bound of 0 is none.

    Nobody is refused while the job store is down.
    """
    if not bound:
        return
    try:
        stored = usage.stored(tenant, bound=bound - more)
    except ServiceUnavailable:
        return
    if stored + max(more, 1) > bound:
        raise StorageFull(f"this tenant stores {stored} bytes of at most {bound}")


def measure(artifacts: ArtifactStore, usage: Usage) -> int:
    """Measure the tenants that are due. Return their number. Raise `ServiceUnavailable`."""
    for number in range(MAX_MEASURED):
        begun = usage.take_measurement()
        if begun is None:
            return number
        size = artifacts.total_bytes(f"t/{begun.tenant}/")
        usage.measured(begun, size)
        log.info("measured what a tenant stores", action="storage_measured", size_bytes=size)
    return MAX_MEASURED
