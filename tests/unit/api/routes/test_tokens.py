"""Device tokens: limited to one user, a short time and a number of edits."""

from __future__ import annotations

import base64
import json
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import OctKey

from api.guard.auth import Sender
from api.guard.device_tokens import DEVICE_SCOPES, IAT_LEEWAY_S, DeviceTokens
from s2edit_jobs.access.keys import SCOPES, KeyRing
from s2edit_jobs.access.revoked_tokens import CLOCK_SKEW_S, MARKER_TTL_S, end_tokens, sweep_ended
from s2edit_jobs.records.errors import CredentialsInvalid, TokenSpent
from s2edit_jobs.records.record import Owner
from s2edit_jobs.settings import Settings
from tests.stores import MemoryArtifactStore
from tests.unit.api.conftest import Api
from tests.unit.api.guard.test_auth import NOBODYS, bearer, with_auth
from tests.unit.api.wire.test_bad_input import assert_problem

KEY = "k" * 32
ANN = Owner("acme", "ann")


@pytest.fixture
def key(api: Api) -> str:
    """Create an API key; the service requires keys."""
    _, text = KeyRing(api.artifacts).create("acme")
    with_auth(api, "keys")
    return text


def issue(api: Api, key: str, user: str = "ann", **wish: Any) -> dict[str, Any]:
    answer = api.client.post("/tokens", json=wish, headers=bearer(key, user))
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    issued: dict[str, Any] = answer.json()
    return issued


def tokens(now: list[float], *keys: str) -> DeviceTokens:
    return DeviceTokens(MemoryArtifactStore(), list(keys) or [KEY], clock=lambda: now[0])


def one(maker: DeviceTokens, *, expires_in_s: int = 60, edits: int = 1, uploads: int = 0) -> tuple[Any, str]:
    return maker.issue(ANN, scopes=DEVICE_SCOPES, expires_in_s=expires_in_s, edits=edits, uploads=uploads, key_id="")


def test_a_device_edits_as_its_user_until_its_budget_is_spent(api: Api, key: str) -> None:
    issued = issue(api, key, edits=2)
    assert (issued["token_type"], issued["user"], issued["edits"]) == ("Bearer", "ann", 2)
    assert issued["scopes"] == ["edits:read", "edits:write", "identities"]
    device = bearer(issued["token"])
    where = [api.edit(headers=device).headers["location"] for _ in range(2)]
    kept = api.kept()
    assert_problem(api.edit(headers=device), 403, "token_spent")
    assert api.kept() == kept
    for path in where:
        assert api.client.get(path, headers=device).status_code == 200
        assert api.client.get(path, headers=bearer(key, "ann")).status_code == 200


def test_what_is_refused_costs_nothing(api: Api, key: str) -> None:
    device = bearer(issue(api, key)["token"])
    assert api.edit(headers=device, prompt="").status_code == 422
    assert api.edit(headers=device, image=b"no picture").status_code == 422
    assert api.edit(headers=device).status_code == 202


def test_the_same_request_again_costs_nothing(api: Api, key: str) -> None:
    device = {**bearer(issue(api, key)["token"]), "Idempotency-Key": "again"}
    first, second = api.edit(headers=device), api.edit(headers=device)
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json()["id"] == second.json()["id"]


def test_a_budget_outlives_redis(api: Api, key: str) -> None:
    device = bearer(issue(api, key)["token"])
    assert api.edit(headers=device).status_code == 202
    api.database.empty()
    assert_problem(api.edit(headers=device), 403, "token_spent")


def test_of_many_that_take_the_last_edit_at_once_one_gets_it() -> None:
    maker = tokens([1000.0])
    token, _ = one(maker, edits=3)
    begin, got = threading.Barrier(16), []

    def take() -> None:
        begin.wait()
        try:
            maker.spend(token, "edits")
        except TokenSpent:
            return
        got.append(1)

    threads = [threading.Thread(target=take) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 3


def test_edits_and_uploads_are_counted_apart_and_so_are_tokens() -> None:
    maker = tokens([1000.0])
    (first, _), (second, _) = one(maker, uploads=1), one(maker)
    maker.spend(first, "edits")
    maker.spend(first, "uploads")
    maker.spend(second, "edits")
    for token, unit in ((first, "edits"), (first, "uploads"), (second, "uploads")):
        with pytest.raises(TokenSpent):
            maker.spend(token, unit)  # type: ignore[arg-type]


def test_an_erased_user_s_tokens_end_and_new_ones_count(api: Api, key: str) -> None:
    """Their spent units are erased, so a token that stayed valid could spend them again."""
    spent, fresh = (bearer(issue(api, key)["token"]) for _ in range(2))
    others = bearer(issue(api, key, "bob")["token"])
    where = api.edit(headers=spent).headers["location"]
    _, admin = KeyRing(api.artifacts).create("acme", SCOPES)
    assert_problem(api.client.delete("/users/ann", headers=bearer(key, "ann")), 403, "scope_missing")
    assert_problem(api.client.delete("/users/ann", headers=fresh), 403, "scope_missing")
    assert api.client.get(where, headers=spent).status_code == 200
    assert api.client.delete("/users/ann", headers=bearer(admin)).status_code == 200
    assert not list(api.artifacts.list(ANN.prefix))
    for device in (spent, fresh):
        assert_problem(api.edit(headers=device), 401, "credentials_invalid")
        assert_problem(api.client.get("/edits", headers=device), 401, "credentials_invalid")
    assert not list(api.artifacts.list(ANN.prefix))
    assert api.edit(headers=others).status_code == 202
    assert api.edit(headers=bearer(issue(api, key)["token"])).status_code == 202


def test_a_unit_that_is_spent_while_the_tokens_end_leaves_nothing() -> None:
    maker = tokens([1000.0])
    token, _ = one(maker)
    end_tokens(maker._artifacts, ANN, now=1000.0)
    with pytest.raises(CredentialsInvalid):
        maker.spend(token, "edits")
    assert not list(maker._artifacts.list(ANN.prefix))


SKEWS = (-CLOCK_SKEW_S, -1.0, -0.5, -0.001, 0.0, 0.001, 0.5, 1.0, CLOCK_SKEW_S)
"""Seconds by which the clock of a second machine is ahead."""


def machine(artifacts: MemoryArtifactStore, now: float) -> DeviceTokens:
    """Return the tokens of an API machine whose clock shows `now`."""
    return DeviceTokens(artifacts, [KEY], clock=lambda: now)


@pytest.mark.parametrize("fraction", [0.0, 0.25, 0.5, 0.999])
@pytest.mark.parametrize("skew", SKEWS)
def test_a_fresh_token_is_accepted_by_a_machine_whose_clock_differs(skew: float, fraction: float) -> None:
    artifacts = MemoryArtifactStore()
    token, text = one(machine(artifacts, 1000.0 + fraction))
    assert machine(artifacts, 1000.0 + fraction + skew).read(text) == token


def test_a_token_from_far_in_the_future_is_refused_and_the_leeway_does_not_extend_a_token() -> None:
    artifacts = MemoryArtifactStore()
    _, text = one(machine(artifacts, 1000.0), expires_in_s=60)
    assert machine(artifacts, 1059.0).read(text)
    for now in (1000.0 - IAT_LEEWAY_S - 1, 1060.0):
        with pytest.raises(CredentialsInvalid):
            machine(artifacts, now).read(text)


@pytest.mark.parametrize(("issuing", "revoking"), [(a, b) for a in SKEWS for b in SKEWS if abs(a - b) <= CLOCK_SKEW_S])
def test_a_revocation_ends_earlier_tokens_and_no_later_ones_whatever_the_clocks_show(issuing: float, revoking: float) -> None:
    artifacts = MemoryArtifactStore()
    first, second = machine(artifacts, 1000.0 + issuing), machine(artifacts, 1000.0 + revoking)
    before, _ = one(first)
    end_tokens(artifacts, ANN, now=1000.0 + revoking)
    after, text = one(first)
    for reader in (first, second):
        with pytest.raises(CredentialsInvalid):
            reader.check_not_revoked(before)
        assert reader.read(text) == after
        reader.check_not_revoked(after)


def test_the_note_of_ended_tokens_goes_when_none_of_them_can_be_alive() -> None:
    maker = tokens([1000.0])
    end_tokens(maker._artifacts, ANN, now=1000.0)
    ended = 1000.0 + CLOCK_SKEW_S
    assert sweep_ended(maker._artifacts, now=ended + MARKER_TTL_S) == 0
    assert sweep_ended(maker._artifacts, now=ended + 1.0 + MARKER_TTL_S) == 1
    assert list(maker._artifacts.list("")) == []


def test_an_upload_costs_a_token_one_as_it_comes(api: Api, key: str) -> None:
    auth = api.client.app.state.auth  # type: ignore[attr-defined]
    device = auth.identify(Sender(issue(api, key, uploads=1)["token"], None, local=False))
    auth.admit(device, "POST", "/uploads")
    with pytest.raises(TokenSpent):
        auth.admit(device, "POST", "/uploads")
    backend = auth.identify(Sender(key, "ann", local=False))
    for _ in range(3):
        auth.admit(backend, "POST", "/uploads")


def test_a_device_can_t_be_another_user(api: Api, key: str) -> None:
    where = api.edit(headers=bearer(key, "bob")).headers["location"]
    device = issue(api, key)["token"]
    assert_problem(api.client.get(where, headers=bearer(device)), 404, "not_found")
    assert_problem(api.client.get(where, headers=bearer(device, "bob")), 403, "user_foreign")
    assert_problem(api.client.get(where, headers=bearer(device, "default")), 403, "user_foreign")
    assert_problem(api.client.get(NOBODYS, headers=bearer(device, "ann")), 404, "not_found")


def test_a_device_gets_no_further_token(api: Api, key: str) -> None:
    device = issue(api, key)["token"]
    assert_problem(api.client.post("/tokens", json={}, headers=bearer(device)), 403, "scope_missing")


@pytest.mark.parametrize("scope", ["tokens", "admin", "everything"])
def test_no_token_is_issued_for_what_devices_never_may(api: Api, key: str, scope: str) -> None:
    assert api.client.post("/tokens", json={"scopes": [scope]}, headers=bearer(key)).status_code == 422


def test_a_token_is_for_no_more_than_its_key(api: Api) -> None:
    _, narrow = KeyRing(api.artifacts).create("acme", ["tokens", "edits:read"])
    with_auth(api, "keys")
    assert issue(api, narrow)["scopes"] == ["edits:read"]
    refused = api.client.post("/tokens", json={"scopes": ["edits:write"]}, headers=bearer(narrow))
    assert_problem(refused, 422, "scopes_too_wide", "scopes")
    _, issuer = KeyRing(api.artifacts).create("acme", ["tokens"])
    assert_problem(api.client.post("/tokens", json={}, headers=bearer(issuer)), 422, "scopes_too_wide", "scopes")


def test_a_token_dies_with_its_key(api: Api, key: str) -> None:
    device = bearer(issue(api, key)["token"])
    assert_problem(api.client.get(NOBODYS, headers=device), 404, "not_found")
    KeyRing(api.artifacts).revoke(key.split("_")[1])
    another = with_auth(api, "auto")  # a process that remembers no key
    assert_problem(another.client.get(NOBODYS, headers=device), 401, "credentials_invalid")


def test_a_token_of_the_open_service_dies_with_the_openness(api: Api) -> None:
    device = bearer(api.client.post("/tokens", json={}).json()["token"])
    assert_problem(api.client.get(NOBODYS, headers=device), 404, "not_found")
    KeyRing(api.artifacts).create("acme")
    with_auth(api, "auto")
    assert_problem(api.client.get(NOBODYS, headers=device), 401, "credentials_invalid")


def test_a_token_lives_no_longer_than_it_was_asked_for() -> None:
    now = [1000.0]
    maker = tokens(now)
    _, text = one(maker, expires_in_s=60)
    now[0] = 1059.9
    assert maker.read(text).owner == ANN
    now[0] = 1060.0
    with pytest.raises(CredentialsInvalid):
        maker.read(text)


def test_the_service_says_how_long_a_token_may_live(api: Api, key: str) -> None:
    api.limit(token_max_ttl_s=1)
    device = issue(api, key, expires_in_s=3600)
    text = device["token"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    assert claims["exp"] - claims["iat"] == 1


def _changed(text: str, **claims: Any) -> str:
    head, body, signature = text.split(".")
    values = {**json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))), **claims}
    return f"{head}.{base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip('=')}.{signature}"


def _as_token(parts: tuple[bytes, bytes]) -> str:
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (b'{"alg":"HS256","typ":"JWT"}', *parts))


def test_what_was_not_signed_here_is_refused() -> None:
    now = [1000.0]
    maker = tokens(now)
    _, text = one(maker)
    head, body, signature = text.split(".")
    ours = maker.read(text)
    claims = {"iss": "s2edit", "aud": "s2edit", "sub": "ann", "tenant": "acme", "exp": 1060, "jti": ours.id}
    stranger = OctKey.import_key("x" * 32)
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    forged = [
        _changed(text, sub="bob"),
        _changed(text, tenant="umbrella"),
        _changed(text, edits=1000),
        _changed(text, exp=99999999),
        f"{none}.{body}.",
        f"{none}.{body}.{signature}",
        f"{head}.{body}.",
        f"{head}.{body}",
        f"{head}.{body}.{signature[:-2]}",
        jwt.encode({"alg": "HS256"}, claims, stranger),
        jwt.encode({"alg": "HS256", "kid": maker._keys[0].kid}, claims, stranger),
        jwt.encode({"alg": "HS512", "kid": maker._keys[0].kid}, claims, maker._keys[0], algorithms=["HS512"]),
        "",
        "..",
        "a.b.c",
        "\ud800.x.y",
        text * 20,
    ]
    for forgery in forged:
        with pytest.raises(CredentialsInvalid):
            maker.read(forgery)


@given(st.one_of(st.text(), st.text("abcXYZ019-_=.{}"), st.tuples(st.binary(), st.binary()).map(_as_token)))
def test_no_text_is_more_than_refused(text: str) -> None:
    with pytest.raises(CredentialsInvalid):
        tokens([1000.0]).read(text)


@pytest.mark.parametrize("missing", ["iss", "aud", "sub", "exp", "jti", "tenant", "scope", "key", "edits", "uploads"])
def test_a_signed_token_that_lacks_something_is_refused(missing: str) -> None:
    """A key may be shared with another program by mistake."""
    maker = tokens([1000.0])
    _, text = one(maker)
    body = text.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    assert maker.read(jwt.encode({"alg": "HS256", "kid": maker._keys[0].kid}, claims, maker._keys[0])).owner == ANN
    del claims[missing]
    with pytest.raises(CredentialsInvalid):
        maker.read(jwt.encode({"alg": "HS256", "kid": maker._keys[0].kid}, claims, maker._keys[0]))


def test_signing_keys_change_without_a_break() -> None:
    now = [1000.0]
    _, text = one(tokens(now, KEY))
    assert tokens(now, "n" * 32, KEY).read(text).owner == ANN
    with pytest.raises(CredentialsInvalid):
        tokens(now, "n" * 32).read(text)


def test_with_a_bucket_and_no_key_no_token_is_issued(api: Api, key: str) -> None:
    settings = Settings(s3_bucket="somewhere", data_dir=api.services.settings.data_dir / "unused")
    api.client.app.state.auth.tokens = DeviceTokens.from_settings(settings, api.artifacts)  # type: ignore[attr-defined]
    assert_problem(api.client.post("/tokens", json={}, headers=bearer(key)), 403, "tokens_unavailable")
    assert not settings.data_dir.exists()


@pytest.mark.parametrize(
    ("wish", "pointer"),
    [
        ({"edits": -1}, "#/edits"),
        ({"edits": True}, "#/edits"),
        ({"uploads": "3"}, "#/uploads"),
        ({"expires_in_s": 0}, "#/expires_in_s"),
        ({"user": "bob"}, "#/user"),
        ({"scopes": []}, "#/scopes"),
    ],
)
def test_a_wrong_wish_is_named(api: Api, key: str, wish: dict[str, Any], pointer: str) -> None:
    answer = api.client.post("/tokens", json=wish, headers=bearer(key))
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer


def test_a_wish_that_is_no_json_is_told(api: Api, key: str) -> None:
    answer = api.client.post("/tokens", content=b"{", headers={**bearer(key), "Content-Type": "application/json"})
    assert_problem(answer, 422, "body_invalid")
