"""The budgets of a caller: the tenant's daily budgets and the budget of a device token."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from api.guard.auth import Authenticator, Principal
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.intake.budgets import check_day


@dataclass(frozen=True, slots=True)
class Budgets:
    """The budgets for one request. Its methods block."""

    auth: Authenticator
    principal: Principal
    services: Services

    def check(self, *, learns: Callable[[], bool]) -> None:
        """Check that the caller may send one more job. `learns` says whether it has to learn something, as far as is known now.

        Raises `QuotaSpent`, `TokenSpent` or what `learns` raises.
        """
        check_day(self.services, self.principal.owner, learns=learns)
        if self.principal.token is not None:
            self.auth.tokens.check_left(self.principal.token, "edits")

    def take_edit(self, *, learns: Callable[[], bool], key: str = "") -> None:
        """Charge for a job, as the last step before it is accepted. Otherwise as `check`.

        `key` is the name of the Idempotency-Key, if there is one. All requests with that key are charged once.
        """
        check_day(self.services, self.principal.owner, learns=learns)
        if self.principal.token is not None:
            self.auth.tokens.spend(self.principal.token, "edits", key=key)
