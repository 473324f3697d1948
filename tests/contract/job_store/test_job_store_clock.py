"""The time is the Redis server's, unless a clock is given: whatever ends by itself does so there too. Its clock may be set back."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from s2edit_core.request.spec import Progress
from s2edit_jobs.records.errors import LeaseLost
from s2edit_jobs.records.record import TEST_TENANT_PREFIX, DailyUsage, JobState, Outcome, Owner
from s2edit_jobs.stores.job_store import JobStore
from s2edit_jobs.stores.redis_store import admission
from s2edit_jobs.stores.redis_store.lua import LOOK_MS, UNKNOWN_LEASE_MS
from tests.contract.conftest import StoreCase
from tests.contract.job_store.jobs import enter, take
from tests.contract.job_store.test_job_stores import ANN, record
from tests.stores import Database

PACES_S = (0.3, 1.5, 7.5)


@pytest.fixture
def store() -> JobStore:
    return Database().store()


def at_some_pace(check: Callable[[JobStore, float], None]) -> None:
    """Run `check` with an empty store and a short time, on failure with longer ones: a busy machine may let short ones run out."""
    for pace_s in PACES_S:
        try:
            check(Database().store(), pace_s)
        except (AssertionError, LeaseLost):
            if pace_s == PACES_S[-1]:
                raise
        else:
            return


def test_a_lease_runs_out_unless_it_is_renewed() -> None:
    def check(store: JobStore, pace_s: float) -> None:
        store.records.add(record())
        lease = store.leases.claim(lease_s=pace_s * 2)
        assert lease is not None
        for _ in range(3):
            time.sleep(pace_s)
            store.leases.renew(lease)
            assert store.leases.claim(lease_s=60) is None
        time.sleep(pace_s * 2.6)
        again = store.leases.claim(lease_s=60)
        assert again is not None
        assert again.fence > lease.fence
        with pytest.raises(LeaseLost):
            store.events.progress(lease, Progress("learning", 1, 2))

    at_some_pace(check)


def test_a_learner_that_ended_without_a_word_is_noticed(store: JobStore) -> None:
    for job_id in ("e_1", "e_2"):
        store.records.add(record(job_id))
    learner, waiter = store.leases.claim("e_1", lease_s=60), store.leases.claim("e_2", lease_s=60)
    assert learner is not None
    assert waiter is not None
    assert store.reservations.reserve(learner, "t/c_1")
    assert not store.reservations.reserve(waiter, "t/c_1")
    store.records.finish("e_1", ANN, Outcome(JobState.SUCCEEDED, attempt=1, finished_at=2.0))
    assert store.leases.orphans() == []
    time.sleep(LOOK_MS / 1000 * 1.1)
    assert store.leases.orphans() == ["e_2"]


def test_slots_tasks_and_deliveries_are_free_again_after_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def check(store: JobStore, pace_s: float) -> None:
        monkeypatch.setattr(admission, "SLOT_TTL_S", pace_s)
        store.admission.take_slot(ANN, "e_1", of_owner=9, of_tenant=9, in_all=9)
        store.outbox.announce("e_2", "acme")
        assert store.tasks.take_task("sweep", every_s=pace_s)
        assert store.outbox.take(lease_s=pace_s, at_once=9) == ("e_2", 1)
        assert store.admission.take_slot(ANN, "e_9", of_owner=0, of_tenant=0, in_all=0).of_owner == 1
        assert not store.tasks.take_task("sweep", every_s=pace_s)
        assert store.outbox.take(lease_s=pace_s, at_once=9) is None
        time.sleep(pace_s * 1.3)
        assert store.admission.take_slot(ANN, "e_9", of_owner=0, of_tenant=0, in_all=0).of_owner == 0
        assert store.tasks.take_task("sweep", every_s=pace_s)
        assert store.outbox.take(lease_s=pace_s, at_once=9) == ("e_2", 2)

    at_some_pace(check)


def test_fences_and_changes_carry_the_servers_time_and_a_clock_takes_its_place(store: JobStore) -> None:
    def claimed(store: JobStore) -> tuple[float, float]:
        store.records.add(record())
        lease = store.leases.claim(lease_s=60)
        assert lease is not None
        return lease.fence / 1000, store.records.get(ANN, "e_1").updated_at

    assert claimed(store) == pytest.approx((time.time(), time.time()), abs=30)
    driven = Database().store(clock=lambda: 1_800_000_000.25)
    assert claimed(driven) == (1_800_000_000.25, 1_800_000_000.25)


def test_usage_is_booked_on_today(store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.usage.book("acme", DailyUsage(learnings=1))
    assert store.usage.spent("acme") == DailyUsage(learnings=1)
    tomorrow = time.time() + 24 * 3600
    monkeypatch.setattr("s2edit_jobs.stores.redis_store.server.connection.time.time", lambda: tomorrow)
    assert store.usage.spent("acme") == DailyUsage()


HOUR_S, MINUTE_S = 3600, UNKNOWN_LEASE_MS / 1000


class TestTheClockIsSetBack:
    def test_the_job_of_a_dead_worker_is_free_after_a_minute(self, case: StoreCase) -> None:
        enter(case, "e_1")
        take(case, lease_s=6)
        case.let_pass(-HOUR_S)
        assert case.store.leases.orphans() == []
        case.let_pass(MINUTE_S - 1)
        assert case.store.leases.orphans() == []
        case.let_pass(2)
        assert case.store.leases.orphans() == ["e_1"]

    def test_so_is_one_of_test_mode(self, case: StoreCase) -> None:
        enter(case, "e_1", Owner(f"{TEST_TENANT_PREFIX}app", "ann"))
        assert case.store.leases.claim(lease_s=6, test=True) is not None
        case.let_pass(-HOUR_S)
        case.store.leases.orphans()
        case.let_pass(MINUTE_S + 1)
        assert case.store.leases.claim(lease_s=6, test=True) is not None

    def test_a_worker_that_lives_keeps_its_job(self, case: StoreCase) -> None:
        enter(case, "e_1")
        lease = take(case, lease_s=6)
        case.let_pass(-HOUR_S)
        for _ in range(100):
            assert case.store.leases.orphans() == []
            case.store.leases.renew(lease)
            case.let_pass(1.5)

    def test_a_lease_or_delay_of_more_than_a_minute_ends_no_earlier_than_it_should(self, case: StoreCase) -> None:
        for job_id, delay_s in (("e_1", 0), ("e_2", 300)):
            enter(case, job_id)
            lease = take(case, job_id, lease_s=300)
            if delay_s:
                case.store.leases.hand_back(lease, failed=True, delay_s=delay_s)
        for set_back_s in (0, HOUR_S):
            case.let_pass(-set_back_s)
            assert case.store.leases.orphans() == []
            case.let_pass(100)
        case.let_pass(199)
        assert case.store.leases.orphans() == []
        case.let_pass(2)
        assert case.store.leases.orphans() == ["e_1", "e_2"]

    def test_a_job_that_an_earlier_release_has_claimed_is_left_to_it(self, case: StoreCase) -> None:
        """How long its lease is, is not known."""
        enter(case, "e_1")
        take(case, lease_s=600)
        case.database.client.hdel("s2edit:job:e_1", "term_ms")
        case.store.leases.orphans()
        case.let_pass(599)
        assert case.store.leases.orphans() == []
