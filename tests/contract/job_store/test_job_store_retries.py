"""Jobs that are handed back after a failure: what is counted, and how long they wait."""

from __future__ import annotations

import pytest

from s2edit_jobs.records.record import DailyUsage, JobState
from tests.contract.conftest import StoreCase
from tests.contract.job_store.jobs import ANN, BOB, CONCEPT, LOOK_S, end, enter, take

DELAY_S = 5.0


def test_device_faults_are_counted_apart_from_attempts(case: StoreCase) -> None:
    enter(case, "e_1")
    counted = []
    for kind in ({"device_fault": True}, {"failed": True}, {"device_fault": True}, {}):
        lease = take(case)
        counted.append((lease.attempt, lease.device_faults))
        case.store.leases.hand_back(lease, **kind)
    lease = take(case)
    assert [*counted, (lease.attempt, lease.device_faults)] == [(1, 0), (1, 1), (2, 1), (2, 2), (2, 2)]


def test_a_learning_is_booked_once_for_all_attempts(case: StoreCase) -> None:
    enter(case, "e_1")
    booked = []
    for kind in ({}, {"failed": True}, {"device_fault": True}):
        lease = take(case)
        booked.append(lease.learning_booked)
        case.store.usage.book_learning(lease)
        case.store.usage.book_learning(lease)
        case.store.leases.hand_back(lease, **kind)
    case.store.usage.book_learning(lease)
    assert booked == [False, True, True]
    assert case.store.usage.spent(ANN.tenant) == DailyUsage(learnings=1)


def test_whoever_has_lost_a_job_books_no_learning_of_it(case: StoreCase) -> None:
    enter(case, "e_1")
    enter(case, "e_2")
    lease, erased = take(case), take(case)
    case.store.leases.hand_back(lease)
    case.store.erasure.erase(ANN, erased.job_id)
    for lost in (lease, erased):
        case.store.usage.book_learning(lost)
    assert case.store.usage.spent(ANN.tenant) == DailyUsage()
    assert not case.database.client.exists(f"s2edit:job:{erased.job_id}")


def test_a_job_that_waits_is_in_no_queue_and_then_in_its_own_again(case: StoreCase) -> None:
    enter(case, "e_1")
    enter(case, "e_2")
    case.store.leases.hand_back(take(case, "e_1"), failed=True, delay_s=DELAY_S)
    record = case.store.records.get(ANN, "e_1")
    assert (record.state, record.attempt) == (JobState.QUEUED, 1)
    assert take(case).job_id == "e_2", "it delays no other job of its owner"
    enter(case, "e_3", BOB)
    assert take(case).job_id == "e_3"
    case.let_pass(DELAY_S - 0.1)
    assert case.store.leases.orphans() == []
    assert case.store.leases.claim(lease_s=60) is None
    case.let_pass(0.2)
    assert case.store.leases.orphans() == ["e_1"]
    assert take(case).job_id == "e_1"


def test_a_claim_lets_it_in_too_without_a_reaper(case: StoreCase) -> None:
    enter(case, "e_1")
    case.store.leases.hand_back(take(case), device_fault=True, delay_s=DELAY_S)
    assert case.store.leases.claim(lease_s=60) is None
    case.let_pass(DELAY_S + 0.1)
    assert take(case).device_faults == 1


def test_a_job_that_waits_can_be_canceled_ended_and_erased(case: StoreCase) -> None:
    for job_id in ("e_1", "e_2", "e_3"):
        enter(case, job_id)
        case.store.leases.hand_back(take(case, job_id), failed=True, delay_s=DELAY_S)
    lease = take(case, "e_1")
    end(case, lease)
    case.store.erasure.erase(ANN, "e_2")
    assert case.store.records.request_cancel(ANN, "e_3").cancel_requested
    case.let_pass(DELAY_S + 0.1)
    assert case.store.leases.orphans() == ["e_3"]


def test_the_learner_of_a_concept_keeps_its_reservation_while_it_waits(case: StoreCase) -> None:
    enter(case, "e_1")
    enter(case, "e_2", BOB)
    learner, other = take(case, "e_1"), take(case, "e_2")
    assert case.store.reservations.reserve(learner, CONCEPT)
    assert not case.store.reservations.reserve(other, CONCEPT)
    case.store.leases.hand_back(learner, device_fault=True, delay_s=10 * LOOK_S)
    for _ in range(3):
        case.let_pass(LOOK_S * 1.1)
        assert case.store.leases.orphans() == [], "the other one still waits for it"
    case.let_pass(10 * LOOK_S)
    assert case.store.leases.orphans() == ["e_1"]


@pytest.mark.parametrize("kind", [{"failed": True}, {"device_fault": True}], ids=str)
def test_nothing_is_counted_without_the_lease(case: StoreCase, kind: dict[str, bool]) -> None:
    enter(case, "e_1")
    old = take(case, lease_s=1)
    case.let_pass(2)
    new = take(case)
    case.store.leases.hand_back(old, delay_s=DELAY_S, **kind)
    case.store.leases.renew(new)
    case.store.leases.hand_back(new)
    again = take(case)
    assert (again.attempt, again.device_faults) == (2, 0)


def test_a_count_that_is_damaged_or_missing_begins_anew(case: StoreCase) -> None:
    enter(case, "e_1")
    lease = take(case)
    case.database.client.hset("s2edit:job:e_1", "device_faults", "many")
    case.store.leases.hand_back(lease, device_fault=True)
    assert take(case).device_faults == 1
