"""Jobs, owners and leases for the tests of the job store."""

from __future__ import annotations

from dataclasses import replace

from s2edit_jobs.records.record import Failure, JobRecord, JobState, Lease, Load, Outcome, Owner
from s2edit_jobs.stores.redis_store.lua import LOOK_MS
from tests.contract.conftest import StoreCase

ANN, BOB, EVE = Owner("app", "ann"), Owner("app", "bob"), Owner("app", "eve")
CONCEPT = "t/app/u/ann/concepts/c_1"
REASON = Failure("numbers_not_finite", "the learning left the numbers")
LEASE_S = 0.3
LOOK_S = LOOK_MS / 1000


def enter(case: StoreCase, job_id: str, owner: Owner = ANN, **values: object) -> JobRecord:
    record = JobRecord(id=job_id, owner=owner, state=JobState.QUEUED, sequence=1, created_at=1.0, updated_at=1.0)
    return case.store.records.add(replace(record, **values))  # type: ignore[arg-type]


def take(case: StoreCase, job_id: str | None = None, *, lease_s: float = 60) -> Lease:
    lease = case.store.leases.claim(job_id, lease_s=lease_s)
    assert lease is not None
    return lease


def take_slot(
    case: StoreCase, job_id: str, owner: Owner = ANN, *, of_owner: int = 1000, of_tenant: int = 1000, in_all: int = 1000
) -> Load:
    return case.store.admission.take_slot(owner, job_id, of_owner=of_owner, of_tenant=of_tenant, in_all=in_all)


def load(case: StoreCase, owner: Owner) -> Load:
    """Return the counts without taking a slot."""
    return take_slot(case, "e_none", owner, of_owner=0)


def end(case: StoreCase, lease: Lease, state: JobState = JobState.SUCCEEDED) -> None:
    case.store.records.finish(lease.job_id, lease.owner, Outcome(state=state, attempt=lease.attempt, finished_at=2.0))
