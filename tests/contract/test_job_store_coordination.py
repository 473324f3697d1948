"""What the job store promises of jobs among each other: whose turn it is, who learns and who waits, and what was seen when."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from s2edit_core.request.spec import Progress
from s2edit_jobs.records.errors import JobNotFound, LeaseLost
from s2edit_jobs.records.record import Failure, JobRecord, JobState, Lease, Load, Outcome, Owner
from s2edit_jobs.stores.job_store import KEEP_EVENTS, PAGE, SLOT_TTL_S
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


def place(case: StoreCase, job_id: str, owner: Owner = ANN, *, of_owner: int = 1000, in_all: int = 1000) -> Load:
    return case.store.admission.take_slot(owner, job_id, of_owner=of_owner, in_all=in_all)


def load(case: StoreCase, owner: Owner) -> Load:
    """Without taking a place."""
    return place(case, "e_none", owner, of_owner=0)


def end(case: StoreCase, lease: Lease, state: JobState = JobState.SUCCEEDED) -> None:
    case.store.records.finish(lease.job_id, lease.owner, Outcome(state=state, attempt=lease.attempt, finished_at=2.0))


class TestTurns:
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
        assert load(case, ANN) == Load(of_owner=1, in_all=1)
        assert take(case).job_id == "e_2"

    def test_what_is_not_over_is_counted(self, case: StoreCase) -> None:
        enter(case, "e_1")
        enter(case, "e_2")
        enter(case, "e_3", BOB)
        end(case, take(case, "e_1"))
        take(case, "e_2")
        assert load(case, ANN) == Load(of_owner=1, in_all=2)
        assert load(case, EVE) == Load(of_owner=0, in_all=2)


class TestPlaces:
    def test_a_place_counts_until_its_job_is_entered_and_then_the_job_does(self, case: StoreCase) -> None:
        assert place(case, "e_1") == Load(of_owner=0, in_all=0)
        assert load(case, ANN) == Load(of_owner=1, in_all=1)
        assert load(case, BOB) == Load(of_owner=0, in_all=1)
        enter(case, "e_1")
        assert load(case, ANN) == Load(of_owner=1, in_all=1)
        end(case, take(case))
        assert load(case, ANN) == Load(of_owner=0, in_all=0)

    def test_nobody_takes_a_place_beyond_a_bound(self, case: StoreCase) -> None:
        for i in range(2):
            place(case, f"e_{i}", of_owner=2)
        assert place(case, "e_2", of_owner=2) == Load(of_owner=2, in_all=2)
        assert place(case, "e_3", BOB, in_all=2) == Load(of_owner=0, in_all=2)
        assert load(case, BOB) == Load(of_owner=0, in_all=2), "neither has taken one"

    def test_a_job_does_not_stand_in_its_own_way(self, case: StoreCase) -> None:
        for _ in range(2):
            assert place(case, "e_1", of_owner=1, in_all=1) == Load(of_owner=0, in_all=0)
        enter(case, "e_1")
        assert place(case, "e_1", of_owner=1, in_all=1) == Load(of_owner=0, in_all=0)
        enter(case, "e_1")
        assert load(case, ANN) == Load(of_owner=1, in_all=1), "the second place is filled too"

    def test_a_place_whose_taker_died_is_free_again(self, case: StoreCase) -> None:
        place(case, "e_1")
        case.let_pass(SLOT_TTL_S * 0.9)
        assert load(case, ANN).of_owner == 1
        case.let_pass(SLOT_TTL_S * 0.2)
        assert load(case, ANN) == Load(of_owner=0, in_all=0)

    def test_a_place_that_is_left_is_free(self, case: StoreCase) -> None:
        place(case, "e_1")
        case.store.admission.leave_slot(ANN, "e_1")
        case.store.admission.leave_slot(ANN, "e_1")
        assert load(case, ANN) == Load(of_owner=0, in_all=0)
        enter(case, "e_2")
        case.store.admission.leave_slot(ANN, "e_2")
        assert load(case, ANN) == Load(of_owner=1, in_all=1), "an entered job is no place"

    def test_a_crowd_at_one_moment_takes_as_many_as_there_are(self, case: StoreCase) -> None:
        with ThreadPoolExecutor(16) as crowd:
            before = list(crowd.map(lambda i: place(case, f"e_{i}", of_owner=10), range(40)))
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
        assert [case.store.maintenance.take_task("sweep", every_s=LEASE_S) for _ in range(3)] == [True, False, False]
        assert case.store.maintenance.take_task("dust", every_s=LEASE_S)
        case.let_pass(LEASE_S * 1.3)
        assert case.store.maintenance.take_task("sweep", every_s=LEASE_S)


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
        assert (lease.job_id, lease.attempt, lease.verdict) == ("e_2", 1, None)
        assert case.store.reservations.reserve(lease, CONCEPT)

    def test_those_who_wait_are_told_why_it_failed(self, case: StoreCase) -> None:
        learner, _ = self.waiting(case)
        end(case, learner, JobState.FAILED)
        assert case.store.reservations.release(learner, REASON) == ["e_2"]
        lease = take(case)
        assert (lease.job_id, lease.verdict) == ("e_2", REASON)

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


class TestEvents:
    def test_every_change_is_one_event_with_the_next_number(self, case: StoreCase) -> None:
        enter(case, "e_1")
        lease = take(case)
        case.store.events.progress(lease, Progress("learning", 1, 2))
        case.store.records.request_cancel(ANN, "e_1")
        end(case, lease, JobState.CANCELED)
        records, whole = case.store.events.since(ANN, "e_1", after=0)
        assert whole
        assert [record.sequence for record in records] == [1, 2, 3, 4, 5]
        states = [(record.state.value, record.phase, record.step, record.cancel_requested) for record in records]
        assert states == [
            ("queued", None, 0, False),
            ("running", None, 0, False),
            ("running", "learning", 1, False),
            ("running", "learning", 1, True),
            ("canceled", "learning", 1, True),
        ]
        assert records[-1] == case.store.records.get(ANN, "e_1")

    def test_only_what_is_new_is_answered(self, case: StoreCase) -> None:
        enter(case, "e_1")
        take(case)
        records, whole = case.store.events.since(ANN, "e_1", after=1)
        assert ([record.sequence for record in records], whole) == ([2], True)
        assert case.store.events.since(ANN, "e_1", after=2) == ([], True)

    def test_a_gap_is_told(self, case: StoreCase) -> None:
        enter(case, "e_1", sequence=1000)
        assert case.store.events.since(ANN, "e_1", after=5)[1] is False

    def test_old_events_are_dropped_and_that_is_told(self, case: StoreCase) -> None:
        enter(case, "e_1")
        lease = take(case)
        for step in range(KEEP_EVENTS + 300):
            case.store.events.progress(lease, Progress("learning", step, 5000))
        records, whole = case.store.events.since(ANN, "e_1", after=2)
        assert not whole
        assert KEEP_EVENTS <= len(records) < KEEP_EVENTS + 300
        assert records[-1].step == KEEP_EVENTS + 299

    def test_where_no_event_is_kept_the_last_word_is(self, case: StoreCase) -> None:
        enter(case, "e_1")
        end(case, take(case))
        case.database.client.delete("s2edit:events:e_1")
        records, whole = case.store.events.since(ANN, "e_1", after=1)
        assert ([record.state for record in records], whole) == ([JobState.SUCCEEDED], False)
        assert case.store.events.since(ANN, "e_1", after=3) == ([], True)

    def test_events_are_their_owners(self, case: StoreCase) -> None:
        enter(case, "e_1")
        for owner, job_id in ((BOB, "e_1"), (ANN, "e_2")):
            with pytest.raises(JobNotFound):
                case.store.events.since(owner, job_id, after=0)

    def test_a_listener_hears_of_every_job_that_changes(self, case: StoreCase) -> None:
        stop = threading.Event()
        heard = case.store.events.changes(stop)
        assert next(heard) is None, "what came before may have been missed"
        enter(case, "e_1")
        enter(case, "e_2", BOB)
        take(case, "e_1")
        assert [next(heard) for _ in range(3)] == ["e_1", "e_2", "e_1"]
        stop.set()
        assert list(heard) == []


class TestDeliveries:
    def over(self, case: StoreCase, job_id: str = "e_1", *, webhook: bool = True) -> None:
        enter(case, job_id, webhook=webhook)
        end(case, take(case, job_id))

    def test_a_job_that_somebody_is_to_be_told_of_is_due_once_it_is_over(self, case: StoreCase) -> None:
        enter(case, "e_1", webhook=True)
        assert case.store.outbox.take(lease_s=60) is None
        end(case, take(case))
        assert case.store.outbox.take(lease_s=60) == ("e_1", 1)
        assert case.store.outbox.take(lease_s=60) is None

    def test_a_job_that_nobody_is_to_be_told_of_never_is(self, case: StoreCase) -> None:
        self.over(case, webhook=False)
        assert case.store.outbox.take(lease_s=60) is None

    def test_a_delivery_whose_sender_died_is_due_again(self, case: StoreCase) -> None:
        self.over(case)
        assert case.store.outbox.take(lease_s=LEASE_S) == ("e_1", 1)
        case.let_pass(LEASE_S * 1.3)
        assert case.store.outbox.take(lease_s=60) == ("e_1", 2)

    def test_one_that_was_put_off_is_due_later_and_one_that_ended_never(self, case: StoreCase) -> None:
        self.over(case)
        case.store.outbox.take(lease_s=60)
        case.store.outbox.put_off("e_1", LEASE_S)
        assert case.store.outbox.take(lease_s=60) is None
        case.let_pass(LEASE_S * 1.3)
        assert case.store.outbox.take(lease_s=0.01) == ("e_1", 2)
        case.store.outbox.end("e_1")
        case.store.outbox.put_off("e_1", 0.001)
        case.let_pass(0.05)
        assert case.store.outbox.take(lease_s=60) is None

    def test_announcing_again_brings_nothing_forward(self, case: StoreCase) -> None:
        self.over(case)
        case.store.outbox.take(lease_s=60)
        case.store.outbox.announce("e_1")
        assert case.store.outbox.take(lease_s=60) is None
        case.forget()
        case.store.outbox.announce("e_1")
        assert case.store.outbox.take(lease_s=60) == ("e_1", 1)


class TestDeadlinesAndEstimates:
    def test_a_job_past_its_deadline_is_found_until_it_is_over(self, case: StoreCase) -> None:
        enter(case, "e_1", deadline_at=1.0)
        enter(case, "e_2", deadline_at=4e9)
        enter(case, "e_3")
        (late,) = case.store.records.overdue()
        assert (late.id, late.owner, late.deadline_at) == ("e_1", ANN, 1.0)
        end(case, take(case, "e_1"), JobState.FAILED)
        assert case.store.records.overdue() == []

    def test_means_follow_what_is_measured(self, case: StoreCase) -> None:
        enter(case, "e_1", preset="instant")
        assert case.store.estimates.outlook(ANN, "e_1").seconds == {}
        case.store.estimates.measured("instant", {"learning": 10.0, "total": 20.0})
        case.store.estimates.measured("instant", {"total": 30.0})
        case.store.estimates.measured("paper", {"total": 900.0})
        assert case.store.estimates.outlook(ANN, "e_1").seconds == pytest.approx({"learning": 10.0, "total": 22.0})

    def test_who_comes_before_is_counted_by_turns(self, case: StoreCase) -> None:
        for i in range(10):
            enter(case, f"e_{i}")
        enter(case, "e_90", BOB)
        enter(case, "e_91", BOB)
        take(case, "e_0")
        assert (case.store.estimates.outlook(BOB, "e_90").ahead, case.store.estimates.outlook(BOB, "e_91").ahead) == (1, 3)
        assert case.store.estimates.outlook(ANN, "e_9").ahead == 10
        assert case.store.estimates.outlook(ANN, "e_0").ahead == 0
        assert case.store.estimates.outlook(ANN, "e_9").running == 1
        with pytest.raises(JobNotFound):
            case.store.estimates.outlook(BOB, "e_9")

    def test_the_prospect_is_that_of_one_job_more(self, case: StoreCase) -> None:
        assert (case.store.estimates.prospect(ANN, "instant").ahead, case.store.estimates.prospect(ANN, "instant").seconds) == (
            0,
            {},
        )
        for i in range(5):
            enter(case, f"e_{i}", preset="instant")
        enter(case, "e_90", BOB)
        take(case, "e_0")
        case.store.estimates.measured("instant", {"learning": 10.0, "total": 20.0})
        before = {owner: case.store.estimates.prospect(owner, "instant") for owner in (ANN, BOB, EVE)}
        for owner, job_id in ((ANN, "e_95"), (BOB, "e_96"), (EVE, "e_97")):
            assert before[owner] == case.store.estimates.prospect(owner, "instant"), "asking changes nothing"
            enter(case, job_id, owner, preset="instant")
            assert case.store.estimates.outlook(owner, job_id) == before[owner]
            case.store.records.finish(job_id, owner, Outcome(state=JobState.CANCELED, attempt=0, finished_at=2.0))
        assert (before[EVE].ahead, before[ANN].running) == (2, 1)
