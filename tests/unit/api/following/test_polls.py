"""Polls of an unchanged edit, answered from the cache if the route would give the same response."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api import changes
from api.app import create_app
from s2edit_core.request.spec import Progress
from s2edit_jobs.access.keys import CACHE_S, KeyRing
from s2edit_jobs.access.revoked_tokens import end_tokens
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.records.record import JobRecord, Owner
from tests.logged import logging_to_memory
from tests.unit.api.conftest import OWNER, Api
from tests.unit.api.guard.test_auth import bearer
from tests.unit.api.routes.edits.test_edits import claim
from tests.unit.api.wire.test_bad_input import assert_problem
from tests.waiting import until


def poll(api: Api, edit: dict[str, Any], **headers: str) -> Any:
    return api.client.get(f"/edits/{edit['id']}", headers={"If-None-Match": f'"{edit["sequence"]}"', **headers})


def remembered(api: Api, edit: dict[str, Any], **headers: str) -> None:
    """Poll until the record is cached, which needs an established subscription."""
    soon(lambda: poll(api, edit, **headers).status_code == 304 and known(api).cached(edit["id"]) is not None)


def soon(true: Callable[[], bool]) -> None:
    until(true)


def known(api: Api) -> changes.Changes:
    """Return the cache of the process."""
    found: changes.Changes = api.client.app.state.changes  # type: ignore[attr-defined]
    return found


@pytest.fixture
def edit(api: Api) -> dict[str, Any]:
    made: dict[str, Any] = api.edit().json()
    return made


def test_what_was_seen_unchanged_is_not_looked_up_again(api: Api, edit: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    remembered(api, edit)
    first = poll(api, edit)

    def never(*_: Any) -> Any:
        raise AssertionError("looked up")

    monkeypatch.setattr(Jobs, "get", never)
    again = poll(api, edit)
    assert again.status_code == first.status_code == 304
    ours = {"etag", "cache-control", "retry-after"}
    assert {name: again.headers[name] for name in ours} == {name: first.headers[name] for name in ours}
    assert again.headers["x-request-id"] != first.headers["x-request-id"]


def test_a_change_is_seen_at_once(api: Api, edit: dict[str, Any]) -> None:
    remembered(api, edit)
    lease = claim(api, edit["id"])
    soon(lambda: bool(poll(api, edit).status_code == 200))
    now = api.get(f"/edits/{edit['id']}").json()
    remembered(api, now)
    api.store.events.progress(lease, Progress("learning", 1, 3))
    soon(lambda: bool(poll(api, now).status_code == 200))


def test_a_change_that_nobody_tells_of_is_seen_when_the_time_is_up(
    api: Api, edit: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api.store.events, "changes", lambda stop: iter([None]))
    remembered(api, edit)
    claim(api, edit["id"])
    assert poll(api, edit).status_code == 304
    monkeypatch.setattr(known(api), "_clock", lambda: time.monotonic() + changes.RECHECK_S)
    assert poll(api, edit).json()["state"] == "running"


def test_a_change_during_the_look_is_not_overlooked(api: Api, edit: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The job changes after its record was loaded, so that record must not be cached."""
    remembered(api, edit)
    get, heard = Jobs.get, threading.Event()
    wake = known(api)._wake

    def late(jobs: Jobs, owner: Owner, job_id: str) -> JobRecord:
        record = get(jobs, owner, job_id)
        claim(api, job_id)
        assert heard.wait(30)
        return record

    def hearing(job_id: str | None) -> None:
        wake(job_id)
        heard.set()

    monkeypatch.setattr(known(api), "_wake", hearing)
    known(api)._cache.clear()
    monkeypatch.setattr(Jobs, "get", late)
    assert poll(api, edit).status_code == 304, "as it stood when it was looked at"
    monkeypatch.setattr(Jobs, "get", get)
    assert known(api).cached(edit["id"]) is None
    assert poll(api, edit).json()["state"] == "running"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"S2Edit-User": "another"}, 404),
        ({"S2Edit-User": "no user at all, with spaces"}, 422),
        ({"If-None-Match": '"999"'}, 200),
        ({"If-None-Match": "*"}, 304),
        ({"Authorization": "Bearer s2e_0000000000000000_" + "x" * 43}, 401),
        ({"Authorization": "Bearer nonsense"}, 401),
    ],
)
def test_others_are_answered_by_the_route(api: Api, edit: dict[str, Any], headers: dict[str, str], status: int) -> None:
    remembered(api, edit)
    assert poll(api, edit, **headers).status_code == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 304), ({"Host": "rebound.example"}, 421), ({"Origin": "https://elsewhere.example"}, 403)],
)
def test_pages_that_nobody_let_in_stay_out(api: Api, edit: dict[str, Any], headers: dict[str, str], status: int) -> None:
    remembered(api, edit)
    browser = TestClient(api.client.app, base_url="http://127.0.0.1", client=("127.0.0.1", 5000))
    tag = {"If-None-Match": f'"{edit["sequence"]}"'}
    assert browser.get(f"/edits/{edit['id']}", headers={**tag, **headers}).status_code == status


def test_polls_with_a_key_are_counted_and_end_with_it(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    ring = KeyRing(api.artifacts)
    key, text = ring.create("acme")
    api.limit(auth="keys", user_reads_per_minute=100)
    with TestClient(create_app(api.services)) as api.client:
        keys = api.client.app.state.auth._keys  # type: ignore[attr-defined]
        began = time.monotonic()
        monkeypatch.setattr(keys, "_clock", lambda: began)  # a key is believed for as long as this test takes
        edit = api.edit(headers=bearer(text)).json()
        remembered(api, edit, **bearer(text))
        monkeypatch.setattr(Jobs, "get", None)  # nothing is looked up any more
        left = [int(re.findall(r";r=(\d+);", poll(api, edit, **bearer(text)).headers["ratelimit"])[0]) for _ in range(2)]
        assert left[0] - left[1] == 1
        while (answer := poll(api, edit, **bearer(text))).status_code == 304:
            pass
        assert_problem(answer, 429, "rate_exceeded")
        ring.revoke(key.id)
        monkeypatch.setattr(keys, "_clock", lambda: began + CACHE_S)
        assert poll(api, edit, **bearer(text)).status_code == 401


def test_an_erased_edit_is_not_found(api: Api, edit: dict[str, Any]) -> None:
    remembered(api, edit)
    assert api.delete(f"/edits/{edit['id']}").status_code == 200
    soon(lambda: bool(poll(api, edit).status_code == 404))


def test_such_a_poll_leaves_no_line_in_the_log(api: Api, edit: dict[str, Any]) -> None:
    remembered(api, edit)
    with logging_to_memory() as logged:
        assert poll(api, edit).status_code == 304
        api.get(f"/edits/{edit['id']}")
    assert [line["status"] for line in logged.of("request")] == [200]


def test_only_so_many_are_remembered(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "MAX_CACHED", 2)
    edits = [api.edit().json() for _ in range(3)]
    for one in edits:
        remembered(api, one)
    assert [known(api).cached(one["id"]) is not None for one in edits] == [False, True, True]
    assert known(api).cached(edits[2]["id"]).owner == OWNER  # type: ignore[union-attr]


def test_polls_with_a_device_token_ask_neither_redis_nor_the_object_store(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of ten phones belongs to another user, as in life."""
    ring = KeyRing(api.artifacts)
    key, text = ring.create("acme")
    api.limit(auth="keys")
    with TestClient(create_app(api.services)) as api.client:
        auth = api.client.app.state.auth  # type: ignore[attr-defined]
        now = [time.monotonic()]
        for cache in (auth._keys, auth.tokens._ends):
            monkeypatch.setattr(cache, "_clock", lambda: now[0])
        phones = []
        for number in range(10):
            token = api.client.post("/tokens", json={}, headers=bearer(text, f"u{number}")).json()["token"]
            edit = api.edit(headers=bearer(token)).json()
            phones.append((edit, bearer(token)))
        now[0] += CACHE_S
        for edit, headers in phones:
            remembered(api, edit, **headers)
        asked: list[str] = []
        with monkeypatch.context() as counted:
            for name in ("get", "list", "exists"):
                real = getattr(api.artifacts, name)
                counted.setattr(api.artifacts, name, lambda key, *, real=real, **more: asked.append(key) or real(key, **more))
            counted.setattr(Jobs, "get", None)
            for edit, headers in phones:
                assert [poll(api, edit, **headers).status_code for _ in range(5)] == [304] * 5
                assert poll(api, edit, **{**headers, "S2Edit-User": "another"}).status_code == 403
        assert asked == []
        edit, headers = phones[0]
        ring.revoke(key.id)
        now[0] += CACHE_S
        assert poll(api, edit, **headers).status_code == 401


def test_a_revoked_token_writes_nothing_however_recently_it_was_seen(api: Api) -> None:
    _, text = KeyRing(api.artifacts).create("acme")
    api.limit(auth="keys")
    with TestClient(create_app(api.services)) as api.client:
        token = api.client.post("/tokens", json={"edits": 5}, headers=bearer(text, "ann")).json()["token"]
        edit = api.edit(headers=bearer(token)).json()
        assert poll(api, edit, **bearer(token)).status_code == 304
        end_tokens(api.artifacts, Owner("acme", "ann"), now=time.time())  # by another process
        assert_problem(api.edit(headers=bearer(token)), 401, "credentials_invalid")
        assert_problem(api.client.delete(f"/edits/{edit['id']}", headers=bearer(token)), 401, "credentials_invalid")
        until(lambda: poll(api, edit, **bearer(token)).status_code == 401, 3 * CACHE_S)
