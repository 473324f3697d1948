"""A request whose edit was erased is answered 410 when it is sent again. Nothing comes back, and no work is done twice."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from s2edit_jobs.library.erasure import Erasure
from s2edit_jobs.library.retention import Retention
from s2edit_jobs.lifecycle import idempotency
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.lifecycle.request_markers import sweep_erased_keys
from s2edit_jobs.records.record import Owner
from s2edit_jobs.stores.artifacts import upload_key
from s2edit_jobs.stores.object_store.filesystem_artifacts import FilesystemArtifactStore
from tests.doubles import FakeEngine
from tests.unit.api import pictures
from tests.unit.api.conftest import OWNER, Api
from tests.unit.api.routes.test_uploads import App
from tests.unit.api.wire.test_bad_input import assert_problem
from worker.attempts.runner import run_job
from worker.engines.painters import TintPainter

KEY = {"Idempotency-Key": "order-17"}
POSTS: dict[str, Callable[..., Any]] = {
    "edit": lambda api, **more: api.edit(headers=KEY, **more),
    "variants": lambda api, **more: api.edit(headers=KEY, variants="2", **more),
    "identity": lambda api, **more: api.identity(headers=KEY, **more),
    "attribute": lambda api, **more: api.attribute(headers=KEY, **more),
    "mask": lambda api, **more: api.post("/masks", headers=KEY, image=pictures.photo(), **more),
}


@pytest.fixture(params=[0.0, 60.0], ids=["long after", "at once"])
def patience(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """How old a marker without a job may be for its request to count as still running."""
    monkeypatch.setattr(idempotency, "IN_FLIGHT_S", request.param)


def assert_gone(answer: Any) -> None:
    problem = assert_problem(answer, 410, "edit_erased")
    assert problem["retryable"] is False
    assert "new Idempotency-Key" in problem["detail"]
    assert "retry-after" not in answer.headers


def kept(api: Api) -> dict[str, bytes]:
    """Return all objects, and what the queue holds."""
    return {**api.artifacts.objects, "queue": repr(list(api.queue.messages)).encode()}


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize("works", [False, True], ids=["queued", "done"])
@pytest.mark.parametrize("kind", POSTS)
def test_an_erased_job_does_not_come_back_by_its_key(api: Api, kind: str, works: bool) -> None:
    post = POSTS[kind]
    job_id = post(api).json()["id"]
    if works:
        api.work()
    api.queue.messages.clear()
    assert api.delete(f"/edits/{job_id}").status_code == 200
    before = kept(api)
    for _ in range(2):
        assert_gone(post(api))
    assert kept(api) == before
    assert_problem(api.get(f"/edits/{job_id}"), 404, "not_found")
    assert api.get("/edits").json()["items"] == []


def test_the_same_for_an_edit_that_was_canceled_or_failed(api: Api) -> None:
    canceled = api.edit(headers=KEY).json()["id"]
    api.client.post(f"/edits/{canceled}/cancel")
    api.delete(f"/edits/{canceled}")
    assert_gone(api.edit(headers=KEY))


def test_a_new_key_and_no_key_begin_anew(api: Api) -> None:
    api.delete(f"/edits/{api.edit(headers=KEY).json()['id']}")
    assert [api.edit(headers=headers).status_code for headers in ({}, {"Idempotency-Key": "order-18"})] == [202, 202]


def test_what_stays_names_neither_key_nor_request(api: Api) -> None:
    job_id = api.edit(headers=KEY).json()["id"]
    (path,) = [key for key in api.artifacts.objects if "/requests/" in key]
    request = json.loads(api.artifacts.get(path))["request"]
    api.delete(f"/edits/{job_id}")
    assert [key for key in api.artifacts.objects if key.startswith("t/")] == [path]
    stays = json.loads(api.artifacts.get(path))
    assert stays.pop("created_at") <= stays.pop("erased_at") <= time.time()
    assert stays == {"job_id": job_id, "request": "", "version": 2}
    assert not any(request.encode() in data for data in api.artifacts.objects.values())
    assert "order-17" not in path


def test_another_request_with_the_key_of_an_erased_one_is_gone_too(api: Api) -> None:
    """Nothing is left of the first request to compare it with."""
    api.delete(f"/edits/{api.edit(headers=KEY).json()['id']}")
    assert_gone(api.edit(headers=KEY, seed="7"))
    assert_gone(api.identity(headers=KEY))


def test_a_wrong_request_is_told_its_fault_first_or_that_it_is_gone(api: Api) -> None:
    api.delete(f"/edits/{api.edit(headers=KEY).json()['id']}")
    assert_problem(api.edit(headers=KEY, preset="none"), 422, "option_invalid", "preset")
    assert_gone(api.edit(headers=KEY, image=b"no picture"))


def test_after_a_restart_of_everything_but_the_object_store(api: Api) -> None:
    api.delete(f"/edits/{api.edit(headers=KEY).json()['id']}")
    api.database.empty()
    with TestClient(create_app(api.services)) as client:
        api.client = client
        assert_gone(api.edit(headers=KEY))


def test_keys_of_other_users_are_untouched(api: Api) -> None:
    others = [api.edit(headers=KEY, user="bob").json()["id"] for _ in range(2)]
    api.delete(f"/edits/{api.edit(headers=KEY).json()['id']}")
    assert api.edit(headers=KEY, user="bob").json()["id"] == others[0] == others[1]


def test_the_key_is_forgotten_when_its_time_is_over(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    erased = api.edit(headers=KEY).json()["id"]
    api.delete(f"/edits/{erased}")
    ttl_s = api.services.settings.idempotency_ttl_s
    Retention(api.services, clock=lambda: time.time() + ttl_s - 60).sweep()
    assert_gone(api.edit(headers=KEY))
    Retention(api.services, clock=lambda: time.time() + ttl_s + 60).sweep()
    again = api.edit(headers=KEY)
    assert (again.status_code, again.json()["id"] == erased) == (202, False)


def test_an_edit_that_has_expired_does_not_come_back_either(api: Api) -> None:
    job_id = api.edit(headers=KEY).json()["id"]
    api.work()
    api.limit(edit_ttl_s=60)
    Retention(api.services, clock=lambda: time.time() + 61).sweep()
    assert_problem(api.get(f"/edits/{job_id}"), 404, "not_found")
    assert_gone(api.edit(headers=KEY))


def test_a_repetition_costs_a_token_nothing(api: Api) -> None:
    """It is answered before anything is counted, so the token's one edit is still there."""
    api.delete(f"/edits/{api.edit(headers=KEY).json()['id']}")
    api.limit(max_unfinished_edits_per_user=1)
    api.edit()
    assert_gone(api.edit(headers=KEY))


class TestContinuedEdits:
    def test_of_an_erased_parent(self, api: Api) -> None:
        """The continued edit has copies, so it stays and its repetition returns it."""
        parent = api.edit().json()["id"]
        api.work(FakeEngine(painter=TintPainter()))
        first = api.edit(headers=KEY, image=None, mask=None, parent=parent).json()["id"]
        api.delete(f"/edits/{parent}")
        assert api.edit(headers=KEY, image=None, mask=None, parent=parent).json()["id"] == first

    def test_an_erased_one_whose_parent_was_erased_too(self, api: Api) -> None:
        parent = api.edit().json()["id"]
        api.work(FakeEngine(painter=TintPainter()))
        first = api.edit(headers=KEY, image=None, mask=None, parent=parent).json()["id"]
        for each in (parent, first):
            api.delete(f"/edits/{each}")
        assert_gone(api.edit(headers=KEY, image=None, mask=None, parent=parent))


@pytest.mark.parametrize("erases", ["edit", "user"])
@pytest.mark.parametrize("expired", [False, True], ids=["", "and the upload has expired"])
def test_an_edit_of_an_upload(api: Api, tmp_path: Path, erases: str, expired: bool) -> None:
    """A repetition would extend the life of its upload. It is told that it was erased, though the upload has gone."""
    app = App(api, FilesystemArtifactStore(tmp_path / "objects", "http://testserver", "a signing key"))
    upload = app.upload(pictures.photo())
    edit = app.edit(image=upload, headers=KEY).json()["id"]
    if erases == "edit":
        assert app.http.delete(f"/edits/{edit}").status_code == 200
    else:
        erasure = Erasure(app.services)
        erasure.complete(erasure.begin(OWNER)[0])
    if expired:
        app.store.delete_prefix(upload_key(OWNER, upload, ""))
    before = {each: app.store.get(each) for each in app.store.list("t/")}
    assert_gone(app.edit(image=upload, headers=KEY))
    assert {each: app.store.get(each) for each in app.store.list("t/")} == before


def test_a_link_from_before_leads_nowhere_and_a_new_edit_has_others(api: Api, tmp_path: Path) -> None:
    app = App(api, FilesystemArtifactStore(tmp_path / "objects", "http://testserver", "a signing key"))
    upload = app.upload(pictures.photo())

    def finished(headers: dict[str, str]) -> Any:
        location = app.edit(image=upload, headers=headers).headers["location"]
        run_job(api.queue.messages.popleft(), app.services, FakeEngine(painter=TintPainter()))
        return app.http.get(location).json()

    edit = finished(KEY)
    links = [edit["result"]["url"], edit["mask"]["url"], edit["report"]["url"]]
    assert [app.http.get(link).status_code for link in links] == [200] * 3
    app.http.delete(f"/edits/{edit['id']}")
    assert_gone(app.edit(image=upload, headers=KEY))
    other = finished({})
    assert other["state"] == "succeeded"
    for link in links:
        assert_problem(app.http.get(link), 404, "not_found")


class TestLearned:
    """What a job has learned is erased by its own id. The job stays, and its repetition returns it and learns nothing."""

    @pytest.mark.parametrize("kind", ["identity", "attribute"])
    def test_a_repetition_learns_nothing_anew(self, api: Api, kind: str) -> None:
        post, path = POSTS[kind], {"identity": "identities", "attribute": "attributes"}[kind]
        answer = post(api)
        learned = api.learned(answer)
        assert api.delete(f"/{path}/{learned}").status_code == 200
        before = kept(api)
        again = post(api)
        assert (again.status_code, again.json()["id"], again.json()["state"]) == (202, answer.json()["id"], "succeeded")
        assert kept(api) == before
        assert_problem(api.get(f"/{path}/{learned}"), 404, "not_found")


class TestUsers:
    """The erasure of a user removes the markers, so their names are kept outside the user's folder, as digests."""

    def test_no_request_from_before_is_repeated_and_new_ones_are_accepted(self, api: Api) -> None:
        api.edit(headers=KEY)
        api.erase_user("default")
        assert_gone(api.edit(headers=KEY))
        assert not list(api.artifacts.list("t/"))
        assert api.edit(headers={"Idempotency-Key": "order-18"}).status_code == 202

    def test_one_that_was_erased_before_its_user(self, api: Api) -> None:
        api.delete(f"/edits/{api.edit(headers=KEY).json()['id']}")
        api.erase_user("default")
        assert_gone(api.edit(headers=KEY))

    def test_while_it_is_under_way(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(idempotency, "IN_FLIGHT_S", 60.0)
        api.edit(headers=KEY)
        erasure = Erasure(api.services)
        begun, _ = erasure.begin(OWNER)
        before = kept(api)
        assert_gone(api.edit(headers=KEY))
        assert_problem(api.edit(headers={"Idempotency-Key": "order-18"}), 409, "being_erased")
        assert kept(api) == before
        erasure.complete(begun)
        assert_gone(api.edit(headers=KEY))
        assert api.edit(headers={"Idempotency-Key": "order-18"}).status_code == 202

    def test_what_stays_names_neither_user_nor_key_and_goes_in_time(self, api: Api) -> None:
        for number in range(3):
            api.edit(headers={"Idempotency-Key": f"order-{number}"}, user="ada")
        api.erase_user("ada")
        (path,) = list(api.artifacts.list("erased/"))
        stays = json.loads(api.artifacts.get(path))
        assert (len(stays["keys"]), "ada" in path) == (3, False)
        assert all(len(each) == 32 and at <= time.time() for each, at in stays["keys"].items())
        assert sweep_erased_keys(api.artifacts, before=time.time() - 60) == 0
        assert_gone(api.edit(headers={"Idempotency-Key": "order-0"}, user="ada"))
        assert sweep_erased_keys(api.artifacts, before=time.time() + 60) == 1
        assert api.edit(headers={"Idempotency-Key": "order-0"}, user="ada").status_code == 202

    def test_two_erasures_remember_the_keys_of_both(self, api: Api) -> None:
        for key in ("one", "two"):
            api.edit(headers={"Idempotency-Key": key})
            api.erase_user("default")
        for key in ("one", "two"):
            assert_gone(api.edit(headers={"Idempotency-Key": key}))

    def test_the_user_of_another_tenant_or_name_is_not_concerned(self, api: Api) -> None:
        api.edit(headers=KEY, user="ada")
        api.erase_user("ada")
        assert api.edit(headers=KEY, user="bob").status_code == 202


def test_whoever_waits_with_the_request_is_told_the_same(api: Api) -> None:
    """The edit is erased while its own request still waits for the result."""
    erased: list[str] = []
    get = api.store.records.get

    def erasing(owner: Owner, job_id: str) -> Any:
        if not erased:
            erased.append(job_id)
            Jobs(api.services).drop(owner, job_id)
        return get(owner, job_id)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api.store.records, "get", erasing)
        assert_gone(api.edit(headers={"Prefer": "wait=5"}))
    assert erased
