"""Failed credentials are limited by address."""

from __future__ import annotations

import time
from typing import Any

import pytest

from api.guard.failed_credentials import FailedCredentials
from s2edit_jobs.access.keys import KeyRing
from s2edit_jobs.records.errors import RateExceeded
from tests.unit.api.conftest import Api
from tests.unit.api.guard.test_auth import bearer, with_auth
from tests.unit.api.routes.test_tokens import issue
from tests.unit.api.wire.test_bad_input import assert_problem


class TestGuesses:
    @pytest.fixture
    def guarded(self, api: Api) -> tuple[Api, str]:
        _, text = KeyRing(api.artifacts).create("acme")
        api.limit(failed_credentials_per_minute=5)
        return with_auth(api, "keys"), text

    def guess(self, api: Api, number: int) -> Any:
        return api.client.get("/edits", headers=bearer(f"s2e_{number:016x}_{'A' * 43}"))

    def test_after_some_failures_unknown_keys_cost_no_look_up(
        self, guarded: tuple[Api, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        api, text = guarded
        assert api.client.get("/edits", headers=bearer(text)).status_code == 200
        assert [self.guess(api, number).status_code for number in range(6)] == [401] * 5 + [429]
        asked: list[str] = []
        get = api.artifacts.get
        monkeypatch.setattr(api.artifacts, "get", lambda key: asked.append(key) or get(key))
        refused = self.guess(api, 7)
        assert_problem(refused, 429, "rate_exceeded")
        assert 0 < int(refused.headers["retry-after"]) <= 61
        assert not any(f"{7:016x}" in key for key in asked)

    @pytest.mark.parametrize(
        "text", ["nonsense", "s2e_short", "s2e_live_key", "a.b.c", f"s2e_{1:016x}_{'A' * 43}"], ids=lambda text: text[:12]
    )
    def test_every_kind_of_invalid_credentials_is_limited(self, guarded: tuple[Api, str], text: str) -> None:
        api, key = guarded
        device = issue(api, key)["token"]
        answers = [api.client.get("/edits", headers=bearer(text)) for _ in range(7)]
        assert [answer.status_code for answer in answers] == [401] * 5 + [429] * 2
        assert int(answers[-1].headers["retry-after"]) <= 61
        assert api.client.get("/edits", headers=bearer(device)).status_code == 200, "a valid token is let through"
        altered = api.client.get("/edits", headers=bearer(f"{device[:-2]}xx"))
        assert_problem(altered, 429, "rate_exceeded")

    def test_tokens_that_have_expired_are_no_guesses(self, guarded: tuple[Api, str], monkeypatch: pytest.MonkeyPatch) -> None:
        """Many phones may share an address, and each has to learn that its token has expired."""
        api, key = guarded
        tokens = [issue(api, key)["token"] for _ in range(2)]
        monkeypatch.setattr(api.client.app.state.auth.tokens, "_clock", lambda: time.time() + 3600)  # type: ignore[attr-defined]
        for number in range(8):
            expired = api.client.get("/edits", headers=bearer(tokens[number % 2]))
            assert_problem(expired, 401, "credentials_invalid")
        forged = [api.client.get("/edits", headers=bearer(f"{tokens[0][:-2]}xx")).status_code for _ in range(6)]
        assert forged == [401] * 5 + [429]

    def test_a_known_key_from_the_same_address_is_let_through(
        self, guarded: tuple[Api, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        api, text = guarded
        assert api.client.get("/edits", headers=bearer(text)).status_code == 200
        for number in range(9):
            self.guess(api, number)
        monkeypatch.setattr("s2edit_jobs.access.keys.CACHE_S", 0.0)
        assert api.client.get("/edits", headers=bearer(text)).status_code == 200
        assert_problem(api.edit(headers=bearer(f"s2e_{99:016x}_{'A' * 43}")), 429, "rate_exceeded")
        assert api.edit(headers=bearer(text)).status_code == 202

    def test_failures_count_by_address_and_minute(self) -> None:
        now = [0.0]
        guesses = FailedCredentials(2, clock=lambda: now[0])
        for address in ("192.0.2.1", "192.0.2.1", "2001:db8::1", "2001:db8::2", "::ffff:192.0.2.9"):
            guesses.count(address)
        for address in ("192.0.2.1", "2001:db8::3"):
            with pytest.raises(RateExceeded):
                guesses.check(address)
        for address in ("192.0.2.2", "192.0.2.9", "2001:db8:0:1::1", None):
            guesses.check(address)
        now[0] = 60.1
        guesses.check("192.0.2.1")

    def test_the_number_of_addresses_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("api.guard.failed_credentials.MAX_ADDRESSES", 10)
        guesses = FailedCredentials(1)
        for number in range(50):
            guesses.count(f"192.0.2.{number}")
        assert len(guesses._failures) == 10

    def test_no_limit_is_none(self) -> None:
        guesses = FailedCredentials(0)
        for _ in range(100):
            guesses.count("192.0.2.1")
        guesses.check("192.0.2.1")
