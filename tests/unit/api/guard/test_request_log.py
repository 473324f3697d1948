"""Every response has a request id, and the log contains nothing of the request's content."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from s2edit_jobs.lifecycle.jobs import Jobs
from tests.logged import Logged, logging_to_memory
from tests.unit.api import pictures
from tests.unit.api.conftest import OWNER, Api
from tests.unit.api.wire.test_bad_input import assert_problem

CANARY = "canaryword6d2f"
USER = "canary-user-6d2f"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
def logged(api: Api) -> Iterator[Logged]:
    with logging_to_memory() as stream:
        yield stream


def test_a_request_is_one_line_with_its_route_and_no_address(api: Api, logged: Logged) -> None:
    edit_id = api.edit(user=USER).json()["id"]
    api.client.get(f"/edits/{edit_id}", headers={"S2Edit-User": USER})
    api.erase_user(USER)
    api.client.get(f"/{CANARY}?x={CANARY}")
    told = [(line["method"], line["route"], line["status"]) for line in logged.of("request")]
    assert told == [
        ("POST", "/edits", 202),
        ("GET", "/edits/{edit_id}", 200),
        ("DELETE", "/users/{user}", 200),
        ("GET", None, 404),
    ]
    assert CANARY not in logged.text
    assert USER not in logged.text


def test_every_line_of_a_request_has_its_ids(api: Api, logged: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    from s2edit_jobs.records.errors import StoreUnavailable

    def down(_: Any) -> None:
        raise StoreUnavailable("down")

    monkeypatch.setattr(api.store.records, "add", down)
    headers = {"X-Request-Id": "app-request-17", "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    answer = api.edit(headers=headers)
    assert answer.headers["x-request-id"] == "app-request-17"
    assert len(logged.lines) == 2, "the job that is entered later, and the request"
    assert {(line["request_id"], line["trace_id"]) for line in logged.lines} == {("app-request-17", TRACE)}


@pytest.mark.parametrize("given", ["short", "x" * 65, 'a"b c d e f g', "ünicode-request", ""])
def test_an_id_that_is_none_is_replaced(api: Api, given: str) -> None:
    answer = api.client.get("/healthz", headers={"X-Request-Id": given.encode()})  # type: ignore[dict-item]
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-request-id"])


@pytest.mark.parametrize("path", ["/nowhere", f"/edits/e_{'0' * 32}", "/files/x"])
def test_problems_have_it_too(api: Api, path: str) -> None:
    assert api.client.get(path, headers={"X-Request-Id": "app-request-17"}).headers["x-request-id"] == "app-request-17"


def test_too_large_bodies_have_it_too(api: Api) -> None:
    answer = api.edit(image=b"x" * 200_000)
    assert_problem(answer, 413, "body_too_large")
    assert answer.headers["x-request-id"]


def test_the_job_belongs_to_the_trace_of_its_request(api: Api) -> None:
    edit_id = api.edit(headers={"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}).json()["id"]
    traceparent = Jobs(api.services).spec(OWNER, edit_id).traceparent
    assert traceparent is not None
    assert traceparent.split("-")[1] == TRACE


def test_a_fault_of_ours_is_logged_by_type_and_place_and_answered(
    api: Api, logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError(f"about {CANARY}")

    monkeypatch.setattr(api.store.admission, "take_slot", broken)
    answer = api.edit(prompt=f"a photo of a woman {CANARY}")
    problem = assert_problem(answer, 500, "internal")
    assert CANARY not in str(problem)
    assert answer.headers["x-request-id"]
    (line,) = logged.of("request_failed")
    assert "builtins.RuntimeError" in line["exception"]
    assert "in broken" in line["exception"]
    assert logged.of("request")[0]["status"] == 500
    assert CANARY not in logged.text


def test_nothing_that_was_sent_is_logged_whatever_becomes_of_the_request(api: Api, logged: Logged) -> None:
    """Neither prompts, file and user names, keys, headers nor webhook URLs, of valid and invalid requests."""
    secret = {"Authorization": f"Bearer {CANARY}", "Idempotency-Key": f"{CANARY}-1", "Cookie": CANARY}
    requests = [
        {"prompt": f"a photo of a woman {CANARY}"},
        {"prompt": CANARY, "source_prompt": CANARY, "subject": CANARY},
        {"prompt": f"a woman {CANARY} " * 100},
        {CANARY: "x"},
        {"steps": CANARY},
        {"mask": CANARY.encode()},
        {"image": CANARY.encode() * 10_000},
        {"identity": CANARY},
        {"webhook_url": f"https://user:{CANARY}@example.com/"},
        {"image": pictures.png_bomb()},
    ]
    refused = [api.edit(user=USER, headers=secret, **parts).status_code for parts in requests]
    assert set(refused) <= {401, 413}, "the key is none"
    del secret["Authorization"]
    statuses = [api.edit(user=USER, headers=secret, **parts).status_code for parts in requests]
    assert statuses[0] == 202
    assert set(statuses[1:]) <= {413, 422}, statuses
    api.client.get(f"/files/{CANARY}?signature={CANARY}&name={CANARY}")
    api.client.post("/edits", content=CANARY, headers={"Content-Type": f"multipart/form-data; boundary={CANARY}"})
    api.client.get("/edits/" + CANARY, headers={"S2Edit-User": CANARY, "Last-Event-ID": CANARY})
    assert len(logged.of("request")) == 2 * len(requests) + 3
    assert CANARY not in logged.text
    assert USER not in logged.text


@pytest.mark.parametrize("path", ["/edits", "/nowhere", "/healthz", "/openapi.json", "/docs", "/", "/metrics", "/receipts/keys"])
def test_no_browser_guesses_the_type_of_an_answer(api: Api, path: str) -> None:
    assert api.client.get(path).headers.get_list("x-content-type-options") == ["nosniff"]
    assert api.client.post(path).headers.get_list("x-content-type-options") == ["nosniff"]
