"""What the job store promises of previews."""

from __future__ import annotations

import pytest

from s2edit_core.request.picture_limits import MAX_PREVIEW_BYTES
from s2edit_core.request.spec import Progress
from s2edit_jobs.records.errors import LeaseLost
from s2edit_jobs.records.record import Lease, Preview
from tests.contract.conftest import StoreCase
from tests.contract.job_store.jobs import ANN, BOB, end, enter, take

KEY = "s2edit:preview:app/ann:e_1"
PICTURE = bytes(range(256))  # no UTF-8
STEP = Progress("editing", 1, 50)


@pytest.fixture
def lease(case: StoreCase) -> Lease:
    enter(case, "e_1")
    return take(case)


def test_the_latest_preview_is_kept_under_the_number_of_its_change(case: StoreCase, lease: Lease) -> None:
    assert case.store.records.get(ANN, "e_1").preview == 0
    assert case.store.events.preview(ANN, "e_1") is None
    shown = case.store.events.progress(lease, STEP, PICTURE)
    assert shown.preview == shown.sequence == 3
    assert case.store.events.preview(ANN, "e_1") == Preview(3, PICTURE)
    assert case.store.events.progress(lease, STEP).preview == 3, "progress alone leaves it"
    assert case.store.events.progress(lease, STEP, b"next").preview == 5
    assert case.store.events.preview(ANN, "e_1") == Preview(5, b"next")
    records, _ = case.store.events.since(ANN, "e_1", after=1)
    assert [record.preview for record in records] == [0, 3, 3, 5]


def test_only_the_latest_attempt_writes_it(case: StoreCase, lease: Lease) -> None:
    case.store.leases.hand_back(lease)
    later = take(case)
    case.store.events.progress(later, STEP, b"later")
    with pytest.raises(LeaseLost):
        case.store.events.progress(lease, STEP, b"stale")
    found = case.store.events.preview(ANN, "e_1")
    assert found is not None
    assert found.picture == b"later"


def test_it_is_its_owners(case: StoreCase, lease: Lease) -> None:
    case.store.events.progress(lease, STEP, PICTURE)
    assert case.store.events.preview(BOB, "e_1") is None


@pytest.mark.parametrize("size", [0, MAX_PREVIEW_BYTES + 1])
def test_its_size_is_bounded(case: StoreCase, lease: Lease, size: int) -> None:
    with pytest.raises(ValueError, match="bytes"):
        case.store.events.progress(lease, STEP, bytes(size))
    assert case.store.records.get(ANN, "e_1").sequence == 2


def test_it_expires_sooner_once_the_job_is_over(case: StoreCase, lease: Lease) -> None:
    case.store.events.progress(lease, STEP, PICTURE)
    assert 500 < case.database.client.ttl(KEY) <= 600
    end(case, lease)
    assert 0 < case.database.client.ttl(KEY) <= 60
    assert case.store.events.preview(ANN, "e_1") is not None


@pytest.mark.parametrize("of_owner", [False, True])
def test_an_erasure_removes_it(case: StoreCase, lease: Lease, of_owner: bool) -> None:
    case.store.events.progress(lease, STEP, PICTURE)
    if of_owner:
        case.database.client.delete("s2edit:job:e_1")  # also of a job that the store has lost
        case.store.erasure.erase_owner(ANN)
    else:
        case.store.erasure.erase(ANN, "e_1")
    assert not case.database.client.exists(KEY)
