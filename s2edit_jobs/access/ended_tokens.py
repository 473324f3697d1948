"""Users whose device tokens were all ended at some moment: their spent units are erased, so what was issued before must not count.

A note lies outside of what the user has, and is swept up when no token from before it can be alive.
"""

from __future__ import annotations

import json

from s2edit_core.request.plan import digest
from s2edit_jobs.records.errors import ArtifactMissing
from s2edit_jobs.records.record import Owner
from s2edit_jobs.stores.artifacts import ArtifactStore

ENDED = "ended/"
"""Prefix of the notes; each holds the moment in whole seconds since the epoch."""
KEPT_S = 2 * 86_400
"""Longer than any token lives."""


def _place(owner: Owner) -> str:
    """It does not tell who that is to whoever reads keys."""
    return f"{ENDED}{digest(owner.prefix.encode())[:32]}"


def end_tokens(artifacts: ArtifactStore, owner: Owner, *, now: float) -> None:
    """Whatever was issued to this user until now counts no more. Raises `ArtifactsUnavailable`."""
    artifacts.put(_place(owner), json.dumps(int(now)).encode(), media_type="application/json")


def ended_at(artifacts: ArtifactStore, owner: Owner) -> int | None:
    """Seconds since the epoch; None if this user's tokens were not ended lately. Raises `ArtifactsUnavailable`."""
    try:
        return int(json.loads(artifacts.get(_place(owner))))
    except ArtifactMissing:
        return None


def sweep_ended(artifacts: ArtifactStore, *, now: float) -> int:
    """Remove the notes that keep no token out any more; how many. Raises `ArtifactsUnavailable`."""
    gone = 0
    for place in list(artifacts.list(ENDED)):
        try:
            old = int(json.loads(artifacts.get(place))) + KEPT_S < now
        except ArtifactMissing:
            continue
        gone += artifacts.delete_prefix(place) if old else 0
    return gone
