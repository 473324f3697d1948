"""The bound on what a tenant stores."""

from __future__ import annotations

from tests.unit.api import pictures
from tests.unit.api.conftest import Api
from tests.unit.api.wire.test_bad_input import assert_problem


def test_a_full_tenant_can_store_nothing_and_still_read_and_erase(api: Api) -> None:
    edit = api.edit().json()["id"]
    api.limit(max_stored_bytes_per_tenant=1000)
    api.store.usage.book_stored("default", 1000)
    kept = api.kept()
    for answer in (api.edit(), api.attribute(), api.identity(), api.post("/masks", image=pictures.photo())):
        assert_problem(answer, 409, "storage_full")
        assert answer.json()["retryable"] is False
    announced = api.client.post("/uploads", json={"media_type": "image/png", "size_bytes": 10})
    assert_problem(announced, 409, "storage_full")
    assert api.kept() == kept
    assert api.get(f"/edits/{edit}").status_code == 200
    assert api.delete(f"/edits/{edit}").status_code == 200


def test_an_upload_counts_from_its_announcement(api: Api) -> None:
    api.limit(max_stored_bytes_per_tenant=1000)
    asked = {"media_type": "image/png", "size_bytes": 700}
    assert api.client.post("/uploads", json=asked).status_code == 201
    assert_problem(api.client.post("/uploads", json=asked), 409, "storage_full")
