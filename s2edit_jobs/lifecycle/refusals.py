"""Record what the policy or the safety model refuses."""

from __future__ import annotations

from contextlib import suppress

from s2edit_core.errors import PolicyRefused
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.records.errors import ServiceUnavailable
from s2edit_jobs.records.record import Owner


def record_refusal(services: Services, owner: Owner, job_id: str | None, error: PolicyRefused) -> None:
    """Write a refusal to the audit log and count it. `job_id` is None for a request that never became a job.

    Refusals in test mode are not counted.
    """
    services.audit.record("edit.refuse", owner, job_id, error.reason)
    if not owner.test:
        with suppress(ServiceUnavailable):
            services.store.usage.count_refusal(error.field)
