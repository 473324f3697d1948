"""What the policy or the safety model refuses is written into the audit log and counted."""

from __future__ import annotations

from contextlib import suppress

from s2edit_core.errors import PolicyRefused
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.records.errors import ServiceUnavailable
from s2edit_jobs.records.record import Owner


def note_refusal(services: Services, owner: Owner, job_id: str | None, error: PolicyRefused) -> None:
    """Note a refusal of a request, or of the job that it has become. Those of test mode are not counted."""
    services.audit.record("edit.refuse", owner, job_id, error.reason)
    if not owner.test:
        with suppress(ServiceUnavailable):
            services.store.usage.count_refusal(error.field)
