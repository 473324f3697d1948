"""`GET /edits/{id}/preview`."""

from __future__ import annotations

import pytest

from s2edit_core.request.spec import Progress
from s2edit_jobs.records.record import JobState, Lease, Outcome
from tests.unit.api.conftest import OWNER, Api

STEP = Progress("editing", 1, 50)
PICTURE = b"RIFF\xff\xfeWEBP"


@pytest.fixture
def lease(api: Api) -> Lease:
    lease = api.store.leases.claim(api.edit().json()["id"], lease_s=600)
    assert lease is not None
    return lease


def test_it_is_served_until_it_changes(api: Api, lease: Lease) -> None:
    path = f"/edits/{lease.job_id}"
    assert api.get(path).json()["preview"] is None
    number = api.store.events.progress(lease, STEP, PICTURE).preview
    assert api.get(path).json()["preview"] == number
    answer = api.get(f"{path}/preview?v={number}")
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, PICTURE, "image/webp")
    tag = answer.headers["etag"]
    assert (tag, answer.headers["cache-control"]) == (f'"{number}"', "private, no-cache")
    for known in (tag, f'"1", W/{tag}', "*"):
        unchanged = api.client.get(f"{path}/preview", headers={"If-None-Match": known})
        assert (unchanged.status_code, unchanged.content, unchanged.headers["etag"]) == (304, b"", tag)
    api.store.events.progress(lease, STEP, b"next")
    changed = api.client.get(f"{path}/preview", headers={"If-None-Match": tag})
    assert (changed.status_code, changed.content) == (200, b"next")


def test_events_show_its_number(api: Api, lease: Lease) -> None:
    number = api.store.events.progress(lease, STEP, PICTURE).preview
    assert api.client.post(f"/edits/{lease.job_id}/cancel").status_code == 202
    api.store.records.finish(lease.job_id, OWNER, Outcome(JobState.CANCELED, attempt=1, finished_at=1.0))
    stream = api.get(f"/edits/{lease.job_id}/events").text
    assert f'"preview":{number}' in stream
    assert stream.rstrip().rpartition('"preview":')[2].startswith("null"), "an edit that is over has its result"


def test_before_the_first_and_after_the_end_a_problem_says_so(api: Api, lease: Lease) -> None:
    path = f"/edits/{lease.job_id}/preview"
    early = api.get(path)
    assert (early.status_code, early.json()["code"]) == (404, "preview_missing")
    assert "whose `preview` says when there is one" in early.json()["detail"]
    api.store.events.progress(lease, STEP, PICTURE)
    api.store.records.finish(lease.job_id, OWNER, Outcome(JobState.SUCCEEDED, attempt=1, finished_at=1.0))
    assert api.get(path).content == PICTURE, "the page shows it until the result has loaded"
    api.database.client.delete(f"s2edit:preview:default/default:{lease.job_id}")
    late = api.get(path)
    assert (late.status_code, late.json()["code"]) == (404, "preview_missing")
    assert "may be over" in late.json()["detail"]


def test_an_erased_edit_has_none(api: Api, lease: Lease) -> None:
    api.store.events.progress(lease, STEP, PICTURE)
    assert api.delete(f"/edits/{lease.job_id}").status_code == 200
    assert api.get(f"/edits/{lease.job_id}/preview").json()["code"] == "not_found"
