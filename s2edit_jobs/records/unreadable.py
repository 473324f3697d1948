"""Replace the spec or outcome of a job that cannot be read, so that the job is listed, ended and erased like any other."""

from __future__ import annotations

from dataclasses import dataclass

from s2edit_jobs.records.record import Failure, JobKind, JobRecord, JobState, Outcome, Owner, Timestamp
from s2edit_jobs.records.stored import readable_fields

RECORD_DAMAGED = "record_damaged"
"""Error code of a job whose spec, outcome or input files are damaged."""
RECORD_NEWER = "record_newer"
"""Error code of a job that a newer release has ended in a way that this release does not know."""
DAMAGED = Failure(RECORD_DAMAGED, "what the service has stored about this edit is damaged: send the request again")
_NEWER = Failure(RECORD_NEWER, "a newer release of the service has ended this edit: this one cannot show how")


@dataclass(frozen=True, slots=True)
class _Shown:
    """The fields of a spec that the job store needs, without the request itself."""

    created_at: Timestamp
    kind: JobKind
    webhook_url: str
    deadline_at: Timestamp | None = None
    parent: str | None = None


def time_of(job_id: str) -> float:
    """Return when the id was made, in seconds since the epoch (see `new_job_id`)."""
    return (int(job_id.removeprefix("e_"), 16) >> 80) / 1000


def partial_record(owner: Owner, job_id: str, spec: bytes) -> JobRecord:
    """Return the first record of a job whose `spec` is damaged or newer, from what can be read of it."""
    known = readable_fields(_Shown, spec)
    created_at = known.pop("created_at", time_of(job_id))
    webhook = known.pop("webhook_url", None) is not None
    return JobRecord(
        id=job_id,
        owner=owner,
        state=JobState.QUEUED,
        sequence=1,
        created_at=created_at,
        updated_at=created_at,
        webhook=webhook,
        **known,
    )


def damaged_outcome(job_id: str) -> Outcome:
    """Return the outcome that stands for a damaged one. It is the same at every call."""
    return Outcome(JobState.FAILED, attempt=0, finished_at=time_of(job_id), failure=DAMAGED)


def partial_outcome(job_id: str, outcome: bytes) -> Outcome:
    """Return what can be read of the outcome that a newer release has written."""
    known = readable_fields(Outcome, outcome)
    known = {"attempt": 0, "finished_at": time_of(job_id), **known}
    if (state := known.get("state")) is None or not state.over:
        known |= {"state": JobState.FAILED, "failure": _NEWER}
    return Outcome(**known)
