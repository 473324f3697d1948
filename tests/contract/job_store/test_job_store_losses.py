"""Redis may lose a key, a field or a member: to eviction, to expiry, to somebody's hands. That blocks nothing and nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import pytest
import redis

from s2edit_core.request.spec import Progress
from s2edit_jobs.records.errors import JobNotFound, LeaseLost
from s2edit_jobs.records.record import DailyUsage, JobRecord, JobState, Lease, Load, Outcome, Owner, tenant_of_test_mode
from s2edit_jobs.stores.job_store import PAGE, SLOT_TTL_S, JobStore
from s2edit_jobs.stores.redis_store.leases import TEND_MS
from s2edit_jobs.stores.redis_store.lua import UNKNOWN_LEASE_MS
from tests.contract.conftest import StoreCase
from tests.contract.job_store.jobs import ANN, BOB, CONCEPT, EVE, end, enter, load, take

TEST = Owner(tenant_of_test_mode("app"), "ann")
LEASE_S = 10.0
PARTS = 4
Loss = Callable[[redis.Redis], object]


@dataclass
class Truth:
    """Stands for the object store and the reaper: what was accepted, what is over, and how jobs are entered again."""

    case: StoreCase
    accepted: dict[str, JobRecord] = field(default_factory=dict)
    over: set[str] = field(default_factory=set)

    @property
    def store(self) -> JobStore:
        return self.case.store

    def accept(self, job_id: str, owner: Owner, **values: object) -> None:
        self.accepted[job_id] = enter(self.case, job_id, owner, **values)

    def finish(self, job_id: str) -> None:
        self.over.add(job_id)
        outcome = Outcome(JobState.SUCCEEDED, attempt=1, finished_at=2.0)
        try:
            self.store.records.finish(job_id, self.accepted[job_id].owner, outcome)
        except JobNotFound:
            return  # the object store has the outcome

    def reap(self) -> None:
        generation = self.store.recovery.lost()
        if generation is not None:
            for job_id, record in self.accepted.items():
                if job_id not in self.over:
                    self.store.records.add(replace(record, sequence=int(self.case.now[0] * 1000)))
            self.store.recovery.restored(generation)
        self.store.records.overdue()
        self.store.leases.orphans()

    def work(self) -> None:
        """Run what can be claimed, live and of test mode."""
        for test in (False, True):
            while (lease := self.store.leases.claim(lease_s=LEASE_S, test=test)) is not None:
                self.attempt(lease)

    def attempt(self, lease: Lease) -> None:
        if lease.job_id in self.over:
            self.finish(lease.job_id)
            return
        if not self.store.reservations.reserve(lease, f"{CONCEPT}{lease.owner.tenant}{lease.owner.user}"):
            return
        self.store.events.progress(lease, Progress("learning", 1, 2))
        self.store.leases.renew(lease)
        self.finish(lease.job_id)
        self.store.reservations.release(lease)


def populate(case: StoreCase) -> Truth:
    """Queued, running, waiting, finished jobs of three owners, with deadlines and webhooks, and jobs of test mode."""
    truth = Truth(case)
    for number, owner in enumerate((ANN, ANN, ANN, BOB, EVE, TEST, TEST, ANN)):
        truth.accept(f"e_{number}", owner, deadline_at=9e9, webhook=True)
    learner, waiter, ending = (take(case, f"e_{number}", lease_s=LEASE_S) for number in (0, 1, 7))
    assert case.store.reservations.reserve(learner, f"{CONCEPT}appann")
    assert not case.store.reservations.reserve(waiter, f"{CONCEPT}appann")
    truth.finish(ending.job_id)
    case.store.admission.take_slot(EVE, "e_slot", of_owner=9, of_tenant=9, in_all=9)
    case.store.estimates.measured("", {"total": 3.0})
    case.store.usage.book("app", DailyUsage(1, 2.0))
    case.store.usage.book_learning(learner)
    case.store.usage.count_refusal("prompt")
    case.store.usage.book_stored("app", 5)
    case.store.events.progress(learner, Progress("learning", 1, 2), b"a preview")
    case.store.outbox.take(lease_s=0.001, at_once=9)
    generation = case.store.recovery.lost()
    assert generation is not None
    case.store.recovery.restored(generation)
    return truth


def losses(client: redis.Redis) -> Iterator[tuple[str, Loss]]:
    """Every key, every field of a hash and every member of a set."""
    for key in sorted(map(str, client.scan_iter("s2edit:*"))):
        yield f"key {key}", lambda client, key=key: client.delete(key)
        kind = client.type(key)
        if kind == "hash":
            for name in sorted(client.hkeys(key)):  # type: ignore[arg-type, type-var]
                yield f"field {key} {name}", lambda client, key=key, name=name: client.hdel(key, name)
                yield f"garbage in {key} {name}", lambda client, key=key, name=name: client.hset(key, name, "{")
        elif kind == "zset":
            for member in client.zrange(key, 0, -1):  # type: ignore[union-attr]
                yield f"member {key} {member}", lambda client, key=key, member=member: client.zrem(key, member)
        elif kind == "set":
            for member in sorted(client.smembers(key)):  # type: ignore[arg-type, type-var]
                yield f"member {key} {member}", lambda client, key=key, member=member: client.srem(key, member)


def meet_every_method(truth: Truth) -> None:
    """None raises anything but that a job is unknown or a lease is lost."""
    store = truth.store
    for job_id, record in truth.accepted.items():
        lease = Lease(job_id, record.owner, fence=1, attempt=1, lease_s=LEASE_S)
        for call in (
            lambda job_id=job_id, record=record: store.records.get(record.owner, job_id),
            lambda job_id=job_id, record=record: store.records.request_cancel(record.owner, job_id),
            lambda job_id=job_id, record=record: store.events.since(record.owner, job_id, after=0),
            lambda job_id=job_id, record=record: store.estimates.outlook(record.owner, job_id),
            lambda lease=lease: store.leases.renew(lease),
            lambda lease=lease: store.leases.hand_back(lease),
            lambda lease=lease: store.events.progress(lease, Progress("editing", 1, 2)),
            lambda lease=lease: store.usage.book_learning(lease),
            lambda lease=lease: store.reservations.reserve(lease, CONCEPT),
            lambda lease=lease: store.reservations.release(lease),
        ):
            try:
                call()
            except (JobNotFound, LeaseLost):
                continue
    for owner in (ANN, BOB, EVE, TEST):
        store.estimates.prospect(owner, "")
        store.admission.take_slot(owner, "e_x", of_owner=99, of_tenant=99, in_all=99)
        store.admission.leave_slot(owner, "e_x")
        store.usage.stored(owner.tenant, bound=1)
        if (begun := store.usage.take_measurement()) is not None:
            store.usage.measured(begun, 7)
    store.records.overdue()
    store.usage.spent("app")
    store.usage.refusals()
    store.tasks.take_task("sweep", every_s=0)
    store.outbox.announce("e_x", "acme")
    store.outbox.put_off("e_x", 1)
    store.outbox.end("e_x")
    store.leases.orphans()


def detectable(name: str) -> bool:
    """Whether a reader can tell. Garbage is looked for in records only, and a wrong owner is as good as another."""
    return not name.startswith("garbage in ") or (":job:" in name and not name.endswith((" tenant", " user")))


@pytest.mark.parametrize("part", range(PARTS))
def test_a_loss_blocks_nothing_and_all_jobs_end(case: StoreCase, part: int) -> None:
    populate(case)
    possible = [(name, lose) for name, lose in losses(case.database.client) if detectable(name)]
    assert len(possible) > 200
    for name, lose in possible[part::PARTS]:
        case.forget()
        truth = populate(case)
        lose(case.database.client)
        began = case.now[0]
        try:
            meet_every_method(truth)
            while truth.over != set(truth.accepted) and case.now[0] < began + UNKNOWN_LEASE_MS / 1000 + 2 * LEASE_S:
                truth.reap()
                truth.work()
                case.let_pass(LEASE_S / 2)
        except Exception as error:
            raise AssertionError(f"after the loss of {name}") from error
        assert truth.over == set(truth.accepted), f"unfinished a minute after the loss of {name}"
        case.let_pass(SLOT_TTL_S)
        assert load(case, ANN) == Load(of_owner=0, of_tenant=0, in_all=0), f"counted for ever after the loss of {name}"


def test_a_lost_record_does_not_block_the_other_jobs_of_its_owner(case: StoreCase) -> None:
    truth = populate(case)
    case.database.client.delete("s2edit:job:e_2")
    assert take(case).owner in (BOB, EVE, ANN)
    truth.work()
    assert case.store.recovery.lost() is not None, "so the reaper enters all jobs again"
    truth.reap()
    lease = take(case)
    assert lease.job_id == "e_2"


def test_a_job_without_a_record_is_no_orphan_for_ever(case: StoreCase) -> None:
    enter(case, "e_1")
    enter(case, "e_2")
    case.database.client.delete("s2edit:job:e_1")
    assert case.store.leases.orphans() == ["e_2"]


@pytest.mark.parametrize("key", ["s2edit:turns", "s2edit:due", "s2edit:line:app/ann"])
def test_a_lost_index_is_made_again_within_seconds(case: StoreCase, key: str) -> None:
    for number in range(3):
        enter(case, f"e_{number}")
    case.store.leases.orphans()
    case.database.client.delete(key)
    done = []
    for _ in range(6):
        case.let_pass(TEND_MS / 1000)
        for _ in case.store.leases.orphans():
            if (lease := case.store.leases.claim(lease_s=60)) is not None:
                done.append(lease.job_id)
                end(case, lease)
    assert done == ["e_0", "e_1", "e_2"]


def test_owners_take_turns_also_after_the_counter_was_lost(case: StoreCase) -> None:
    for number in range(6):
        enter(case, f"e_{number}")
        enter(case, f"e_1{number}", BOB)
    for _ in range(4):
        take(case)
    case.database.client.delete("s2edit:turn")
    assert [take(case).owner.user for _ in range(6)] == ["ann", "bob"] * 3


def test_jobs_without_records_use_up_nobodys_slots(case: StoreCase) -> None:
    for number in range(3):
        enter(case, f"e_{number}")
        case.database.client.delete(f"s2edit:job:e_{number}")
    assert case.store.admission.take_slot(ANN, "e_9", of_owner=2, of_tenant=2, in_all=9).of_owner == 0


def test_a_running_job_whose_lease_is_lost_stays_with_its_worker(case: StoreCase) -> None:
    record = enter(case, "e_1")
    lease = take(case, lease_s=LEASE_S)
    case.database.client.delete("s2edit:due")
    case.store.records.add(record)
    case.let_pass(LEASE_S * 2)
    assert case.store.leases.orphans() == []
    case.store.leases.renew(lease)
    case.let_pass(LEASE_S * 1.1)
    assert case.store.leases.orphans() == ["e_1"], "renewed for its own time"


def test_an_erasure_removes_what_is_left_of_a_damaged_record(case: StoreCase) -> None:
    for number, name in enumerate(("user", "tenant", "artifacts")):
        enter(case, f"e_{number}", deadline_at=9e9)
        case.database.client.hdel(f"s2edit:job:e_{number}", name)
    case.store.erasure.erase(ANN, "e_2")
    case.store.erasure.erase_owner(ANN)
    left = {key: case.database.client.type(key) for key in case.database.client.scan_iter("*") if "turn" not in str(key)}
    assert left == {}


def test_a_lost_job_comes_back_above_all_that_was_seen_though_a_clock_is_slow(case: StoreCase) -> None:
    record = enter(case, "e_1", sequence=2)
    lease = take(case)
    seen = case.store.events.progress(lease, Progress("learning", 1, 2)).sequence
    case.database.client.delete("s2edit:job:e_1")
    case.let_pass(1.0)
    slow = replace(record, sequence=seen - 5000)
    assert case.store.records.add(slow).sequence > seen
    assert case.store.events.since(ANN, "e_1", after=seen)[0][-1].state is JobState.QUEUED


def test_an_end_that_is_entered_has_no_place_and_is_sent_and_stays_the_end(case: StoreCase) -> None:
    ended = enter(case, "e_1", state=JobState.SUCCEEDED, sequence=9_000_000_000_000, webhook=True, deadline_at=0.5)
    assert (ended.state, ended.sequence) == (JobState.SUCCEEDED, 9_000_000_000_000)
    assert case.store.outbox.take(lease_s=60, at_once=1) == ("e_1", 1)
    assert enter(case, "e_1", sequence=2, webhook=True, deadline_at=0.5) == ended, "by a process that knows of no end"
    assert (case.store.leases.claim(lease_s=60), case.store.leases.orphans(), case.store.records.overdue()) == (None, [], [])
    assert load(case, ANN) == Load(of_owner=0, of_tenant=0, in_all=0)
    assert case.store.events.since(ANN, "e_1", after=0)[0] == [ended]
    assert case.database.client.ttl("s2edit:job:e_1") > 0


def test_after_a_great_loss_no_call_takes_long(case: StoreCase) -> None:
    for number in range(2 * PAGE):
        enter(case, f"e_{number:04}")
    client = case.database.client
    client.delete(*[f"s2edit:job:e_{number:04}" for number in range(2 * PAGE - 1)])
    assert case.store.leases.claim(lease_s=60) is None
    assert client.zcard("s2edit:line:app/ann") >= PAGE - 1, "one call drops a page"
    for _ in range(4):
        case.let_pass(TEND_MS / 1000)
        case.store.leases.orphans()
    assert take(case).job_id == f"e_{2 * PAGE - 1:04}"
