"""What an estimate costs Redis, and how exact it is, while many users wait."""

from __future__ import annotations

from typing import cast

import pytest

from s2edit_jobs.records.record import Owner
from s2edit_jobs.stores.redis_store.estimates import LOOKS
from tests.contract.conftest import StoreCase
from tests.contract.job_store.jobs import ANN, enter

USERS = 5 * LOOKS
"""More users of a tenant than one estimate looks at."""


def wait(case: StoreCase, jobs: int, *owners: Owner) -> None:
    """Let `jobs` jobs of each owner wait. Only their places are entered: thousands of records would take long."""
    places = case.database.client.pipeline()
    for owner in owners:
        places.zadd(f"s2edit:line:{owner.name}", {f"{owner.name}-{i:03}": 0 for i in range(jobs)})
        places.zadd(f"s2edit:users:{owner.tenant}", {owner.name: 1})
        places.zadd("s2edit:turns", {owner.tenant: 1})
    places.execute()


def crowd(case: StoreCase, tenant: str, users: int, jobs: int = 1) -> None:
    wait(case, jobs, *(Owner(tenant, f"user-{i:04}") for i in range(users)))


def calls(case: StoreCase) -> int:
    """Return the number of commands that Redis has run, those of scripts included."""
    stats = cast("dict[str, dict[str, int]]", case.database.client.info("commandstats"))
    return sum(each["calls"] for each in stats.values())


def ahead(case: StoreCase, owner: Owner = ANN) -> int:
    return case.store.estimates.prospect(owner, "").ahead


def test_of_any_number_of_users_an_estimate_looks_at_some(case: StoreCase) -> None:
    wait(case, 3, ANN)
    crowd(case, ANN.tenant, USERS, jobs=2)
    for i in range(LOOKS + 50):
        crowd(case, f"tenant-{i:03}", 2)
    crowd(case, "large", USERS)
    before = calls(case)
    case.store.estimates.prospect(ANN, "")
    assert calls(case) - before < 8 * LOOKS


@pytest.mark.parametrize("users", [LOOKS, USERS])
def test_whose_first_job_waits_gets_an_exact_number(case: StoreCase, users: int) -> None:
    crowd(case, ANN.tenant, users, jobs=2)
    crowd(case, "small", 3, jobs=2)
    crowd(case, "large", users + 10)
    assert ahead(case) == users + 6 + (users + 1)
    enter(case, "e_1")
    assert case.store.estimates.outlook(ANN, "e_1").ahead == users + 6 + (users + 1)


def test_the_users_beyond_count_like_the_others_on_average(case: StoreCase) -> None:
    wait(case, 2, ANN)
    for i in range(USERS):
        wait(case, 1 + i % 4, Owner(ANN.tenant, f"user-{i:04}"))  # of which 1, 2, 3 and 3 come before Ann's third
    assert ahead(case) == pytest.approx(2 + USERS * (1 + 2 + 3 + 3) / 4, rel=0.02)


def test_a_tenant_counts_for_as_much_as_the_asking_one_at_most(case: StoreCase) -> None:
    wait(case, 4, ANN)
    crowd(case, "large", USERS, jobs=9)
    crowd(case, "medium", 2, jobs=2)
    crowd(case, "small", 1)
    assert ahead(case) == 4 + 5 + 4 + 1


def test_of_any_number_of_tenants_with_the_asking_one_first_each_has_one_job_ahead(case: StoreCase) -> None:
    for i in range(LOOKS + 50):
        crowd(case, f"tenant-{i:03}", 2, jobs=2)
    assert ahead(case) == LOOKS + 50
