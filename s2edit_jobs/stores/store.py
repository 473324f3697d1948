"""The job store as a port: where jobs stand now and who works on them. All of it can be rebuilt from the object store."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Protocol

from s2edit_core.request.spec import Progress
from s2edit_jobs.records.record import Failure, JobRecord, Lease, Load, Outcome, Outlook, Owner, Spent

KEEP_EVENTS = 1000
"""How many of a job's latest events can be replayed, at least."""
PAGE = 500
"""How many jobs one look at the store lists at most, however many there are."""
PLACE_S = 30.0
"""How long a place in the queue is kept for a job that is being taken on; whoever dies over that loses it."""

DAY_S = 24 * 3600


class JobStore(Protocol):
    """Every call is one atomic change. Raises `StoreUnavailable` when Redis does not answer."""

    def add(self, record: JobRecord) -> JobRecord:
        """Enter a job if it is not known yet; answers the record that stands."""

    def get(self, owner: Owner, job_id: str) -> JobRecord:
        """`JobNotFound` if it is unknown here or another owner's."""

    def events(self, owner: Owner, job_id: str, *, after: int) -> tuple[list[JobRecord], bool]:
        """How the job stood after each change whose sequence is above `after`, oldest first; and whether none is missing.

        The last is how it stands now, also where no older one is kept. `JobNotFound` as in `get`.
        """

    def changes(self, stop: threading.Event) -> Iterator[str | None]:
        """The id of every job that changes, until `stop` is set; None where some may have been missed, and at the beginning.

        Never raises: while Redis is down there is silence.
        """

    def claim(self, job_id: str | None = None, *, lease_s: float, test: bool = False) -> Lease | None:
        """Take the queued job whose turn it is, or the one named: queued, or running with a lease that ran out.

        Jobs of test mode stand in a line of their own, from which only `test` takes; whoever draws asks without.

        Owners take turns; of one owner's jobs the oldest comes first. None if there is nothing to do, or if the named job is over,
        leased, unknown, or waits for a concept.
        """

    def renew(self, lease: Lease) -> JobRecord:
        """Extend the lease; the answer shows a wish to cancel. `LeaseLost` if it is no longer this holder's."""

    def progress(self, lease: Lease, progress: Progress) -> JobRecord:
        """Show progress; the answer is as that of `renew`. `LeaseLost` if it is no longer this holder's."""

    def reserve(self, lease: Lease, concept: str) -> bool:
        """Take it on to learn `concept`, alone of all jobs, until `release` or the job's end; it outlives a lost lease.

        False if another job is at it: then the lease is given back, uncounted, and the job waits for the concept, in nobody's way.
        It is queued again by that job's `release`, or soon after that job's end. `LeaseLost` if the lease is no longer this
        holder's.
        """

    def release(self, lease: Lease, failure: Failure | None = None) -> list[str]:
        """End what `reserve` began, in this attempt or an earlier one; the jobs that waited for it, queued again.

        With `failure`, that is the verdict on them. Nothing if the job has been taken again since.
        """

    def finish(self, job_id: str, owner: Owner, outcome: Outcome) -> JobRecord:
        """Take over the outcome that the object store holds. Safe to repeat; the first one stands."""

    def hand_back(self, lease: Lease, *, failed: bool = False) -> None:
        """Give an unfinished job back to the queue. Nothing if the lease is lost. Only a `failed` attempt counts as one."""

    def request_cancel(self, owner: Owner, job_id: str) -> JobRecord:
        """Set the flag; `JobNotFound` as in `get`. Nothing changes once the job is over."""

    def orphans(self) -> list[str]:
        """Jobs that some worker could take now, the `PAGE` oldest; without those of test mode, for which nobody rings.

        Those whose lease ran out are queued again by this call, and those of test mode by a `claim` with `test`.
        """

    def overdue(self) -> list[JobRecord]:
        """Jobs that are not over and whose deadline has passed: the `PAGE` that are due longest."""

    def announce(self, job_id: str) -> None:
        """The job's end is to be told, from now on; `finish` does this for records with `webhook`. Safe to repeat."""

    def take_delivery(self, *, lease_s: float) -> tuple[str, int] | None:
        """The job whose end is due to be told longest, and how many tries this makes. It is nobody else's for `lease_s` seconds."""

    def put_off_delivery(self, job_id: str, wait_s: float) -> None:
        """It is due again in `wait_s` seconds."""

    def end_delivery(self, job_id: str) -> None:
        """It was told, or is given up."""

    def take_place(self, owner: Owner, job_id: str, *, of_owner: int, in_all: int) -> Load:
        """The load but for this job. Where it is below both bounds, it has taken a place for the job, until `add` fills it.

        Jobs of test mode and live ones are each counted without the others. Places count as jobs, for `PLACE_S` seconds: so
        requests that come at the same moment can't pass a bound together.
        """

    def leave_place(self, owner: Owner, job_id: str) -> None:
        """The job is not taken on after all. Nothing if it has no place."""

    def take_turn(self, errand: str, *, every_s: float) -> bool:
        """True for one caller in `every_s` seconds: for what need not be done by every worker."""

    def measured(self, preset: str, seconds: Mapping[str, float]) -> None:
        """A job succeeded: it took `seconds`, by phase, and "total"."""

    def book(self, tenant: str, spent: Spent) -> None:
        """Add to what the tenant has used today."""

    def spent(self, tenant: str) -> Spent:
        """All that was booked on the tenant today; nothing of it after a loss of Redis."""

    def count_refusal(self, field: str) -> None:
        """The policy or the safety model has refused a request or job for its `field`."""

    def refusals(self) -> Mapping[str, int]:
        """How many there were by field, since the store began or lost everything."""

    def outlook(self, owner: Owner, job_id: str) -> Outlook:
        """`JobNotFound` as in `get`."""

    def erase(self, owner: Owner, job_id: str) -> str | None:
        """Keep nothing of the job, not even that it was: its lease is lost, its place in every line is gone. Safe to repeat.

        The concept that it had reserved and not released, if any.
        """

    def erase_owner(self, owner: Owner) -> int:
        """`erase` every job of the owner, and whatever else is kept under that name; how many of them a worker was at."""

    def compact(self) -> bool:
        """Rewrite what the store keeps on the disk, so that nothing erased is left there; False if it must not do that."""

    def prospect(self, owner: Owner, preset: str) -> Outlook:
        """What `outlook` would say of one more job of this owner."""

    def lost(self) -> str | None:
        """None while the store has all jobs. For a new or emptied store: the name of its present life, for `restored`."""

    def restored(self, life: str) -> None:
        """All jobs were entered again during `life`. No effect if the store was emptied since."""
