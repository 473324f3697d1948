"""The daily budgets of a tenant. Jobs are booked when they are over, so running ones can overrun a budget."""

from __future__ import annotations

import time
from collections.abc import Callable

from s2edit_jobs.bootstrap import Services
from s2edit_jobs.records.errors import LearningsSpent, QuotaSpent, ServiceUnavailable
from s2edit_jobs.records.record import DailyUsage, Owner
from s2edit_jobs.stores.job_store import DAY_S


def check_compute(services: Services, owner: Owner) -> None:
    """Raise `QuotaSpent` if the tenant has used up its worker seconds. Without the job store, nothing is refused."""
    budget = services.settings.tenant_gpu_s_per_day
    if 0 < budget <= _spent(services, owner, budget).worker_s:
        raise QuotaSpent("the tenant has used up its compute budget for today", retry_after_s=_until_midnight_s())


def check_learning(services: Services, owner: Owner, *, learns: Callable[[], bool] = lambda: True) -> None:
    """Raise `LearningsSpent` if the tenant may learn nothing more today and the job learns something.

    Without the job store, nothing is refused. `learns` is called only if the budget is used up.
    """
    budget = services.settings.tenant_learnings_per_day
    if 0 < budget <= _spent(services, owner, budget).learnings and learns():
        raise LearningsSpent(
            f"the tenant has learned {budget} people and attributes today and may learn no more",
            retry_after_s=_until_midnight_s(),
        )


def _spent(services: Services, owner: Owner, budget: float) -> DailyUsage:
    """Return what counts against the budget: nothing without a budget, in test mode, or while the job store is down."""
    if not budget or owner.test:
        return DailyUsage()
    try:
        return services.store.usage.spent(owner.tenant)
    except ServiceUnavailable:
        return DailyUsage()


def _until_midnight_s() -> int:
    return DAY_S - int(time.time() % DAY_S)
