"""A request that is sent again with the same Idempotency-Key is one edit."""

from __future__ import annotations

from typing import Any

import pytest

from s2edit_jobs.access.keys import SCOPES, KeyRing
from s2edit_jobs.lifecycle import idempotency
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.records.errors import ArtifactsUnavailable
from s2edit_jobs.records.record import JobState
from s2edit_jobs.stores.job_store import Load
from tests.unit.api import pictures
from tests.unit.api.conftest import OWNER, Api
from tests.unit.api.guard.test_auth import bearer, with_auth
from tests.unit.api.routes.test_tokens import issue
from tests.unit.api.wire.test_bad_input import assert_problem

KEY = {"Idempotency-Key": "order-17"}


def specs(api: Api) -> list[str]:
    return [key for key in api.artifacts.objects if key.endswith("/spec.json")]


def test_the_same_key_and_form_is_the_same_edit(api: Api) -> None:
    answers = [api.edit(headers=KEY) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [202] * 3
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len({answer.headers["location"] for answer in answers}) == 1
    assert len(specs(api)) == 1
    assert len(api.queue.messages) == 1


@pytest.mark.parametrize(
    "other",
    [{"prompt": "a photo of a woman, sad"}, {"seed": "1"}, {"deadline_s": "60"}, {"image": pictures.photo(format="JPEG")}],
    ids=lambda other: next(iter(other)),
)
def test_the_same_key_with_another_form_is_refused(api: Api, other: dict[str, Any]) -> None:
    api.edit(headers=KEY)
    before = api.kept()
    assert_problem(api.edit(headers=KEY, **other), 422, "idempotency_key_reused")
    assert api.kept() == before


def test_without_a_key_and_with_another_key_every_request_is_an_edit(api: Api) -> None:
    ids = {api.edit(headers=headers).json()["id"] for headers in ({}, {}, KEY, {"Idempotency-Key": "order-18"})}
    assert len(ids) == 4


def test_keys_are_their_users(api: Api) -> None:
    ids = {api.edit(headers=KEY, user=user).json()["id"] for user in ("ada", "bob")}
    assert len(ids) == 2


def test_a_key_outlives_the_loss_of_the_job_store(api: Api) -> None:
    first = api.edit(headers=KEY).json()["id"]
    api.database.empty()
    assert api.edit(headers=KEY).json()["id"] == first
    assert len(specs(api)) == 1


def test_the_answer_shows_how_the_edit_stands_now(api: Api) -> None:
    edit_id = api.edit(headers=KEY).json()["id"]
    Jobs(api.services).cancel(OWNER, edit_id)
    assert api.edit(headers=KEY).json()["state"] == JobState.CANCELED


def test_while_the_first_is_under_way_the_second_is_told_to_wait(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    put, answers = api.artifacts.put, []

    def meddling(key: str, *values: Any, **names: Any) -> None:
        if key.endswith("/image.png") and not answers:
            answers.append(None)
            answers.append(api.edit(headers=KEY))
        put(key, *values, **names)

    monkeypatch.setattr(api.artifacts, "put", meddling)
    first = api.edit(headers=KEY)
    assert first.status_code == 202
    assert_problem(answers[1], 409, "request_in_flight")
    assert int(answers[1].headers["retry-after"]) > 0
    assert api.edit(headers=KEY).json()["id"] == first.json()["id"]


@pytest.mark.parametrize("name", ["image.png", "mask.png", "spec.json"])
def test_a_request_that_was_cut_short_is_taken_up_where_it_was(api: Api, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    put = api.artifacts.put

    def dying(key: str, *values: Any, **names: Any) -> None:
        if key.endswith(f"/{name}"):
            raise ArtifactsUnavailable("the process ends here")
        put(key, *values, **names)

    with monkeypatch.context() as patch:
        patch.setattr(api.artifacts, "put", dying)
        assert_problem(api.edit(headers=KEY), 503, "artifacts_unavailable")
    assert_problem(api.edit(headers=KEY), 409, "request_in_flight")
    monkeypatch.setattr(idempotency, "IN_FLIGHT_S", 0.0)
    ids = {api.edit(headers=KEY).json()["id"] for _ in range(2)}
    assert len(ids) == 1
    assert len(specs(api)) == 1


def test_requests_that_are_told_to_wait_or_are_cut_short_keep_no_place(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    api.limit(max_unfinished_edits_per_user=1)
    put = api.artifacts.put

    def dying(key: str, *values: Any, **names: Any) -> None:
        if key.endswith("/mask.png"):
            raise ArtifactsUnavailable("the process ends here")
        put(key, *values, **names)

    monkeypatch.setattr(idempotency, "IN_FLIGHT_S", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(api.artifacts, "put", dying)
        assert [api.edit(headers=KEY).status_code for _ in range(3)] == [503] * 3
    assert api.edit(headers=KEY).status_code == 202
    assert_problem(api.edit(), 429, "too_many_edits")


def test_a_refused_form_uses_up_no_key(api: Api) -> None:
    assert api.edit(headers=KEY, steps="1").status_code == 422
    assert api.edit(headers=KEY).status_code == 202


@pytest.mark.parametrize("key", ["", "two words", "x" * 256])
def test_a_malformed_key_is_refused(api: Api, key: str) -> None:
    problem = assert_problem(api.edit(headers={"Idempotency-Key": key}), 422, "header_invalid", "idempotency-key")
    assert problem["detail"].startswith(
        "the header 'idempotency-key' must be 1 to 255 visible ASCII characters without spaces, not '"
    )


def test_a_known_request_is_answered_though_the_user_has_too_many(api: Api) -> None:
    first = api.edit(headers=KEY).json()["id"]
    api.limit(max_unfinished_edits_per_user=1)
    assert api.edit(headers=KEY).json()["id"] == first
    assert_problem(api.edit(), 429, "too_many_edits")


def test_a_request_sent_twice_at_once_takes_one_place(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    api.limit(max_unfinished_edits_per_user=1)
    take_place, twins = api.store.admission.take_slot, []

    def meddling(*values: Any, **names: Any) -> Load:
        load = take_place(*values, **names)
        if not twins:
            twins.append(None)
            twins.append(api.edit(headers=KEY))
        return load

    monkeypatch.setattr(api.store.admission, "take_slot", meddling)
    first = api.edit(headers=KEY)
    assert first.status_code == 202
    assert_problem(twins[1], 409, "request_in_flight")


def test_a_request_for_which_there_was_no_place_is_taken_on_when_there_is(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    api.limit(max_unfinished_edits_per_user=1)
    other = api.edit().json()["id"]
    assert_problem(api.edit(headers=KEY), 429, "too_many_edits")
    Jobs(api.services).cancel(OWNER, other)
    monkeypatch.setattr(idempotency, "IN_FLIGHT_S", 0.0)
    ids = {api.edit(headers=KEY).json()["id"] for _ in range(2)}
    assert len(ids) == 1
    assert len(specs(api)) == 2


@pytest.mark.parametrize("part", ["image.png", "mask.png", "spec.json"])
def test_a_request_that_was_cut_short_costs_nothing_more_when_it_is_repeated(
    api: Api, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one was charged, and then its process ended."""
    monkeypatch.setattr(idempotency, "IN_FLIGHT_S", 0.0)
    _, key = KeyRing(api.artifacts).create("app", SCOPES)
    with_auth(api, "keys")
    token = bearer(issue(api, key, edits=2)["token"])
    device = {**token, "Idempotency-Key": "again"}
    put = api.artifacts.put

    def dying(place: str, *values: Any, **named: Any) -> None:
        if place.endswith(f"/{part}"):
            raise ArtifactsUnavailable("the process ends here")
        put(place, *values, **named)

    assert api.edit(headers=token).status_code == 202
    with monkeypatch.context() as patch:
        patch.setattr(api.artifacts, "put", dying)
        for _ in range(2):
            assert api.edit(headers=device).status_code == 503
    assert {api.edit(headers=device).json()["id"] for _ in range(2)} == {
        api.client.get("/edits", headers=token).json()["items"][0]["id"]
    }
    assert_problem(api.edit(headers={**token, "Idempotency-Key": "other"}), 403, "token_spent")
