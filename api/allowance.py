"""What a caller may still ask for, beyond who it is."""

from __future__ import annotations

from dataclasses import dataclass

from api.auth import Authenticator, Principal


@dataclass(frozen=True, slots=True)
class Allowance:
    """One request's. Call it in a thread."""

    auth: Authenticator
    principal: Principal

    def take_edit(self) -> None:
        """The last thing before an edit is taken on. Raises `TokenSpent`."""
        if self.principal.token is not None:
            self.auth.tokens.spend(self.principal.token, "edits")
