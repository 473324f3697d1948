"""What a caller may still ask for, beyond who it is."""

from __future__ import annotations

import time
from dataclasses import dataclass

from api.guard.auth import Authenticator, Principal
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.records.errors import QuotaSpent, ServiceUnavailable
from s2edit_jobs.records.record import Spent
from s2edit_jobs.stores.store import DAY_S


@dataclass(frozen=True, slots=True)
class Allowance:
    """One request's. Call it in a thread."""

    auth: Authenticator
    principal: Principal
    services: Services

    def take_edit(self, *, learns: bool) -> None:
        """The last thing before an edit is taken on; `learns`: it may have to learn a person. Raises `QuotaSpent` or `TokenSpent`.

        What edits use is booked when they are over, so a day's budget may be overrun by those under way. While the job store is
        down nobody is refused, and in test mode, which uses none of it.
        """
        settings = self.services.settings
        budget = Spent(settings.tenant_learnings_per_day if learns else 0, settings.tenant_gpu_s_per_day)
        if (budget.learnings or budget.worker_s) and not self.principal.owner.test:
            self._check(budget)
        if self.principal.token is not None:
            self.auth.tokens.spend(self.principal.token, "edits")

    def _check(self, budget: Spent) -> None:
        try:
            spent = self.services.store.spent(self.principal.owner.tenant)
        except ServiceUnavailable:
            return
        if 0 < budget.learnings <= spent.learnings or 0 < budget.worker_s <= spent.worker_s:
            raise QuotaSpent("the tenant's budget of the day is spent", retry_after_s=DAY_S - int(time.time() % DAY_S))
