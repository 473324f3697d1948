"""What the job store promises of jobs among each other: round-robin over owners, slots, and who learns a shared concept."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from s2edit_jobs.records.errors import LeaseLost
from s2edit_jobs.records.record import JobState, Lease, Load, Outcome, Owner
from s2edit_jobs.stores.job_store import PAGE, SLOT_TTL_S
from tests.contract.conftest import StoreCase
from tests.contract.job_store.jobs import ANN, BOB, CONCEPT, EVE, LEASE_S, LOOK_S, REASON, end, enter, load, take, take_slot

ZOE = Owner("other", "zoe")


class TestRoundRobin:
    def test_owners_take_turns_and_the_oldest_job_comes_first(self, case: StoreCase) -> None:
        for job_id in ("e_3", "e_1", "e_2", "e_4"):
            enter(case, job_id)
        enter(case, "e_6", BOB)
        enter(case, "e_5", BOB)
        order = [take(case).job_id for _ in range(6)]
        assert order == ["e_1", "e_5", "e_2", "e_6", "e_3", "e_4"]
        assert case.store.leases.claim(lease_s=60) is None

    def test_a_flood_does_not_hold_up_somebody_who_comes_later(self, case: StoreCase) -> None:
        for i in range(50):
            enter(case, f"e_{i:02}")
        take(case)
        enter(case, "e_98", EVE)
        enter(case, "e_99", BOB)
        assert {take(case).job_id for _ in range(3)} >= {"e_98", "e_99"}

    def test_sixty_users_of_a_tenant_do_not_hold_up_another_tenant(self, case: StoreCase) -> None:
        for i in range(60):
            enter(case, f"e_{i:02}", Owner("app", f"user-{i}"))
        take(case)
        enter(case, "e_98", ZOE)
        enter(case, "e_99", ZOE)
        assert case.store.estimates.outlook(ZOE, "e_99").ahead == 3
        assert case.store.estimates.outlook(Owner("app", "user-59"), "e_59").ahead == 58 + 2
        served = [take(case).owner.tenant for _ in range(4)]
        assert served == ["app", "other", "app", "other"]

    def test_within_a_tenant_its_users_still_take_turns(self, case: StoreCase) -> None:
        for job_id, owner in (("e_1", ANN), ("e_2", ANN), ("e_3", ANN), ("e_4", BOB), ("e_5", ZOE), ("e_6", ZOE)):
            enter(case, job_id, owner)
        assert [take(case).job_id for _ in range(6)] == ["e_1", "e_5", "e_4", "e_6", "e_2", "e_3"]

    def test_users_who_are_passed_have_no_turn(self, case: StoreCase) -> None:
        for i in range(3):
            enter(case, f"e_{i}")
        enter(case, "e_8", Owner("app", "anna"))
        enter(case, "e_9", ZOE)

        def claimed(*passing: Owner) -> str | None:
            lease = case.store.leases.claim(lease_s=60, passing=[each.name for each in passing])
            return lease.job_id if lease is not None else None

        everybody = (ANN, ZOE, Owner("app", "anna"))
        assert claimed(*everybody) is None
        assert [claimed(ANN, ZOE), claimed(ANN, ZOE)] == ["e_8", None], "a name that begins with another is another"
        assert [claimed(ANN), claimed(ANN)] == ["e_9", None]
        enter(case, "e_7", ZOE)
        assert [claimed() for _ in range(4)] == ["e_0", "e_7", "e_1", "e_2"], "they have kept their places"

    def test_a_queue_that_an_earlier_release_filled_is_served(self, case: StoreCase) -> None:
        enter(case, "e_1")
        client = case.database.client
        client.delete("s2edit:turns", "s2edit:users:app")
        client.zadd("s2edit:turns", {"app/ann": 1})
        assert take(case).job_id == "e_1"
        assert case.store.leases.claim(lease_s=60) is None
        assert not client.exists("s2edit:turns")

    def test_jobs_that_lost_their_workers_come_before_all_others_the_longest_lost_first(self, case: StoreCase) -> None:
        for job_id, owner in (("e_1", ANN), ("e_2", BOB), ("e_3", EVE), ("e_4", EVE)):
            enter(case, job_id, owner)
        take(case, "e_1", lease_s=LEASE_S)
        take(case, "e_2", lease_s=LEASE_S * 1.1)
        case.let_pass(LEASE_S * 1.3)
        assert case.store.leases.orphans() == ["e_1", "e_2", "e_3", "e_4"]
        assert [take(case).job_id for _ in range(4)] == ["e_1", "e_2", "e_3", "e_4"]

    def test_a_job_handed_back_and_one_whose_lease_ran_out_stand_in_the_queue_again(self, case: StoreCase) -> None:
        enter(case, "e_1")
        enter(case, "e_2", BOB)
        case.store.leases.hand_back(take(case))
        take(case, "e_2", lease_s=LEASE_S)
        assert take(case).job_id == "e_1"
        assert case.store.leases.claim(lease_s=60) is None
        case.let_pass(LEASE_S * 1.3)
        assert take(case).job_id == "e_2"

    def test_a_lost_lease_is_seen_as_queued_again(self, case: StoreCase) -> None:
        enter(case, "e_1")
        old = take(case, lease_s=LEASE_S)
        case.let_pass(LEASE_S * 1.3)
        assert case.store.leases.orphans() == ["e_1"]
        assert case.store.records.get(ANN, "e_1").state is JobState.QUEUED
        with pytest.raises(LeaseLost):
            case.store.leases.renew(old)

    def test_a_canceled_job_leaves_its_place(self, case: StoreCase) -> None:
        enter(case, "e_1")
        enter(case, "e_2")
        case.store.records.finish("e_1", ANN, Outcome(JobState.CANCELED, attempt=0, finished_at=2.0))
        assert load(case, ANN) == Load(of_owner=1, of_tenant=1, in_all=1)
        assert take(case).job_id == "e_2"

    def test_what_is_not_over_is_counted(self, case: StoreCase) -> None:
        enter(case, "e_1")
        enter(case, "e_2")
        enter(case, "e_3", BOB)
        end(case, take(case, "e_1"))
        take(case, "e_2")
        assert load(case, ANN) == Load(of_owner=1, of_tenant=2, in_all=2)
        assert load(case, EVE) == Load(of_owner=0, of_tenant=2, in_all=2)


class TestSlots:
    def test_a_place_counts_until_its_job_is_entered_and_then_the_job_does(self, case: StoreCase) -> None:
        assert take_slot(case, "e_1") == Load(of_owner=0, of_tenant=0, in_all=0)
        assert load(case, ANN) == Load(of_owner=1, of_tenant=1, in_all=1)
        assert load(case, BOB) == Load(of_owner=0, of_tenant=1, in_all=1)
        enter(case, "e_1")
        assert load(case, ANN) == Load(of_owner=1, of_tenant=1, in_all=1)
        end(case, take(case))
        assert load(case, ANN) == Load(of_owner=0, of_tenant=0, in_all=0)

    def test_nobody_takes_a_place_beyond_a_bound(self, case: StoreCase) -> None:
        for i in range(2):
            take_slot(case, f"e_{i}", of_owner=2)
        assert take_slot(case, "e_2", of_owner=2) == Load(of_owner=2, of_tenant=2, in_all=2)
        assert take_slot(case, "e_3", BOB, in_all=2) == Load(of_owner=0, of_tenant=2, in_all=2)
        assert load(case, BOB) == Load(of_owner=0, of_tenant=2, in_all=2), "neither has taken one"

    def test_the_users_of_a_tenant_together_take_no_place_beyond_its_bound(self, case: StoreCase) -> None:
        for i in range(3):
            take_slot(case, f"e_{i}", Owner("app", f"user-{i}"), of_tenant=3)
        assert take_slot(case, "e_3", BOB, of_tenant=3) == Load(of_owner=0, of_tenant=3, in_all=3)
        assert take_slot(case, "e_4", ZOE, of_tenant=3) == Load(of_owner=0, of_tenant=0, in_all=3)
        case.store.admission.leave_slot(Owner("app", "user-0"), "e_0")
        assert take_slot(case, "e_3", BOB, of_tenant=3) == Load(of_owner=0, of_tenant=2, in_all=3)
        enter(case, "e_3", BOB)
        end(case, take(case))
        assert load(case, EVE).of_tenant == 2

    def test_jobs_whose_records_are_lost_do_not_fill_a_tenants_queue(self, case: StoreCase) -> None:
        enter(case, "e_1")
        case.database.client.delete("s2edit:job:e_1")
        assert take_slot(case, "e_2", BOB, of_tenant=1).of_tenant == 0

    def test_an_erased_owner_leaves_the_tenants_count(self, case: StoreCase) -> None:
        enter(case, "e_1")
        enter(case, "e_2", BOB)
        take_slot(case, "e_3")
        case.database.client.delete("s2edit:job:e_1")
        case.store.erasure.erase_owner(ANN)
        assert load(case, EVE).of_tenant == 1

    def test_a_job_does_not_stand_in_its_own_way(self, case: StoreCase) -> None:
        for _ in range(2):
            assert take_slot(case, "e_1", of_owner=1, in_all=1) == Load(of_owner=0, of_tenant=0, in_all=0)
        enter(case, "e_1")
        assert take_slot(case, "e_1", of_owner=1, in_all=1) == Load(of_owner=0, of_tenant=0, in_all=0)
        enter(case, "e_1")
        assert load(case, ANN) == Load(of_owner=1, of_tenant=1, in_all=1), "the second place is filled too"

    def test_a_place_whose_taker_died_is_free_again(self, case: StoreCase) -> None:
        take_slot(case, "e_1")
        case.let_pass(SLOT_TTL_S * 0.9)
        assert load(case, ANN).of_owner == 1
        case.let_pass(SLOT_TTL_S * 0.2)
        assert load(case, ANN) == Load(of_owner=0, of_tenant=0, in_all=0)

    def test_a_place_that_is_left_is_free(self, case: StoreCase) -> None:
        take_slot(case, "e_1")
        case.store.admission.leave_slot(ANN, "e_1")
        case.store.admission.leave_slot(ANN, "e_1")
        assert load(case, ANN) == Load(of_owner=0, of_tenant=0, in_all=0)
        enter(case, "e_2")
        case.store.admission.leave_slot(ANN, "e_2")
        assert load(case, ANN) == Load(of_owner=1, of_tenant=1, in_all=1), "an entered job is no place"

    def test_a_crowd_at_one_moment_takes_as_many_as_there_are(self, case: StoreCase) -> None:
        with ThreadPoolExecutor(16) as crowd:
            before = list(crowd.map(lambda i: take_slot(case, f"e_{i}", of_owner=10), range(40)))
        assert sorted(one.of_owner for one in before) == [*range(10), *[10] * 30]
        assert load(case, ANN).of_owner == 10


class TestBoundedWork:
    def test_a_look_lists_a_page_however_many_there_are(self, case: StoreCase) -> None:
        for i in range(PAGE + 7):
            enter(case, f"e_{i:04}", deadline_at=2.0 - i / PAGE)
        assert case.store.leases.orphans() == [f"e_{i:04}" for i in range(PAGE)]
        late = case.store.records.overdue()
        assert len(late) == PAGE
        assert late[0].id == f"e_{PAGE + 6:04}", "due longest"
        for record in late:
            case.store.records.finish(record.id, ANN, Outcome(JobState.FAILED, attempt=0, finished_at=2.0))
        assert len(case.store.records.overdue()) == len(case.store.leases.orphans()) == 7

    def test_an_errand_is_one_callers_until_it_is_due_again(self, case: StoreCase) -> None:
        assert [case.store.tasks.take_task("sweep", every_s=LEASE_S) for _ in range(3)] == [True, False, False]
        assert case.store.tasks.take_task("dust", every_s=LEASE_S)
        case.let_pass(LEASE_S * 1.3)
        assert case.store.tasks.take_task("sweep", every_s=LEASE_S)

    def test_it_knows_how_long_ago_a_kind_of_process_was_alive(self, case: StoreCase) -> None:
        tasks = case.store.tasks
        assert tasks.last_alive_s("housekeeper") is None
        tasks.report_alive("housekeeper")
        first = tasks.last_alive_s("housekeeper")
        case.let_pass(LEASE_S)
        second = tasks.last_alive_s("housekeeper")
        tasks.report_alive("housekeeper")
        third = tasks.last_alive_s("housekeeper")
        assert first is not None
        assert second is not None
        assert third is not None
        assert second >= LEASE_S > max(first, third)
        assert tasks.last_alive_s("another") is None


class TestLearningOnce:
    def waiting(self, case: StoreCase, *, lease_s: float = 60) -> tuple[Lease, Lease]:
        """e_1 learns and e_2 waits for it."""
        enter(case, "e_1")
        enter(case, "e_2")
        learner, waiter = take(case, "e_1", lease_s=lease_s), take(case, "e_2")
        assert case.store.reservations.reserve(learner, CONCEPT)
        assert not case.store.reservations.reserve(waiter, CONCEPT)
        return learner, waiter

    def test_one_learns_and_the_other_waits_without_a_lease(self, case: StoreCase) -> None:
        learner, waiter = self.waiting(case)
        record = case.store.records.get(ANN, "e_2")
        assert (record.state, record.attempt, record.waits_for) == (JobState.QUEUED, 0, CONCEPT)
        with pytest.raises(LeaseLost):
            case.store.leases.renew(waiter)
        assert case.store.reservations.reserve(learner, CONCEPT), "safe to repeat"
        assert case.store.leases.claim(lease_s=60) is None
        assert case.store.leases.claim("e_2", lease_s=60) is None
        assert case.store.leases.orphans() == []

    def test_those_who_wait_are_queued_when_it_is_learned(self, case: StoreCase) -> None:
        learner, _ = self.waiting(case)
        assert case.store.reservations.release(learner) == ["e_2"]
        assert case.store.reservations.release(learner) == []
        assert case.store.records.get(ANN, "e_2").waits_for is None
        assert case.store.leases.orphans() == ["e_2"]
        lease = take(case)
        assert (lease.job_id, lease.attempt, lease.learning_failure) == ("e_2", 1, None)
        assert case.store.reservations.reserve(lease, CONCEPT)

    def test_those_who_wait_are_told_why_it_failed(self, case: StoreCase) -> None:
        learner, _ = self.waiting(case)
        end(case, learner, JobState.FAILED)
        assert case.store.reservations.release(learner, REASON) == ["e_2"]
        lease = take(case)
        assert (lease.job_id, lease.learning_failure) == ("e_2", REASON)

    def test_a_learner_that_loses_its_worker_stays_the_learner(self, case: StoreCase) -> None:
        old, _ = self.waiting(case, lease_s=LEASE_S)
        case.let_pass(LEASE_S * 1.3)
        assert case.store.leases.orphans() == ["e_1"]
        new = take(case)
        assert case.store.reservations.reserve(new, CONCEPT)
        with pytest.raises(LeaseLost):
            case.store.reservations.reserve(old, CONCEPT)
        assert case.store.reservations.release(old) == []
        assert case.store.reservations.release(new) == ["e_2"]

    def test_a_learner_that_ended_without_a_word_is_noticed(self, case: StoreCase) -> None:
        learner, _ = self.waiting(case)
        end(case, learner)
        case.let_pass(LOOK_S * 1.1)
        assert case.store.leases.orphans() == ["e_2"]
        assert case.store.reservations.reserve(take(case), CONCEPT)

    @pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.CANCELED])
    def test_a_learner_that_is_over_holds_nothing(self, case: StoreCase, state: JobState) -> None:
        learner, _ = self.waiting(case)
        end(case, learner, state)
        enter(case, "e_3")
        assert case.store.reservations.reserve(take(case, "e_3"), CONCEPT)
        assert case.store.reservations.release(learner) == [], "it is the next one's now"

    def test_an_attempt_that_gives_up_releases_what_an_earlier_one_reserved(self, case: StoreCase) -> None:
        """It never came to learn: the attempts before had killed their workers."""
        self.waiting(case, lease_s=LEASE_S)
        case.let_pass(LEASE_S * 1.3)
        giving_up = take(case)
        assert case.store.reservations.release(giving_up, REASON) == ["e_2"]

    def test_a_waiting_job_is_canceled_at_once_and_is_not_woken(self, case: StoreCase) -> None:
        learner, _ = self.waiting(case)
        case.store.records.finish("e_2", ANN, Outcome(JobState.CANCELED, attempt=0, finished_at=2.0))
        assert case.store.reservations.release(learner) == []
        assert case.store.leases.orphans() == []

    def test_other_concepts_are_no_obstacle(self, case: StoreCase) -> None:
        self.waiting(case)
        enter(case, "e_3", BOB)
        assert case.store.reservations.reserve(take(case, "e_3"), "t/app/u/bob/concepts/c_1")
