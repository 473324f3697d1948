"""Round-robin over users: a flood of one user's jobs hardly delays the others. Measured in a simulation of four workers."""

from __future__ import annotations

from collections import Counter, defaultdict

from s2edit_jobs.records.record import JobRecord, JobState, Lease, Outcome, Owner
from tests.stores import Database

WORKERS = 4
FLOOD = 400
OTHERS = 50


def waits(flood: int) -> dict[str, list[int]]:
    """Return the ticks that each user's jobs waited. `flood` jobs of one user come first, then two of each other user."""
    store = Database().store(clock=lambda: 1_800_000_000.0)
    entered: dict[str, int] = {}
    users: dict[str, str] = {}

    def enter(user: str, tick: int) -> None:
        job_id = f"e_{len(entered):05}"
        entered[job_id], users[job_id] = tick, user
        store.records.add(JobRecord(job_id, Owner("app", user), JobState.QUEUED, sequence=1, created_at=1.0, updated_at=1.0))

    for _ in range(flood):
        enter("flood", 0)
    waited: dict[str, list[int]] = defaultdict(list)
    tick = 0
    while tick < 2 or store.leases.orphans():
        if tick in (0, 1):
            for i in range(OTHERS):
                enter(f"user-{i:02}", tick)
        leases: list[Lease] = [lease for _ in range(WORKERS) if (lease := store.leases.claim(lease_s=60)) is not None]
        for lease in leases:
            waited[users[lease.job_id]].append(tick - entered[lease.job_id])
            store.records.finish(lease.job_id, lease.owner, Outcome(JobState.SUCCEEDED, attempt=1, finished_at=1.0))
        tick += 1
    return waited


def p95(values: list[int]) -> int:
    return sorted(values)[int(0.95 * len(values))]


def test_a_flood_at_most_doubles_what_the_others_wait() -> None:
    alone, flooded = waits(0), waits(FLOOD)
    others = [wait for user, values in flooded.items() if user != "flood" for wait in values]
    assert len(others) == 2 * OTHERS
    assert p95(others) <= 2 * p95([wait for values in alone.values() for wait in values])
    assert max(flooded["flood"]) > 2 * max(others), "the flooding user's jobs wait for each other"


def test_users_with_enough_to_do_are_served_alike() -> None:
    store = Database().store()
    for i in range(10):
        for job in range(11 + 10 * i):
            job_id = f"e_{i:02}{job:04}"
            store.records.add(
                JobRecord(job_id, Owner("app", f"user-{i}"), JobState.QUEUED, sequence=1, created_at=1.0, updated_at=1.0)
            )
    served = Counter(lease.owner.user for _ in range(105) if (lease := store.leases.claim(lease_s=60)) is not None)
    jain = sum(served.values()) ** 2 / (10 * sum(count * count for count in served.values()))
    assert jain >= 0.95
    assert set(served.values()) == {10, 11}


def test_a_tenant_with_many_users_does_not_delay_another_tenant() -> None:
    """Sixty users with five edits each, then one edit of another tenant: it waits for one turn of the first."""
    store = Database().store(clock=lambda: 1_800_000_000.0)
    for number in range(300):
        owner = Owner("large", f"user-{number % 60:02}")
        store.records.add(JobRecord(f"e_{number:05}", owner, JobState.QUEUED, sequence=1, created_at=1.0, updated_at=1.0))
    store.records.add(JobRecord("e_small", Owner("small", "zoe"), JobState.QUEUED, sequence=1, created_at=1.0, updated_at=1.0))
    served = [lease.job_id for _ in range(10) if (lease := store.leases.claim(lease_s=60)) is not None]
    assert served.index("e_small") == 1
