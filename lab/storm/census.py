"""Which edits are over, as the files say. Unlike a request, a look at a file changes nothing in the service."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from lab.storm.app import ClientApp
from lab.storm.checks.history import StoredEdit, outcomes_won
from lab.storm.system.engines import unsigned
from s2edit_jobs.records.errors import ServiceUnavailable
from s2edit_jobs.records.record import JobSpec, Outcome, Owner
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


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def stored_edits(
    artifacts: ArtifactStore, event_log: Sequence[dict[str, Any]], digest: Callable[[bytes], str], *, apart: Sequence[str] = ()
) -> Iterator[StoredEdit]:
    """Yield the state of every edit in the object store, without those whose specs are `apart`. `digest` names a picture."""
    won = outcomes_won(event_log)
    for key in artifacts.list("t/"):
        if not key.endswith("/spec.json") or key in apart:
            continue
        spec, end = JobSpec.from_json(artifacts.get(key)), key.replace("spec.json", "outcome.json")
        outcome = Outcome.from_json(artifacts.get(end)) if artifacts.exists(end) else None
        named = {name: outcome.artifacts[name] for name in ("result", "report") if name in outcome.artifacts} if outcome else {}
        data = {name: artifacts.get(named[name]) for name in named}
        yield StoredEdit(
            spec.id,
            user=key.split("/")[3],
            state=outcome.state if outcome else None,
            result=digest(unsigned(data["result"])) if "result" in data else "",
            # A worker that is killed between writing its outcome and its log line leaves no line, so no line counts as one write.
            outcomes_won=max(1, won[end]),
            outcome_key=end,
            objects={named[name]: sha256(data[name]) for name in named},
        )
