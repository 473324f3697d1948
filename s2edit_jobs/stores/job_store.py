"""The job store's ports, one per role, and `JobStore`, which holds them.

Every call is one atomic change, except those that go through all keys (`settle`, `erase_owner`), which are repeated until they have
come through. Every call raises `StoreUnavailable` when Redis does not answer or refuses for now. The object store holds the truth:
all jobs can be entered again from it.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from s2edit_core.request.spec import Progress
from s2edit_jobs.records.record import DailyUsage, Failure, JobRecord, Lease, Load, Measurement, Outcome, Outlook, Owner, Preview

KEEP_EVENTS = 1000
"""How many of a job's latest events can be replayed, at least."""
PAGE = 500
"""How many jobs one call lists at most."""
SLOT_TTL_S = 30.0
"""How long a queue slot is kept for a job that is being accepted. A process that dies meanwhile loses it."""

MEASURE_S = 600.0
"""Seconds after which what a tenant stores is measured again, if it has stored anything since. Erasures count from then on."""

HOUSEKEEPER = "housekeeper"
"""Name by which housekeepers report that they are alive (`Tasks.report_alive`)."""

DAY_S = 24 * 3600


class Records(Protocol):
    """The jobs and their states."""

    def add(self, record: JobRecord) -> JobRecord:
        """Enter a job unless it is known. Return the record that stands.

        A known job regains what it has lost of its places in the queues, so adding every unfinished job repairs them. The sequence
        of a job that was lost (above 1) is lifted to the store's clock in milliseconds.
        """

    def get(self, owner: Owner, job_id: str) -> JobRecord:
        """Return the job's record. Raise `JobNotFound` if it is unknown or another owner's."""

    def find(self, job_ids: Sequence[str]) -> Mapping[str, JobRecord]:
        """Return the records of those jobs that are known, whoever owns them, by id. One call, for at most `PAGE` jobs or so."""

    def unfinished(self, owner: Owner) -> list[JobRecord]:
        """Return the owner's unfinished jobs. The bound on a user's unfinished jobs bounds their number."""

    def request_cancel(self, owner: Owner, job_id: str) -> JobRecord:
        """Set the flag that asks for cancellation, unless the job is over. Raise `JobNotFound` as `get` does."""

    def finish(self, job_id: str, owner: Owner, outcome: Outcome) -> JobRecord:
        """Take over the outcome that the object store holds. The first outcome stands, so repeating this is safe."""

    def overdue(self) -> list[JobRecord]:
        """Return unfinished jobs past their deadline: the `PAGE` that are due longest."""


class Leases(Protocol):
    """Which worker may work on which job, and whose job is next."""

    def claim(
        self, job_id: str | None = None, *, lease_s: float, test: bool = False, passing: Collection[str] = ()
    ) -> Lease | None:
        """Lease the next job, or the job named, for `lease_s` seconds.

        Tenants are served round-robin, and so are the users of a tenant; of one user's jobs the oldest comes first. With `test`,
        the next job comes from the queue of test mode, otherwise never. Who is named in `passing` has no turn: tenants, and users
        by `Owner.name`. A job can be leased while it is queued, or after its last lease ran out.

        Return None if no job is queued, or if the named job is over, leased, unknown or waiting for a concept.
        """

    def renew(self, lease: Lease) -> JobRecord:
        """Extend the lease. The record shows whether cancellation was requested. Raise `LeaseLost` if another holder has it."""

    def hand_back(self, lease: Lease, *, failed: bool = False, device_fault: bool = False, delay_s: float = 0.0) -> None:
        """Queue an unfinished job again, after `delay_s` seconds. Do nothing if the lease is lost.

        Only a `failed` attempt is counted. One that ended with a `device_fault` is counted apart, in `Lease.device_faults`. While a
        job waits, it is in no queue, so it delays no other job of its owner; `orphans` and `claim` let it in again.
        """

    def orphans(self) -> list[str]:
        """Return the jobs that a worker could claim now: the `PAGE` oldest, none of test mode.

        This also queues jobs whose lease ran out. A `claim` with `test` does that for jobs of test mode.
        """


class Events(Protocol):
    """What the followers of a job see."""

    def progress(self, lease: Lease, progress: Progress, preview: bytes | None = None) -> JobRecord:
        """Publish progress, and perhaps a `preview` that replaces the last one. Return and raise what `Leases.renew` does.

        Raise `ValueError` for a preview of more than `MAX_PREVIEW_BYTES`, or of none.
        """

    def preview(self, owner: Owner, job_id: str) -> Preview | None:
        """Return the latest preview of this owner's job.

        None before the first one, a minute after the job's end, and whenever the store has lost it.
        """

    def since(self, owner: Owner, job_id: str, *, after: int) -> tuple[list[JobRecord], bool]:
        """Return the record after each change with a sequence above `after`, oldest first, and whether none is missing.

        The last one is the present record, even where no event is kept. A job that is over is returned even if its sequence is
        below `after`, as it may be after Redis was restored from a snapshot. Raise `JobNotFound` as `Records.get` does.
        """

    def changes(self, stop: threading.Event) -> Iterator[str | None]:
        """Yield the id of every job that changes until `stop` is set.

        Yield None first, and whenever changes may have been missed. Never raise: while Redis is down, nothing comes.
        """


class Reservations(Protocol):
    """Which job learns a concept, so that several jobs of one photo learn it once."""

    def reserve(self, lease: Lease, concept: str) -> bool:
        """Make this job the only one that learns `concept`, until `release` or the job's end. It outlives a lost lease.

        Return False if another job is learning it. The lease is then given back, uncounted, and the job waits for the concept
        outside the queue. It is queued again by that job's `release`, or shortly after that job's end. Raise `LeaseLost`.
        """

    def release(self, lease: Lease, failure: Failure | None = None) -> list[str]:
        """End the reservation of this attempt or an earlier one. Return the jobs that waited, which are queued again.

        With `failure`, they will fail for the same reason. Do nothing if the job has been claimed again since.
        """


class Admission(Protocol):
    """How many jobs are accepted."""

    def take_slot(self, owner: Owner, job_id: str, *, of_owner: int, of_tenant: int, in_all: int) -> Load:
        """Take a queue slot for the job if the load is below all bounds. Return the load without this job.

        Slots count as jobs until `Records.add` fills them, so simultaneous requests cannot exceed a bound together. A slot that
        is not filled is free after `SLOT_TTL_S` seconds. Jobs of test mode and live jobs are counted apart.
        """

    def leave_slot(self, owner: Owner, job_id: str) -> None:
        """Free the slot: the job is not accepted after all. Do nothing if it has none."""


class Estimates(Protocol):
    """How long jobs take."""

    def measured(self, preset: str, seconds: Mapping[str, float]) -> None:
        """Record how long a successful job took, by phase and in "total"."""

    def outlook(self, owner: Owner, job_id: str) -> Outlook:
        """Return what an estimate of the job's end is made of. Raise `JobNotFound` as `Records.get` does.

        The number of jobs ahead is exact for an owner's first job, and while at most a hundred users wait; else an estimate.
        """

    def prospect(self, owner: Owner, preset: str) -> Outlook:
        """Return what `outlook` would return for one more job of this owner."""


class Outbox(Protocol):
    """Jobs whose end is still to be sent to a webhook."""

    def announce(self, job_id: str, tenant: str) -> None:
        """Enter a job of the tenant that is over. `Records.finish` does this for records with `webhook`. Repeating it is safe."""

    def take(self, *, lease_s: float, at_once: int) -> tuple[str, int] | None:
        """Return the job that is due longest and the number of this try. Nobody else gets it for `lease_s` seconds.

        Jobs of a tenant are left out while `at_once` others of it are taken and neither put off nor ended.
        """

    def put_off(self, job_id: str, wait_s: float, *, counted: bool = True) -> None:
        """Make it due again in `wait_s` seconds. A try that is not `counted` gets the same number again."""

    def end(self, job_id: str) -> None:
        """Remove it: the message has arrived or is given up."""


class Usage(Protocol):
    """What tenants have used, and what was refused."""

    def book(self, tenant: str, spent: DailyUsage) -> None:
        """Add to what the tenant has used today."""

    def book_learning(self, lease: Lease) -> None:
        """Add that a job of the tenant learns something today, once for all attempts at it. Do nothing if the lease is lost."""

    def spent(self, tenant: str) -> DailyUsage:
        """Return what was booked today. A loss of Redis resets it."""

    def book_stored(self, tenant: str, size_bytes: int) -> None:
        """Add an object to what the tenant stores, and have the tenant measured within `MEASURE_S` seconds."""

    def stored(self, tenant: str, *, bound: int) -> int:
        """Return the bytes that the tenant stores: the last measurement and what was booked since. 0 if neither is known.

        From `bound` on, or without a measurement, have the tenant measured at once: something may have been erased.
        """

    def take_measurement(self) -> Measurement | None:
        """Return a tenant that is due to be measured, or None. Only one caller gets it."""

    def measured(self, measurement: Measurement, size_bytes: int) -> None:
        """Replace what was known before the measurement began by its result."""

    def count_refusal(self, field: str) -> None:
        """Count that the policy or the safety model has refused a request or job for its `field`."""

    def refusals(self) -> Mapping[str, int]:
        """Return the number of refusals by field, since the store began or lost everything."""


class Erasure(Protocol):
    """Removing what belongs to a job or an owner."""

    def learning(self, owner: Owner, job_id: str) -> str | None:
        """Return the concept that the job has reserved and not released, if any."""

    def erase(self, owner: Owner, job_id: str) -> None:
        """Remove every trace of the job. Its lease is lost, and its reservation ends. Repeating this is safe."""

    def erase_owner(self, owner: Owner) -> int:
        """`erase` every job of the owner and whatever else is kept under that name. Return how many of them were running."""

    def compact(self) -> bool:
        """Rewrite the files of Redis so that no erased value is left in them. Return False if the server forbids it."""


class Tasks(Protocol):
    """Work that one process does for all, and signs of life. All of it goes by the store's own clock."""

    def take_task(self, name: str, *, every_s: float) -> bool:
        """Return True to one caller in `every_s` seconds: for work that one worker does for all."""

    def hold_task(self, name: str, *, for_s: float) -> None:
        """Make the task due in `for_s` seconds from now. While it takes long, its worker calls this so that no other begins it."""

    def report_alive(self, name: str) -> None:
        """Record that the kind of process `name` is alive at this moment."""

    def last_alive_s(self, name: str) -> float | None:
        """Return the seconds since the last `report_alive` with this name, or None if the store knows of none."""

    def clock(self) -> float:
        """Return the store's time, in seconds since the epoch. Leases, deadlines and the outbox go by it."""


class Recovery(Protocol):
    """What is needed after Redis was emptied, restarted or restored."""

    def lost(self) -> str | None:
        """Return None while the store has all jobs. For a new or emptied store, return its generation, for `restored`."""

    def restored(self, generation: str) -> None:
        """Declare that all jobs were entered again. No effect if the store was emptied after `generation` began."""

    def settle(self, generation: str) -> Iterator[JobRecord]:
        """Prepare what a new `generation` has kept, which may be older than what readers have seen. Yield the unfinished jobs.

        Their sequences are lifted above the clock. Finished jobs are dropped, because only the object store knows which of them are
        erased. Yield nothing for a generation that was yielded to the end before.
        """

    def unfinished(self) -> Iterator[str]:
        """Yield the ids of all unfinished jobs, in no order. A job that ends meanwhile may be missing, and one may come twice."""


@dataclass(frozen=True)
class JobStore:
    """The store by role. Pass a component only the role that it uses."""

    records: Records
    leases: Leases
    events: Events
    reservations: Reservations
    admission: Admission
    estimates: Estimates
    outbox: Outbox
    usage: Usage
    erasure: Erasure
    tasks: Tasks
    recovery: Recovery
