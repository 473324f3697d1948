"""The budgets of a caller: the tenant's daily budget and the budget of a device token."""

from __future__ import annotations

import time
from dataclasses import dataclass

from api.guard.auth import Authenticator, Principal
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.records.errors import QuotaSpent, ServiceUnavailable
from s2edit_jobs.records.record import DailyUsage
from s2edit_jobs.stores.job_store import DAY_S


@dataclass(frozen=True, slots=True)
class Budgets:
    """The budgets for one request. Its methods block."""

    auth: Authenticator
    principal: Principal
    services: Services

    def take_edit(self, *, learns: bool) -> None:
        """Charge for a job, as the last step before it is accepted. `learns`: it may have to learn a concept.

        Jobs are booked when they are over, so running ones can overrun a daily budget. The daily budget does not apply in test
        mode, which uses no compute, or while the job store is down. Raises `QuotaSpent` or `TokenSpent`.
        """
        settings = self.services.settings
        budget = DailyUsage(settings.tenant_learnings_per_day if learns else 0, settings.tenant_gpu_s_per_day)
        if (budget.learnings or budget.worker_s) and not self.principal.owner.test:
            self._check(budget)
        if self.principal.token is not None:
            self.auth.tokens.spend(self.principal.token, "edits")

    def _check(self, budget: DailyUsage) -> None:
        try:
            spent = self.services.store.usage.spent(self.principal.owner.tenant)
        except ServiceUnavailable:
            return
        if 0 < budget.learnings <= spent.learnings or 0 < budget.worker_s <= spent.worker_s:
            raise QuotaSpent("the daily budget of the tenant is used up", retry_after_s=DAY_S - int(time.time() % DAY_S))
