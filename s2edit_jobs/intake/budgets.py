"""The daily budgets of a tenant.

A learning is booked when it begins, worker seconds when an attempt ends. So running jobs can overrun a budget.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from s2edit_jobs.bootstrap import Services
from s2edit_jobs.records.errors import LearningsSpent, QuotaSpent, ServiceUnavailable
from s2edit_jobs.records.record import DailyUsage, Owner
from s2edit_jobs.stores.job_store import DAY_S


def check_day(services: Services, owner: Owner, *, learns: Callable[[], bool]) -> None:
    """Raise `QuotaSpent` if the tenant has used up its worker seconds; then check as `check_learning` does if the job `learns`.

    `learns` is called only if the budget for learning is used up.
    """
    settings = services.settings
    spent = _spent(services, owner, settings.tenant_gpu_s_per_day or settings.tenant_learnings_per_day)
    if 0 < settings.tenant_gpu_s_per_day <= spent.worker_s:
        raise QuotaSpent("the tenant has used up its compute budget for today", retry_after_s=_until_midnight_s())
    _check_learnings(spent, settings.tenant_learnings_per_day, learns)


def check_learning(services: Services, owner: Owner) -> None:
    """Raise `LearningsSpent` if the tenant may learn nothing more today."""
    budget = services.settings.tenant_learnings_per_day
    _check_learnings(_spent(services, owner, budget), budget, lambda: True)


def _check_learnings(spent: DailyUsage, budget: int, learns: Callable[[], bool]) -> None:
    if 0 < budget <= spent.learnings and learns():
        raise LearningsSpent(
            f"the tenant may learn no more people and attributes today: its budget is {budget} a day",
            retry_after_s=_until_midnight_s(),
        )


def _spent(services: Services, owner: Owner, budget: float) -> DailyUsage:
    """Return what counts against the budgets: nothing without a budget, in test mode, or while the job store is down."""
    if not budget or owner.test:
        return DailyUsage()
    try:
        return services.store.usage.spent(owner.tenant)
    except ServiceUnavailable:
        return DailyUsage()


def _until_midnight_s() -> int:
    return DAY_S - int(time.time() % DAY_S)
