"""HEAD on everything that GET serves."""

from __future__ import annotations

import re

import pytest

from tests.unit.api.conftest import Api

PATHS = [
    "/healthz",
    "/readyz",
    "/edits",
    "/edits/{edit}",
    "/identities",
    "/attributes",
    "/receipts/keys",
    "/openapi.json",
    "/",
    "/docs",
]


@pytest.mark.parametrize("path", [*PATHS, "/edits/{edit}/events", "/nowhere", "/edits/e_1"])
def test_head_answers_as_get_without_a_body(api: Api, path: str) -> None:
    edit = api.edit().json()["id"]
    api.work()  # so a stream ends by itself
    path = path.format(edit=edit)
    head, got = api.client.head(path), api.client.get(path)
    assert head.status_code == got.status_code
    assert head.content == b""
    changing = {"date", "x-request-id", "ratelimit"}
    assert {*head.headers} - changing == {*got.headers} - changing


def test_head_of_a_stream_that_goes_on_ends(api: Api) -> None:
    edit = api.edit().json()["id"]
    answer = api.client.head(f"/edits/{edit}/events")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"].startswith("text/event-stream")


@pytest.mark.parametrize("path", ["/tokens", "/masks"])
def test_what_get_does_not_serve_has_no_head(api: Api, path: str) -> None:
    answer = api.client.head(path)
    assert answer.status_code == 405
    assert not re.search("HEAD|GET", answer.headers["allow"])
