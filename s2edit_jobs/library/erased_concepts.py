"""Which identities and attributes were erased, and when: no job that was accepted before uses them or learns them again.

A concept's id is a digest of what it is learned from. A queued edit of the same photo, or the next attempt at the edit that has
learned it, would bring it back under the same id. So an erasure leaves its time in `erased/<id>`, in the user's folder. Requests
that come later learn the concept anew. A running job looks for it too (`worker.attempts.used_concepts`). A concept that has
expired leaves nothing.
"""

from __future__ import annotations

import json

from s2edit_jobs.records.errors import ArtifactMissing, RecordDamaged
from s2edit_jobs.records.record import JobSpec, Owner
from s2edit_jobs.records.set_aside import count_aside
from s2edit_jobs.records.stored import read_number
from s2edit_jobs.stores.artifacts import JSON, ArtifactStore

ERASED = "erased"
"""Folder of the times, in that of the user."""


def remember_erased(artifacts: ArtifactStore, owner: Owner, concept_id: str, *, now: float) -> None:
    """Remember that a concept is erased, before that happens. Raise `ArtifactsUnavailable`."""
    artifacts.put(_key(owner, concept_id), json.dumps(now).encode(), media_type=JSON)


def is_erased_for(artifacts: ArtifactStore, spec: JobSpec, concept_id: str) -> bool:
    """Return whether the concept was erased after the job was accepted. Raise `ArtifactsUnavailable` or `RecordNewer`."""
    erased_at = _erased_at(artifacts, _key(spec.owner, concept_id))
    return erased_at is not None and spec.created_at <= erased_at


def sweep_erased_concept(artifacts: ArtifactStore, key: str, *, before: float) -> int:
    """Remove the time of an erasure before `before`, or one that is damaged. Return the number of objects."""
    erased_at = _erased_at(artifacts, key)
    return artifacts.delete_prefix(key) if erased_at is not None and erased_at < before else 0


def _erased_at(artifacts: ArtifactStore, key: str) -> float | None:
    """Return the time of an erasure, None if there was none, 0 if the time is damaged."""
    try:
        return read_number(artifacts.get(key), "erased concept")
    except ArtifactMissing:
        return None
    except RecordDamaged as error:
        count_aside("erased concept", key, error)
        return 0.0


def _key(owner: Owner, concept_id: str) -> str:
    return f"{owner.prefix}{ERASED}/{concept_id}"
