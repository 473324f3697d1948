"""Authentication and scopes."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.requests import Request

from api.app import create_app
from api.following.events import _Stream
from api.guard.auth import READ_SCOPES, SCOPES_OF, is_local, scope_of
from s2edit_jobs.access.keys import CACHE_S, LOOKUP_MARGIN_S, SCOPES, CachedKeys, KeyRing, Scope
from s2edit_jobs.bootstrap import NotConfigured
from s2edit_jobs.records.errors import ArtifactsUnavailable
from s2edit_jobs.settings import Settings
from tests.logged import logging_to_memory
from tests.unit.api.conftest import Api
from tests.unit.api.wire.test_bad_input import assert_problem

NOBODYS = f"/edits/e_{'0' * 32}"


def bearer(text: str, user: str | None = None) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}", **({"S2Edit-User": user} if user else {})}


def with_auth(api: Api, mode: str) -> Api:
    """Restart the service with another setting."""
    api.limit(auth=mode)
    api.client = TestClient(create_app(api.services))
    return api


@pytest.fixture
def locked(api: Api, ring: KeyRing) -> tuple[Api, str]:
    _, text = ring.create("acme")
    return with_auth(api, "keys"), text


@pytest.fixture
def auto(api: Api) -> Api:
    """The service as `s2edit up` starts it on a loopback address."""
    return with_auth(api, "auto")


def test_without_any_key_this_machine_may_edit(auto: Api) -> None:
    assert auto.edit().status_code == 202


@pytest.mark.parametrize("mode", ["auto", "open"])
def test_nobody_is_an_administrator_without_a_key(api: Api, mode: str) -> None:
    with_auth(api, mode)
    assert api.edit(user="ann").status_code == 202
    before = api.kept()
    answer = api.delete("/users/ann")
    assert_problem(answer, 401, "credentials_missing")
    assert answer.headers["www-authenticate"] == 'Bearer realm="s2edit"'
    assert api.kept() == before
    assert api.erase_user("ann").status_code == 200


def test_a_device_token_of_an_open_service_makes_no_administrator(auto: Api) -> None:
    token = auto.client.post("/tokens", json={}).json()
    assert_problem(auto.client.delete("/users/default", headers=bearer(token["token"])), 403, "scope_missing")


def test_keys_are_asked_for_by_default(api: Api, ring: KeyRing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("S2EDIT_AUTH")
    assert Settings().auth == "keys"
    ring.create("acme")
    assert_problem(with_auth(api, Settings().auth).client.get(NOBODYS), 401, "credentials_missing")


@pytest.mark.parametrize(
    ("mode", "keys", "is_open"), [("auto", 0, True), ("auto", 1, False), ("open", 1, True), ("keys", 1, False)]
)
def test_the_log_says_when_no_key_is_asked_for(api: Api, ring: KeyRing, mode: str, keys: int, is_open: bool) -> None:
    for _ in range(keys):
        ring.create("acme")
    with logging_to_memory() as logged, with_auth(api, mode).client:
        lines = logged.of("api_open")
    assert [(line["auth"], line["level"]) for line in lines] == [(mode, "warning")] * is_open


@pytest.mark.parametrize("peer", ["192.0.2.7", "2001:db8::7", "::ffff:192.0.2.7"])
def test_without_any_key_other_machines_may_do_nothing(auto: Api, peer: str) -> None:
    remote = TestClient(auto.client.app, client=(peer, 5000))
    assert_problem(remote.get(NOBODYS), 401, "credentials_missing")


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
def test_without_any_key_what_a_proxy_declares_is_refused(auto: Api, header: str) -> None:
    """The connection comes from this machine, where the proxy runs."""
    assert_problem(auto.client.get(NOBODYS, headers={header: "127.0.0.1"}), 401, "credentials_missing")


@pytest.mark.parametrize(
    ("client", "forwarded", "local"),
    [
        ("127.0.0.1", False, True),
        ("127.9.9.9", False, True),
        ("::1", False, True),
        (None, False, True),
        ("testclient", False, True),
        ("10.0.0.1", False, False),
        ("0.0.0.0", False, False),
        ("127.0.0.1", True, False),
        (None, True, False),
    ],
)
def test_what_counts_as_this_machine(client: str | None, forwarded: bool, local: bool) -> None:
    assert is_local(client, forwarded=forwarded) is local


def test_the_first_key_closes_the_door_for_good(auto: Api, ring: KeyRing, monkeypatch: pytest.MonkeyPatch) -> None:
    api = auto
    auth = api.client.app.state.auth  # type: ignore[attr-defined]
    now = [0.0]
    monkeypatch.setattr(auth, "_clock", lambda: now[0])
    assert_problem(api.client.get(NOBODYS), 404, "not_found")
    key, text = ring.create("default")
    now[0] = CACHE_S
    assert_problem(api.client.get(NOBODYS), 401, "credentials_missing")
    assert_problem(api.client.get(NOBODYS, headers=bearer(text)), 404, "not_found")
    ring.revoke(key.id)
    now[0] = 100 * CACHE_S
    assert_problem(api.client.get(NOBODYS), 401, "credentials_missing")


def test_a_key_of_the_open_service_s_tenant_goes_on_with_what_was_made(api: Api, ring: KeyRing) -> None:
    where = api.edit(user="ann").headers["location"]
    _, text = ring.create("default")
    assert api.client.get(where, headers=bearer(text, "ann")).status_code == 200


def test_keys_are_asked_for_and_answered_by_the_standard(locked: tuple[Api, str]) -> None:
    api, _ = locked
    answer = api.client.get(NOBODYS)
    assert_problem(answer, 401, "credentials_missing")
    assert answer.headers["www-authenticate"] == 'Bearer realm="s2edit"'
    answer = api.client.get(NOBODYS, headers=bearer(f"s2e_{'0' * 16}_{'A' * 43}"))
    assert_problem(answer, 401, "credentials_invalid")
    assert answer.headers["www-authenticate"] == 'Bearer realm="s2edit", error="invalid_token"'


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic YTpi", "bearer x", "Bearer x y", "Bearer \xff", "Bearer " + "a." * 5000, "s2e_x"]
)
def test_what_is_no_credential_gets_nobody_in(locked: tuple[Api, str], header: str) -> None:
    api, _ = locked
    answer = api.client.get(NOBODYS, headers={"Authorization": header.encode("latin-1")})  # type: ignore[dict-item]
    assert answer.status_code == 401, answer.text


def test_nothing_that_an_unknown_caller_sends_is_parsed(locked: tuple[Api, str], monkeypatch: pytest.MonkeyPatch) -> None:
    api, text = locked
    parsed: list[int] = []
    form = Request.form
    monkeypatch.setattr(Request, "form", lambda self, **more: parsed.append(1) or form(self, **more))
    kept = api.kept()
    assert_problem(api.edit(), 401, "credentials_missing")
    answer = api.edit(headers=bearer("s2e_wrong"))
    assert_problem(answer, 401, "credentials_invalid")
    assert answer.headers["www-authenticate"] == 'Bearer realm="s2edit", error="invalid_token"'
    assert not parsed
    assert api.kept() == kept
    assert api.edit(headers=bearer(text)).status_code == 202
    assert parsed


def test_tenants_never_meet_and_users_stay_apart(locked: tuple[Api, str], ring: KeyRing) -> None:
    api, text = locked
    _, other = ring.create("umbrella")
    where = api.edit(headers=bearer(text, "ann")).headers["location"]
    assert api.client.get(where, headers=bearer(text, "ann")).status_code == 200
    for stranger in (bearer(text), bearer(text, "bob"), bearer(other, "ann"), bearer(other)):
        assert_problem(api.client.get(where, headers=stranger), 404, "not_found")
    assert all(key.startswith(("t/acme/u/ann/", "keys/", "unfinished/")) for key in api.artifacts.objects)


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/edits/{edit_id}", "edits:read"),
        ("GET", "/edits/{edit_id}/events", "edits:read"),
        ("HEAD", "/edits/{edit_id}", "edits:read"),
        ("POST", "/edits", "edits:write"),
        ("DELETE", "/edits/{edit_id}", "edits:write"),
        ("GET", "/identities/{identity_id}", "identities"),
        ("DELETE", "/users/{user}", "admin"),
        ("GET", "/nowhere", "admin"),
        ("GET", "/", "admin"),
    ],
)
def test_every_request_needs_a_scope(method: str, path: str, scope: Scope) -> None:
    assert scope_of(method, path) == scope


def test_a_key_is_refused_what_it_is_not_for(api: Api, ring: KeyRing) -> None:
    _, reader = ring.create("acme", ["edits:read"])
    with_auth(api, "keys")
    answer = api.edit(headers=bearer(reader))
    assert_problem(answer, 403, "scope_missing")
    assert answer.headers["www-authenticate"] == 'Bearer realm="s2edit", error="insufficient_scope", scope="edits:write"'
    assert_problem(api.client.post("/tokens", json={}, headers=bearer(reader)), 403, "scope_missing")
    assert_problem(api.client.get(f"/identities/c_{'0' * 32}", headers=bearer(reader)), 403, "scope_missing")
    assert_problem(api.client.get(NOBODYS, headers=bearer(reader)), 404, "not_found")
    assert not api.store.leases.orphans()


def test_every_scope_but_the_administrator_s_opens_something() -> None:
    assert {*SCOPES_OF.values(), *READ_SCOPES.values(), "admin"} == SCOPES


def test_a_revoked_key_is_refused_within_seconds(ring: KeyRing) -> None:
    now = [0.0]
    known = CachedKeys(ring, clock=lambda: now[0])
    key, _ = ring.create("acme")
    assert known.find(key.id) == key
    ring.revoke(key.id)
    now[0] = CACHE_S
    ended = known.find(key.id)
    assert ended is not None
    assert ended.ends_at is not None
    assert CACHE_S <= 5


def test_a_key_that_is_used_often_is_looked_up_seldom(ring: KeyRing, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    get = api.artifacts.get
    monkeypatch.setattr(api.artifacts, "get", lambda key: asked.append(key) or get(key))
    known = CachedKeys(ring, clock=lambda: 0.0)
    key, _ = ring.create("acme")
    for _ in range(100):
        known.find(key.id)
        known.find("0" * 16)
    assert len(asked) == 3  # the key, its end, and the one that isn't there


def test_a_key_is_remembered_until_just_before_it_is_looked_up_again(ring: KeyRing) -> None:
    """A caller that checks `remember` first never causes a lookup afterwards."""
    now = [0.0]
    known = CachedKeys(ring, clock=lambda: now[0])
    key, text = ring.create("acme")
    assert not known.is_cached(text)
    known.find(key.id)
    for at, remembered in (
        (0.0, True),
        (CACHE_S - LOOKUP_MARGIN_S - 0.01, True),
        (CACHE_S - LOOKUP_MARGIN_S, False),
        (CACHE_S, False),
    ):
        now[0] = at
        assert known.is_cached(text) is remembered
    assert not known.is_cached("s2e_nonsense")


def test_what_is_remembered_of_keys_is_bounded(monkeypatch: pytest.MonkeyPatch, ring: KeyRing) -> None:
    monkeypatch.setattr("s2edit_jobs.access.keys.MAX_CACHED", 5)
    monkeypatch.setattr("s2edit_jobs.access.keys.MAX_UNKNOWN", 10)
    known = CachedKeys(ring, clock=lambda: 0.0)
    keys = [ring.create("acme") for _ in range(7)]
    for key, _ in keys:
        known.find(key.id)
    for number in range(50):
        known.find(f"{number:016x}")
    assert (len(known._cached), len(known._unknown), len(known._found)) == (5, 10, 5)
    assert known.is_cached(keys[-1][1]), "guesses push out no key"


def test_while_keys_can_t_be_looked_up_nobody_gets_in(locked: tuple[Api, str], monkeypatch: pytest.MonkeyPatch) -> None:
    api, text = locked

    def silent(*_: Any, **__: Any) -> None:
        raise ArtifactsUnavailable("no answer")

    monkeypatch.setattr(api.artifacts, "get", silent)
    monkeypatch.setattr(api.artifacts, "list", silent)
    assert_problem(api.client.get(NOBODYS, headers=bearer(text)), 503, "artifacts_unavailable")
    assert_problem(with_auth(api, "auto").client.get(NOBODYS), 503, "artifacts_unavailable")


def test_the_service_does_not_start_where_keys_are_wanted_and_there_is_none(api: Api, ring: KeyRing) -> None:
    api.limit(auth="keys")
    with pytest.raises(NotConfigured, match="s2edit keys create"):
        create_app(api.services)
    key, _ = ring.create("acme")
    create_app(api.services)
    ring.revoke(key.id)
    with pytest.raises(NotConfigured, match="s2edit keys create"):
        create_app(api.services)


def test_a_start_without_the_object_store_waits_for_it_behind_a_closed_door(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_: Any, **__: Any) -> None:
        raise ArtifactsUnavailable("no answer")

    monkeypatch.setattr(api.artifacts, "list", silent)
    api.limit(auth="keys")
    assert_problem(TestClient(create_app(api.services)).get(NOBODYS), 401, "credentials_missing")


def test_an_open_service_lets_anybody_in_but_not_with_a_wrong_key(api: Api, ring: KeyRing) -> None:
    ring.create("acme")
    with_auth(api, "open")
    remote = TestClient(api.client.app, base_url="http://192.0.2.1", client=("192.0.2.7", 5000))
    assert_problem(remote.get(NOBODYS), 404, "not_found")
    assert_problem(remote.get(NOBODYS, headers=bearer("s2e_wrong")), 401, "credentials_invalid")


def test_only_what_belongs_to_nobody_is_shown_without_a_key(locked: tuple[Api, str]) -> None:
    api, _ = locked
    for path in ("/healthz", "/readyz", "/openapi.json", "/docs", "/"):
        assert api.client.get(path).status_code == 200


def test_no_secret_is_shown_in_an_answer(locked: tuple[Api, str]) -> None:
    api, text = locked
    for path in (NOBODYS, "/nowhere", "/edits?x=1"):
        answer = api.client.get(path, headers=bearer(text))
        assert text.split("_", 2)[2] not in answer.text + str(answer.headers)


def once_streaming(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Call `act` once a stream has sent the first event of an edit. Streams look often whether their caller is still let in."""
    follow = _Stream.follow

    async def followed(self: _Stream, after: int) -> AsyncIterator[bytes]:
        async for chunk in follow(self, after):
            yield chunk
            if chunk.startswith(b"event: edit"):
                act()

    monkeypatch.setattr(_Stream, "follow", followed)
    monkeypatch.setattr("api.following.events.KEEPALIVE_S", 0.02)


def test_a_stream_ends_with_its_key(locked: tuple[Api, str], ring: KeyRing, monkeypatch: pytest.MonkeyPatch) -> None:
    """The edit is still running, so only the revoked key ends the stream."""
    api, text = locked
    where = api.edit(headers=bearer(text)).headers["location"]
    monkeypatch.setattr("s2edit_jobs.access.keys.CACHE_S", 0.2)
    once_streaming(monkeypatch, lambda: ring.revoke(text.split("_")[1]))
    answer = api.client.get(f"{where}/events", headers=bearer(text))
    assert answer.status_code == 200
    assert answer.text.count("event: edit") == 1
    assert api.store.leases.orphans()


def test_a_stream_ends_with_its_token(locked: tuple[Api, str], monkeypatch: pytest.MonkeyPatch) -> None:
    api, text = locked
    where = api.edit(headers=bearer(text, "ann")).headers["location"]
    device = api.client.post("/tokens", json={"expires_in_s": 3600}, headers=bearer(text, "ann")).json()["token"]
    later = SimpleNamespace(time=lambda: time.time() + 3600, monotonic=time.monotonic)
    once_streaming(monkeypatch, lambda: monkeypatch.setattr("api.guard.auth.time", later))
    answer = api.client.get(f"{where}/events", headers=bearer(device))
    assert (answer.status_code, answer.text.count("event: edit")) == (200, 1)
    assert api.store.leases.orphans()


class TestUsers:
    """A request with a key that names no user acts for `default`, and its caller learns that."""

    def test_each_response_names_the_user(self, locked: tuple[Api, str]) -> None:
        api, text = locked
        assert api.client.get("/edits", headers=bearer(text)).headers["s2edit-user"] == "default"
        for answer in (
            api.client.get("/edits", headers=bearer(text, "ann")),
            api.client.get(NOBODYS, headers=bearer(text, "ann")),
            api.edit(headers=bearer(text, "ann")),
            api.post("/edits", headers=bearer(text, "ann")),
        ):
            assert answer.headers["s2edit-user"] == "ann"
        token = api.client.post("/tokens", json={}, headers=bearer(text, "bob")).json()["token"]
        assert api.client.get("/edits", headers=bearer(token)).headers["s2edit-user"] == "bob"
        for path in ("/healthz", "/edits"):
            assert "s2edit-user" not in api.client.get(path).headers

    def test_a_service_may_require_one(self, api: Api, ring: KeyRing) -> None:
        _, text = ring.create("acme")
        api.limit(require_user=True)
        with_auth(api, "keys")
        before = api.kept()
        for answer in (api.client.get("/edits", headers=bearer(text)), api.edit(headers=bearer(text))):
            assert_problem(answer, 403, "user_missing")
        assert api.kept() == before
        assert api.client.get("/edits", headers=bearer(text, "default")).status_code == 200
        token = api.client.post("/tokens", json={}, headers=bearer(text, "bob")).json()["token"]
        assert api.client.get("/edits", headers=bearer(token)).status_code == 200
        assert api.erase_user("ann").status_code == 200
