"""Jobs of test mode stand in a queue of their own."""

from __future__ import annotations

from s2edit_core.request.spec import Progress
from s2edit_jobs.records.record import JobState, Owner, tenant_of_test_mode
from tests.contract.conftest import StoreCase
from tests.contract.job_store.test_job_stores import ANN, LEASE_S, done, record

TEST = Owner(tenant_of_test_mode(ANN.tenant), ANN.user)
OTHER = Owner(tenant_of_test_mode(ANN.tenant), "bob")


def test_neither_line_gives_a_job_to_the_other(case: StoreCase) -> None:
    case.store.records.add(record("e_1", TEST))
    assert case.store.leases.claim(lease_s=60) is None
    case.store.records.add(record("e_2", ANN))
    lease = case.store.leases.claim(lease_s=60, test=True)
    assert lease is not None
    assert (lease.job_id, lease.owner) == ("e_1", TEST)
    assert case.store.leases.claim(lease_s=60, test=True) is None
    live = case.store.leases.claim(lease_s=60)
    assert live is not None
    assert live.job_id == "e_2"


def test_a_tenant_that_is_passed_has_no_turn(case: StoreCase) -> None:
    tenants = [tenant_of_test_mode(name) for name in ("one", "two", "three")]
    for tenant in tenants:
        case.store.records.add(record(f"e_{tenant}", Owner(tenant, "ann")))

    def claimed(*passing: str) -> str | None:
        lease = case.store.leases.claim(lease_s=60, test=True, passing=passing)
        return lease.owner.tenant if lease is not None else None

    assert claimed(*tenants) is None
    assert claimed(*tenants[:2]) == tenants[2]
    assert claimed(tenants[0]) == tenants[1]
    assert claimed(tenants[0]) is None
    assert claimed("test.on") == tenants[0], "a name that begins with another is another"


def test_nobody_rings_for_it_and_a_lost_lease_brings_it_back(case: StoreCase) -> None:
    case.store.records.add(record("e_1", TEST))
    assert case.store.leases.orphans() == []
    first = case.store.leases.claim(lease_s=LEASE_S, test=True)
    case.let_pass(2 * LEASE_S)
    assert case.store.leases.orphans() == []
    second = case.store.leases.claim(lease_s=60, test=True)
    assert first is not None
    assert second is not None
    assert second.attempt == 2
    assert second.fence > first.fence
    assert case.store.events.progress(second, Progress("editing", 1, 5)).step == 1


def test_those_who_learn_the_same_concept_wait_for_each_other(case: StoreCase) -> None:
    for job_id in ("e_1", "e_2"):
        case.store.records.add(record(job_id, TEST))
    first, second = (case.store.leases.claim(lease_s=60, test=True) for _ in range(2))
    assert first is not None
    assert second is not None
    assert case.store.reservations.reserve(first, "t/c_1")
    assert not case.store.reservations.reserve(second, "t/c_1")
    assert case.store.leases.claim(lease_s=60, test=True) is None
    assert case.store.reservations.release(first) == [second.job_id]
    again = case.store.leases.claim(lease_s=60, test=True)
    assert again is not None
    assert again.job_id == second.job_id


def test_estimates_and_bounds_of_live_jobs_know_nothing_of_it(case: StoreCase) -> None:
    for job_id, owner in (("e_1", TEST), ("e_2", TEST), ("e_3", OTHER)):
        case.store.records.add(record(job_id, owner))
    assert case.store.leases.claim(lease_s=60, test=True) is not None
    case.store.records.add(record("e_4", ANN))
    outlook, prospect = case.store.estimates.outlook(ANN, "e_4"), case.store.estimates.prospect(ANN, "balanced")
    assert (outlook.ahead, outlook.running) == (0, 0)
    assert (prospect.ahead, prospect.running) == (1, 0)
    assert case.store.estimates.prospect(OTHER, "balanced").running == 1
    assert case.store.admission.take_slot(ANN, "e_5", of_owner=9, of_tenant=9, in_all=2).in_all == 1
    assert case.store.admission.take_slot(OTHER, "e_6", of_owner=9, of_tenant=9, in_all=9).in_all >= 3


def test_it_is_over_canceled_handed_back_and_erased_like_any_job(case: StoreCase) -> None:
    for job_id in ("e_1", "e_2", "e_3"):
        case.store.records.add(record(job_id, TEST))
    lease = case.store.leases.claim(lease_s=60, test=True)
    assert lease is not None
    case.store.leases.hand_back(lease)
    assert case.store.records.request_cancel(TEST, "e_2").cancel_requested
    assert case.store.records.finish("e_1", TEST, done()).state is JobState.SUCCEEDED
    case.store.erasure.erase(TEST, "e_2")
    left = case.store.leases.claim(lease_s=60, test=True)
    assert left is not None
    assert left.job_id == "e_3"
    case.store.erasure.erase_owner(TEST)
    case.let_pass(LEASE_S)
    assert case.store.leases.claim(lease_s=60, test=True) is None
    assert [key for key in case.database.client.scan_iter("*") if "test." in key or key.endswith(":test")] == []
