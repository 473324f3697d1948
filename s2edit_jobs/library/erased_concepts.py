"""Which identities and attributes were erased, and from which jobs: those do not use them or learn them again.

A concept's id is a digest of what it is learned from. A queued edit of the same photo, or the next attempt at the edit that has
learned it, would bring it back under the same id. So an erasure leaves `erased/<id>` in the user's folder, with the ids of the
user's unfinished jobs. It names the jobs, because times of different machines cannot be compared. Requests that come later learn
the concept anew. A running job looks for it too (`worker.attempts.used_concepts`). A concept that has expired leaves nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from s2edit_jobs.records.errors import ArtifactMissing, RecordDamaged
from s2edit_jobs.records.record import JobSpec, Owner, Timestamp
from s2edit_jobs.records.set_aside import count_aside
from s2edit_jobs.records.stored import VERSIONS, read_number, read_record
from s2edit_jobs.stores.artifacts import JSON, ArtifactStore

ERASED = "erased"
"""Folder of the records, in that of the user."""


@dataclass(frozen=True, slots=True)
class ErasedConcept:
    """The content of an object in `ERASED`."""

    erased_at: Timestamp
    jobs: tuple[str, ...] | None  # that were unfinished then. None: an earlier release has stored the time alone


def remember_erased(artifacts: ArtifactStore, owner: Owner, concept_id: str, *, jobs: Iterable[str], now: float) -> None:
    """Remember that a concept is erased, before that happens. Raise `ArtifactsUnavailable`.

    `jobs` are the ids of the owner's unfinished jobs (`Jobs.unfinished`).
    """
    values = asdict(ErasedConcept(now, tuple(sorted(jobs)))) | {"version": VERSIONS["erased concept"]}
    artifacts.put(_key(owner, concept_id), json.dumps(values).encode(), media_type=JSON)


def is_erased_for(artifacts: ArtifactStore, spec: JobSpec, concept_id: str) -> bool:
    """Return whether the concept was erased after the job was accepted. Raise `ArtifactsUnavailable` or `RecordNewer`."""
    erased = _read(artifacts, _key(spec.owner, concept_id))
    if erased is None:
        return False
    return spec.created_at <= erased.erased_at if erased.jobs is None else spec.id in erased.jobs


def sweep_erased_concept(artifacts: ArtifactStore, key: str, *, before: float) -> int:
    """Remove the record of an erasure before `before`, or one that is damaged. Return the number of objects."""
    erased = _read(artifacts, key)
    return artifacts.delete_prefix(key) if erased is not None and erased.erased_at < before else 0


def read_erased(data: bytes) -> ErasedConcept:
    """Return the record in `data`. Raise `RecordDamaged` or `RecordNewer`."""
    if data.startswith(b"{"):
        return read_record("erased concept", ErasedConcept, data)
    return ErasedConcept(read_number(data, "erased concept"), None)


def _read(artifacts: ArtifactStore, key: str) -> ErasedConcept | None:
    """Return the record of an erasure, None if there was none. One that is damaged is very old."""
    try:
        return read_erased(artifacts.get(key))
    except ArtifactMissing:
        return None
    except RecordDamaged as error:
        count_aside("erased concept", key, error)
        return ErasedConcept(0.0, ())


def _key(owner: Owner, concept_id: str) -> str:
    return f"{owner.prefix}{ERASED}/{concept_id}"
