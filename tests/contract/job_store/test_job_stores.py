"""What the job store promises."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from s2edit_core.request.spec import Progress
from s2edit_jobs.records.errors import JobNotFound, LeaseLost
from s2edit_jobs.records.record import DailyUsage, Failure, JobRecord, JobState, Outcome, Owner
from tests.contract.conftest import StoreCase

ANN, BOB = Owner("app", "ann"), Owner("app", "bob")
LEASE_S = 0.3


def record(job_id: str = "e_1", owner: Owner = ANN) -> JobRecord:
    return JobRecord(id=job_id, owner=owner, state=JobState.QUEUED, sequence=1, created_at=1.25, updated_at=1.25)


def done(state: JobState = JobState.SUCCEEDED) -> Outcome:
    failure = Failure("prompt_invalid", "Grün — nothing", field="prompt") if state is JobState.FAILED else None
    return Outcome(state=state, attempt=1, finished_at=2.0, artifacts={"result": "t/x"}, identity="c_1", failure=failure)


def test_a_new_job_is_queued_and_known(case: StoreCase) -> None:
    assert case.store.records.add(record()) == record()
    assert case.store.records.get(ANN, "e_1") == record()


def test_adding_a_job_again_changes_nothing(case: StoreCase) -> None:
    case.store.records.add(record())
    case.store.leases.claim("e_1", lease_s=60)
    assert case.store.records.add(replace(record(), sequence=99)).state is JobState.RUNNING


def test_a_job_is_unknown_to_other_owners(case: StoreCase) -> None:
    case.store.records.add(record())
    for owner in (BOB, Owner("other", "ann")):
        with pytest.raises(JobNotFound):
            case.store.records.get(owner, "e_1")
        with pytest.raises(JobNotFound):
            case.store.records.request_cancel(owner, "e_1")
        with pytest.raises(JobNotFound):
            case.store.records.finish("e_1", owner, done())
    assert case.store.records.get(ANN, "e_1") == record()


def test_an_unknown_job_is_not_found_and_not_claimed(case: StoreCase) -> None:
    for call in (case.store.records.get, case.store.records.request_cancel):
        with pytest.raises(JobNotFound):
            call(ANN, "e_1")
    with pytest.raises(JobNotFound):
        case.store.records.finish("e_1", ANN, done())
    assert case.store.leases.claim("e_1", lease_s=60) is None
    assert case.store.leases.orphans() == []


def test_a_claimed_job_runs_and_is_nobody_elses(case: StoreCase) -> None:
    case.store.records.add(record())
    lease = case.store.leases.claim("e_1", lease_s=60)
    assert lease is not None
    assert (lease.job_id, lease.owner, lease.attempt, lease.lease_s) == ("e_1", ANN, 1, 60)
    standing = case.store.records.get(ANN, "e_1")
    assert (standing.state, standing.attempt, standing.sequence) == (JobState.RUNNING, 1, 2)
    assert case.store.leases.claim("e_1", lease_s=60) is None


def test_of_racing_workers_exactly_one_claims(case: StoreCase) -> None:
    case.store.records.add(record())
    with ThreadPoolExecutor(8) as pool:
        leases = list(pool.map(lambda _: case.store.leases.claim("e_1", lease_s=60), range(16)))
    assert sum(lease is not None for lease in leases) == 1


def test_a_lease_that_ran_out_can_be_taken_and_its_holder_is_told(case: StoreCase) -> None:
    case.store.records.add(record())
    old = case.store.leases.claim("e_1", lease_s=LEASE_S)
    case.let_pass(LEASE_S * 1.2)
    new = case.store.leases.claim("e_1", lease_s=60)
    assert old is not None
    assert new is not None
    assert new.fence > old.fence
    assert new.attempt == 2
    with pytest.raises(LeaseLost):
        case.store.leases.renew(old)
    with pytest.raises(LeaseLost):
        case.store.events.progress(old, Progress("learning", 1, 2))
    before = case.store.records.get(ANN, "e_1")
    case.store.leases.hand_back(old)
    assert case.store.records.get(ANN, "e_1") == before
    case.store.leases.renew(new)


def test_a_renewed_lease_does_not_run_out(case: StoreCase) -> None:
    case.store.records.add(record())
    lease = case.store.leases.claim("e_1", lease_s=LEASE_S * 2)
    assert lease is not None
    for _ in range(3):
        case.let_pass(LEASE_S)
        case.store.leases.renew(lease)
    assert case.store.leases.claim("e_1", lease_s=60) is None


def test_a_holder_that_comes_back_before_anybody_else_keeps_the_lease(case: StoreCase) -> None:
    case.store.records.add(record())
    lease = case.store.leases.claim("e_1", lease_s=LEASE_S)
    assert lease is not None
    case.let_pass(LEASE_S * 1.2)
    assert case.store.leases.renew(lease).state is JobState.RUNNING
    assert case.store.leases.claim("e_1", lease_s=60) is None


def test_progress_is_shown_and_counted(case: StoreCase) -> None:
    case.store.records.add(record())
    lease = case.store.leases.claim("e_1", lease_s=60)
    assert lease is not None
    case.store.events.progress(lease, Progress("inverting", 7, 50))
    standing = case.store.records.get(ANN, "e_1")
    assert (standing.phase, standing.step, standing.total, standing.sequence) == ("inverting", 7, 50, 3)
    assert standing.updated_at > record().updated_at


@pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELED])
def test_the_first_outcome_stands(case: StoreCase, state: JobState) -> None:
    case.store.records.add(record())
    lease = case.store.leases.claim("e_1", lease_s=60)
    assert lease is not None
    ended = case.store.records.finish("e_1", ANN, done(state))
    assert ended.state is state
    assert ended.artifacts == {"result": "t/x"}
    assert ended.identity == "c_1"
    assert ended.failure == done(state).failure
    assert case.store.records.finish("e_1", ANN, done(JobState.CANCELED)) == ended
    assert case.store.records.get(ANN, "e_1") == ended


def test_a_job_that_is_over_is_left_alone(case: StoreCase) -> None:
    case.store.records.add(record())
    lease = case.store.leases.claim("e_1", lease_s=60)
    assert lease is not None
    ended = case.store.records.finish("e_1", ANN, done())
    with pytest.raises(LeaseLost):
        case.store.leases.renew(lease)
    with pytest.raises(LeaseLost):
        case.store.events.progress(lease, Progress("editing", 1, 2))
    case.store.leases.hand_back(lease)
    assert case.store.records.request_cancel(ANN, "e_1") == ended
    assert case.store.leases.claim("e_1", lease_s=60) is None
    assert case.store.leases.orphans() == []
    assert case.store.records.get(ANN, "e_1") == ended


def test_a_queued_job_can_be_finished(case: StoreCase) -> None:
    case.store.records.add(record())
    assert case.store.records.finish("e_1", ANN, done(JobState.CANCELED)).state is JobState.CANCELED
    assert case.store.leases.claim("e_1", lease_s=60) is None


def test_a_wish_to_cancel_is_a_flag_that_the_holder_sees(case: StoreCase) -> None:
    case.store.records.add(record())
    lease = case.store.leases.claim("e_1", lease_s=60)
    assert lease is not None
    assert not case.store.leases.renew(lease).cancel_requested
    requested = case.store.records.request_cancel(ANN, "e_1")
    assert requested.cancel_requested
    assert requested.state is JobState.RUNNING
    assert requested.sequence == 3
    assert case.store.records.request_cancel(ANN, "e_1") == requested
    assert case.store.leases.renew(lease).cancel_requested


@pytest.mark.parametrize(("failed", "next_attempt"), [(False, 1), (True, 2)])
def test_a_job_handed_back_is_free_at_once_and_only_a_failed_attempt_counts(
    case: StoreCase, failed: bool, next_attempt: int
) -> None:
    case.store.records.add(record())
    first = case.store.leases.claim("e_1", lease_s=60)
    assert first is not None
    case.store.events.progress(first, Progress("editing", 3, 9))
    case.store.leases.hand_back(first, failed=failed)
    standing = case.store.records.get(ANN, "e_1")
    assert (standing.state, standing.phase, standing.step, standing.total) == (JobState.QUEUED, None, 0, 0)
    with pytest.raises(LeaseLost):
        case.store.leases.renew(first)
    second = case.store.leases.claim("e_1", lease_s=60)
    assert second is not None
    assert second.attempt == next_attempt
    assert second.fence > first.fence


def test_a_job_handed_back_with_a_delay_holds_up_nobody_and_comes_again(case: StoreCase) -> None:
    for job_id in ("e_1", "e_2"):
        case.store.records.add(record(job_id))
    first = case.store.leases.claim(lease_s=60)
    assert first is not None
    case.store.leases.hand_back(first, delay_s=10)
    assert (case.store.records.get(ANN, "e_1").state, case.store.leases.orphans()) == (JobState.QUEUED, ["e_2"])
    second = case.store.leases.claim(lease_s=60)
    assert second is not None
    assert second.job_id == "e_2"
    case.let_pass(9.9)
    assert (case.store.leases.claim(lease_s=60), case.store.leases.orphans()) == (None, [])
    case.let_pass(0.2)
    assert case.store.leases.orphans() == ["e_1"]
    again = case.store.leases.claim(lease_s=60)
    assert again is not None
    assert (again.job_id, again.attempt) == ("e_1", 1)


def test_a_job_that_waits_is_canceled_and_erased_as_any_other(case: StoreCase) -> None:
    for job_id in ("e_1", "e_2"):
        case.store.records.add(record(job_id))
        lease = case.store.leases.claim(job_id, lease_s=60)
        assert lease is not None
        case.store.leases.hand_back(lease, delay_s=10)
    case.store.records.finish("e_1", ANN, done(JobState.CANCELED))
    case.store.erasure.erase(ANN, "e_2")
    case.let_pass(60)
    assert (case.store.leases.claim(lease_s=60), case.store.leases.orphans()) == (None, [])


def test_a_webhook_that_is_put_off_uncounted_begins_the_same_try_again(case: StoreCase) -> None:
    case.store.outbox.announce("e_1", "acme")
    assert case.store.outbox.take(lease_s=60, at_once=9) == ("e_1", 1)
    case.store.outbox.put_off("e_1", 5, counted=False)
    assert case.store.outbox.take(lease_s=60, at_once=9) is None
    case.let_pass(6)
    assert case.store.outbox.take(lease_s=60, at_once=9) == ("e_1", 1)


def test_orphans_are_the_queued_and_the_abandoned_oldest_first(case: StoreCase) -> None:
    for job_id in ("e_4", "e_2", "e_3", "e_1", "e_5"):
        case.store.records.add(record(job_id))
    case.store.leases.claim("e_2", lease_s=60)
    case.store.leases.claim("e_3", lease_s=LEASE_S)
    case.store.records.finish("e_5", ANN, done())
    assert case.store.leases.orphans() == ["e_1", "e_4"]
    case.let_pass(LEASE_S * 1.2)
    assert case.store.leases.orphans() == ["e_1", "e_3", "e_4"]


def test_a_new_store_says_so_until_it_was_restored(case: StoreCase) -> None:
    life = case.store.recovery.lost()
    assert life is not None
    assert case.store.recovery.lost() == life
    case.store.recovery.restored(life)
    assert case.store.recovery.lost() is None


def test_a_store_emptied_while_it_is_restored_says_so_again(case: StoreCase) -> None:
    life = case.store.recovery.lost()
    assert life is not None
    case.forget()
    case.store.recovery.restored(life)
    assert case.store.recovery.lost() not in (None, life)


def test_a_fence_from_before_a_loss_is_not_valid_after_it(case: StoreCase) -> None:
    case.store.records.add(record())
    old = case.store.leases.claim("e_1", lease_s=60)
    assert old is not None
    case.let_pass(0.01)
    case.forget()
    with pytest.raises(LeaseLost):
        case.store.leases.renew(old)
    case.store.records.add(record())
    new = case.store.leases.claim("e_1", lease_s=60)
    assert new is not None
    assert new.fence > old.fence
    with pytest.raises(LeaseLost):
        case.store.leases.renew(old)


def test_what_a_job_makes_and_came_from_stays_with_it(case: StoreCase) -> None:
    made = replace(record(), kind="attribute", parent="e_0", identity="c_1")
    assert case.store.records.add(made) == made
    assert case.store.records.get(ANN, "e_1") == made
    assert case.store.events.since(ANN, "e_1", after=0)[0] == [made]


def test_what_a_tenant_used_today_adds_up_and_is_its_own(case: StoreCase) -> None:
    assert case.store.usage.spent("acme") == DailyUsage()
    case.store.usage.book("acme", DailyUsage(learnings=1, worker_s=1.5))
    case.store.usage.book("acme", DailyUsage(worker_s=0.25))
    assert case.store.usage.spent("acme") == DailyUsage(learnings=1, worker_s=1.75)
    assert case.store.usage.spent("umbrella") == DailyUsage()
    case.forget()
    assert case.store.usage.spent("acme") == DailyUsage()


def test_bookings_at_the_same_moment_all_count(case: StoreCase) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: case.store.usage.book("acme", DailyUsage(1, 0.5)), range(40)))
    assert case.store.usage.spent("acme") == DailyUsage(40, 20.0)


def test_a_new_day_begins_with_nothing(case: StoreCase) -> None:
    case.store.usage.book("acme", DailyUsage(learnings=1))
    case.let_pass(24 * 3600)
    assert case.store.usage.spent("acme") == DailyUsage()


def test_refusals_are_counted_by_field_until_the_store_is_lost(case: StoreCase) -> None:
    assert case.store.usage.refusals() == {}
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: case.store.usage.count_refusal("result"), range(20)))
    case.store.usage.count_refusal("prompt")
    assert case.store.usage.refusals() == {"result": 20, "prompt": 1}
    case.forget()
    assert case.store.usage.refusals() == {}
