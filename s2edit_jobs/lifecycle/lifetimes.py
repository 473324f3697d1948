"""How long a finished job and its pictures are kept, by the settings in force."""

from __future__ import annotations

import time

from s2edit_jobs.records.record import JobRecord
from s2edit_jobs.settings import Settings


def expires_at(settings: Settings, record: JobRecord) -> float | None:
    """Return when the job is erased, in seconds since the epoch. None for an unfinished job, or one that is kept."""
    return None if settings.edit_ttl_s is None or not record.state.over else record.updated_at + settings.edit_ttl_s


def results_expire_at(settings: Settings, record: JobRecord) -> float | None:
    """Return when the job's pictures are erased, in seconds since the epoch. None as for `expires_at`."""
    ttls = [ttl for ttl in (settings.edit_ttl_s, settings.result_ttl_s) if ttl is not None]
    return record.updated_at + min(ttls) if ttls and record.state.over else None


def results_expired(settings: Settings, record: JobRecord) -> bool:
    """Return whether the pictures have expired. Then nobody may use them, even if the next sweep has yet to erase them."""
    at = results_expire_at(settings, record)
    return at is not None and at <= time.time()
