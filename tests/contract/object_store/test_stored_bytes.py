"""What tenants store is booked, measured and bounded."""

from __future__ import annotations

from pathlib import Path

import pytest

from s2edit_jobs.records.errors import StorageFull, StoreUnavailable
from s2edit_jobs.stores.job_store import MEASURE_S
from s2edit_jobs.stores.object_store.filesystem_artifacts import FilesystemArtifactStore
from s2edit_jobs.stores.stored_bytes import RETRY_S, Booking, check_stored, measure
from tests.contract.conftest import StoreCase

KEY = "t/app/u/ann/edits/e_1/image.png"
BOUND = 1000


class Kept:
    """A folder whose writes are booked."""

    def __init__(self, case: StoreCase, root: Path) -> None:
        self.case = case
        self.usage = case.store.usage
        self.artifacts = FilesystemArtifactStore(root, "http://testserver", "key")
        self.artifacts.on_put = Booking(self.usage)

    def put(self, key: str, size: int) -> None:
        self.artifacts.put(key, b"x" * size, media_type="image/png")

    def stored(self, tenant: str = "app") -> int:
        return self.usage.stored(tenant, bound=BOUND)


@pytest.fixture
def kept(case: StoreCase, tmp_path: Path) -> Kept:
    return Kept(case, tmp_path / "artifacts")


def test_every_write_counts_for_its_tenant_alone(kept: Kept) -> None:
    kept.put(KEY, 300)
    kept.put("t/app/u/bob/edits/e_2/image.png", 200)
    kept.put("t/other/u/ann/edits/e_3/image.png", 100)
    kept.put("unfinished/e_1", 50)
    assert (kept.stored(), kept.stored("other"), kept.stored("none")) == (500, 100, 0)


def test_a_tenant_at_its_bound_is_refused_and_others_are_not(kept: Kept) -> None:
    kept.put(KEY, BOUND - 1)
    check_stored(kept.usage, "app", bound=BOUND)
    check_stored(kept.usage, "app", bound=BOUND, more=1)
    with pytest.raises(StorageFull):
        check_stored(kept.usage, "app", bound=BOUND, more=2)
    kept.put(KEY.replace("e_1", "e_2"), 1)
    with pytest.raises(StorageFull):
        check_stored(kept.usage, "app", bound=BOUND)
    check_stored(kept.usage, "other", bound=BOUND)
    check_stored(kept.usage, "app", bound=0)


def test_what_was_erased_counts_no_longer_after_the_refusal(kept: Kept) -> None:
    kept.put(KEY, BOUND)
    assert measure(kept.artifacts, kept.usage) == 0, "it is due later"
    kept.artifacts.delete_prefix("t/app/u/ann/")
    with pytest.raises(StorageFull):
        check_stored(kept.usage, "app", bound=BOUND)
    assert measure(kept.artifacts, kept.usage) == 1
    check_stored(kept.usage, "app", bound=BOUND)
    assert kept.stored() == 0


def test_what_is_written_during_a_measurement_is_not_lost(kept: Kept) -> None:
    kept.put(KEY, 300)
    kept.case.let_pass(MEASURE_S + 1)
    begun = kept.usage.take_measurement()
    assert begun is not None
    assert (begun.tenant, begun.booked) == ("app", 300)
    assert kept.usage.take_measurement() is None, "one housekeeper measures a tenant"
    kept.put(KEY.replace("e_1", "e_2"), 70)
    kept.usage.measured(begun, 300)
    assert kept.stored() == 370


def test_a_loss_of_redis_is_measured(kept: Kept) -> None:
    kept.put(KEY, BOUND)
    kept.case.forget()
    assert kept.stored() == 0
    assert measure(kept.artifacts, kept.usage) == 1
    with pytest.raises(StorageFull):
        check_stored(kept.usage, "app", bound=BOUND)


def test_while_redis_is_down_writes_do_not_wait_and_nobody_is_refused(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def down(*_: object, **__: object) -> int:
        asked.append(1)
        raise StoreUnavailable("down")

    now = [0.0]
    kept.artifacts.on_put = Booking(kept.usage, clock=lambda: now[0])
    for name in ("book_stored", "stored"):
        monkeypatch.setattr(kept.usage, name, down)
    for number in range(3):
        kept.put(KEY.replace("e_1", f"e_{number}"), 1)
    assert len(asked) == 1
    now[0] = RETRY_S + 0.1
    kept.put(KEY, 1)
    assert len(asked) == 2
    check_stored(kept.usage, "app", bound=1)
