"""The job store as a port: where jobs stand now and who works on them. All of it can be rebuilt from the object store."""

from __future__ import annotations

from typing import Protocol

from s2edit_core.spec import Progress
from s2edit_jobs.record import JobRecord, Lease, Outcome, Owner


class JobStore(Protocol):
    """Every call is one atomic change. Raises `StoreUnavailable` when Redis does not answer."""

    def add(self, record: JobRecord) -> JobRecord:
        """Enter a job if it is not known yet; answers the record that stands."""

    def get(self, owner: Owner, job_id: str) -> JobRecord:
        """`JobNotFound` if it is unknown here or another owner's."""

    def claim(self, job_id: str, *, lease_s: float) -> Lease | None:
        """Take a queued job, or a running one whose lease ran out. None if it is over, leased or unknown."""

    def renew(self, lease: Lease) -> JobRecord:
        """Extend the lease; the answer shows a wish to cancel. `LeaseLost` if it is no longer this holder's."""

    def progress(self, lease: Lease, progress: Progress) -> None:
        """Show progress. `LeaseLost` if it is no longer this holder's."""

    def finish(self, job_id: str, owner: Owner, outcome: Outcome) -> JobRecord:
        """Take over the outcome that the object store holds. Safe to repeat; the first one stands."""

    def hand_back(self, lease: Lease, *, failed: bool = False) -> None:
        """Give an unfinished job back to the queue. Nothing if the lease is lost. Only a `failed` attempt counts as one."""

    def request_cancel(self, owner: Owner, job_id: str) -> JobRecord:
        """Set the flag; `JobNotFound` as in `get`. Nothing changes once the job is over."""

    def orphans(self) -> list[str]:
        """Jobs that are not over and that nobody holds: queued ones, and running ones whose lease ran out. Oldest first."""

    def lost(self) -> str | None:
        """None while the store has all jobs. For a new or emptied store: the name of its present life, for `restored`."""

    def restored(self, life: str) -> None:
        """All jobs were entered again during `life`. No effect if the store was emptied since."""
