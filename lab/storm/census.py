"""Which edits are over, as the files say. Unlike a request, a look at a file changes nothing in the service."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress

from lab.storm.app import ClientApp
from s2edit_jobs.records.errors import ServiceUnavailable
from s2edit_jobs.records.record import Owner
from s2edit_jobs.stores.artifacts import ArtifactStore, edit_key

TENANT = "default"
"""The tenant of a service without keys."""
LOOK_S = 0.2


class Census:
    """Counts the unfinished edits that the client does not look at."""

    def __init__(self, artifacts: ArtifactStore, app: ClientApp) -> None:
        self._artifacts = artifacts
        self._app = app
        self._over: set[str] = set()
        self._looked_at = 0.0

    @property
    def over(self) -> int:
        self.unfinished()
        return len(self._over)

    def unfinished(self) -> list[str]:
        """Return the ids of accepted edits without an outcome, of those that nobody looks at. Up to `LOOK_S` old."""
        edits = self._app.unlooked()
        if time.monotonic() - self._looked_at > LOOK_S:
            self._looked_at = time.monotonic()
            left = [(one.user, one.job) for one in edits if one.job not in self._over]
            self._over.update(self._ended(left))
        return [one.job for one in edits if one.job not in self._over]

    def _ended(self, edits: Iterable[tuple[str, str]]) -> Iterable[str]:
        with suppress(ServiceUnavailable):  # the store is away at the moment
            for user, job in edits:
                if self._artifacts.exists(edit_key(Owner(TENANT, user), job, "outcome.json")):
                    yield job
