"""What a device token pays for requests with an Idempotency-Key: once for each key, however many requests come with it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from api.guard.device_tokens import DEVICE_SCOPES, DeviceToken, DeviceTokens
from s2edit_jobs.access.keys import KeyRing
from s2edit_jobs.lifecycle import idempotency
from s2edit_jobs.records.errors import ArtifactsUnavailable, TokenSpent
from s2edit_jobs.records.record import Owner
from tests.stores import MemoryArtifactStore
from tests.unit.api.conftest import Api
from tests.unit.api.guard.test_auth import bearer, with_auth
from tests.unit.api.wire.test_bad_input import assert_problem

ANN = Owner("acme", "ann")


@pytest.fixture
def tokens() -> DeviceTokens:
    return DeviceTokens(MemoryArtifactStore(), ["k" * 32])


def token_for(tokens: DeviceTokens, edits: int) -> DeviceToken:
    token, _ = tokens.issue(ANN, scopes=DEVICE_SCOPES, expires_in_s=60, edits=edits, uploads=0, key_id="")
    return token


def spent(tokens: DeviceTokens, token: DeviceToken) -> int:
    return len(list(tokens._artifacts.list(token.prefix)))


def test_a_key_pays_once_and_other_keys_and_requests_without_one_pay_too(tokens: DeviceTokens) -> None:
    token = token_for(tokens, 10)
    for key in ("one", "two", "one", "", "two", "one", "three", ""):
        tokens.spend(token, "edits", key=key)
    assert spent(tokens, token) == 5


@pytest.mark.parametrize("edits", [1, 2, 20])
def test_of_simultaneous_requests_with_one_key_one_pays(tokens: DeviceTokens, edits: int) -> None:
    token, begin = token_for(tokens, edits), threading.Barrier(16)

    def spend(number: int) -> bool:
        begin.wait()
        try:
            tokens.spend(token, "edits", key=f"key {number % 2}")
        except TokenSpent:
            return False
        return True

    with ThreadPoolExecutor(16) as threads:
        done = list(threads.map(spend, range(16)))
    keys = min(2, edits)
    assert (spent(tokens, token), sum(done)) == (keys, 8 * keys)


def test_a_key_that_has_paid_needs_nothing_more_of_a_spent_budget(tokens: DeviceTokens) -> None:
    token = token_for(tokens, 3)
    for key in ("one", "two", ""):
        tokens.spend(token, "edits", key=key)
    tokens.spend(token, "edits", key="one")
    for key in ("three", ""):
        with pytest.raises(TokenSpent):
            tokens.spend(token, "edits", key=key)


@pytest.fixture
def device(api: Api, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return the headers of a device that may send three edits. A repeated request need not wait for the first one."""
    _, key = KeyRing(api.artifacts).create("acme")
    with_auth(api, "keys")
    monkeypatch.setattr(idempotency, "IN_FLIGHT_S", 0.0)
    issued = api.client.post("/tokens", json={"edits": 3}, headers=bearer(key, "ann")).json()
    return {**bearer(issued["token"]), "Idempotency-Key": "again"}


def units(api: Api) -> int:
    return len([key for key in api.artifacts.list(ANN.prefix) if "/tokens/" in key])


def test_a_request_that_is_repeated_while_its_first_try_is_slow_pays_once(
    api: Api, device: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    repeated: list[httpx.Response] = []
    spend = DeviceTokens.spend

    def slow(self: DeviceTokens, *args: Any, **named: Any) -> None:
        if not repeated:
            monkeypatch.setattr(DeviceTokens, "spend", spend)
            repeated.append(api.edit(headers=device))
        spend(self, *args, **named)

    monkeypatch.setattr(DeviceTokens, "spend", slow)
    first = api.edit(headers=device)
    assert [each.status_code for each in (first, *repeated)] == [202, 202]
    assert first.json()["id"] == repeated[0].json()["id"]
    assert units(api) == 1


def test_a_request_that_has_paid_before_it_failed_pays_no_more(
    api: Api, device: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    put = api.artifacts.put

    def down(key: str, *args: Any, **named: Any) -> None:
        if "/edits/" in key:
            raise ArtifactsUnavailable("down")
        put(key, *args, **named)

    with monkeypatch.context() as patched:
        patched.setattr(api.artifacts, "put", down)
        assert_problem(api.edit(headers=device), 503, "artifacts_unavailable")
    assert api.edit(headers=device).status_code == 202
    assert units(api) == 1
