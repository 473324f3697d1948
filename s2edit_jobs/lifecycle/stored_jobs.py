"""Read a job from the object store: its spec, its outcome, its report, and whether it was accepted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from s2edit_jobs.records.errors import ArtifactMissing, JobNotFound, RecordDamaged, RecordNewer, RecordUnusable
from s2edit_jobs.records.record import JOB_ID, JobRecord, JobSpec, Outcome, Owner, final_record, first_record
from s2edit_jobs.records.set_aside import count_aside
from s2edit_jobs.records.stored import damaged, read_values
from s2edit_jobs.records.unreadable import damaged_outcome, partial_outcome, partial_record
from s2edit_jobs.stores.artifacts import ArtifactStore, edit_key, path_in_user
from s2edit_jobs.stores.markers import PENDING, UNFINISHED, job_of, markers


@dataclass(frozen=True, slots=True)
class Accepted:
    """The fields of a spec, as far as they can be read."""

    first: JobRecord
    damaged: bool
    by_marker: bool


class StoredJobs:
    """Reads jobs from the object store. Every method may raise `ArtifactsUnavailable`."""

    def __init__(self, artifacts: ArtifactStore) -> None:
        self.artifacts = artifacts

    def exists(self, owner: Owner, job_id: str) -> bool:
        """Whether this owner has such a job, even if nobody can read its spec."""
        return JOB_ID.fullmatch(job_id) is not None and self.artifacts.exists(edit_key(owner, job_id, "spec.json"))

    def spec(self, owner: Owner, job_id: str) -> JobSpec:
        """Return what was accepted. Raise `JobNotFound` if this owner has no such job, `RecordDamaged` or `RecordNewer`."""
        return _spec_in(self._spec_bytes(owner, job_id), owner, job_id)

    def outcome(self, owner: Owner, job_id: str) -> Outcome | None:
        """Return how the job ended, or None while it is not over. Of an outcome that can't be read, return what is known."""
        try:
            return self.stored_outcome(owner, job_id)
        except RecordDamaged as error:
            count_aside("outcome", job_id, error)
            return damaged_outcome(job_id)
        except RecordNewer:
            return partial_outcome(job_id, self.artifacts.get(edit_key(owner, job_id, "outcome.json")))

    def stored_outcome(self, owner: Owner, job_id: str) -> Outcome | None:
        """Return how the job ended, or None while it is not over. Raise `RecordDamaged` or `RecordNewer`."""
        folder = edit_key(owner, job_id, "")
        try:
            outcome = Outcome.from_json(self.artifacts.get(f"{folder}outcome.json"))
        except ArtifactMissing:
            return None
        if not all(key.startswith(folder) for key in outcome.artifacts.values()):
            raise damaged("outcome", "it names files of another job")
        return outcome

    def ended(self, owner: Owner, job_id: str) -> JobRecord | None:
        """Return the record of the job's end, or None while it is not over. A damaged job has failed.

        Raise `JobNotFound`, or `RecordNewer`: only a process of the newer release can read the end.
        """
        try:
            outcome = self.stored_outcome(owner, job_id)
        except RecordDamaged:
            outcome = damaged_outcome(job_id)
        if outcome is None:
            return None
        try:
            return final_record(first_record(self.spec(owner, job_id)), outcome)
        except RecordDamaged:
            return final_record(self.accepted(owner, job_id).first, outcome)

    def report(self, record: JobRecord) -> dict[str, Any] | None:
        """Return the report of a job. None if it has none, was erased meanwhile or has a report that can't be read."""
        if (key := record.artifacts.get("report")) is None:
            return None
        try:
            return read_values("report", self.artifacts.get(key))
        except ArtifactMissing:
            return None
        except RecordUnusable as error:
            count_aside("report", key, error)
            return None

    def accepted(self, owner: Owner, job_id: str) -> Accepted:
        """Return what can be read of the job's spec. Raise `JobNotFound`."""
        data = b""
        try:
            data = self._spec_bytes(owner, job_id)
            spec = _spec_in(data, owner, job_id)
            return Accepted(first_record(spec), damaged=False, by_marker=spec.by_marker)
        except RecordDamaged as error:
            count_aside("spec", job_id, error)
            return Accepted(partial_record(owner, job_id, data), damaged=True, by_marker=False)
        except RecordNewer:
            return Accepted(partial_record(owner, job_id, data), damaged=False, by_marker=False)

    def is_marked(self, job_id: str) -> bool:
        """Whether the job has a marker in `unfinished/`."""
        return any(True for _ in self.artifacts.list(UNFINISHED + job_id, expected=1))

    def unfinished(self, owner: Owner) -> set[str]:
        """Return the ids of the owner's accepted jobs that are not over.

        Ids are sorted by time, so the listing of the owner's jobs begins at the oldest unfinished job of all owners.
        """
        ids = {job_of(marker) for folder in (UNFINISHED, PENDING) for marker in markers(self.artifacts, folder)}
        if not ids:
            return ids
        jobs = self.artifacts.list(f"{owner.prefix}edits/", after=edit_key(owner, min(ids), ""))
        return ids & {path_in_user(key).split("/")[1] for key in jobs}

    def _spec_bytes(self, owner: Owner, job_id: str) -> bytes:
        if not JOB_ID.fullmatch(job_id):
            raise JobNotFound(job_id)
        try:
            return self.artifacts.get(edit_key(owner, job_id, "spec.json"))
        except ArtifactMissing:
            raise JobNotFound(job_id) from None


def _spec_in(data: bytes, owner: Owner, job_id: str) -> JobSpec:
    """Return the spec in `data`. Raise as `StoredJobs.spec`: also for the spec of another job that somebody has copied here."""
    spec = JobSpec.from_json(data)
    if (spec.owner, spec.id) != (owner, job_id) or not all(file.key.startswith(owner.prefix) for file in spec.inputs.values()):
        raise damaged("spec", "it belongs to another job or user")
    return spec
