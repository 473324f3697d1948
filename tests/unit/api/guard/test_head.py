"""HEAD on everything that GET serves. The paths are those of the app's routes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.routing import iter_route_contexts
from starlette.routing import Mount

from tests.admin import METRICS
from tests.unit.api.conftest import Api

CHANGING = {"date", "x-request-id", "ratelimit"}
"""Headers that differ between any two answers."""


def served_paths(api: Api) -> Iterator[str]:
    """Yield a path of every route that answers GET, with ids of things that exist. A new placeholder must be added here."""
    upload = api.client.post("/uploads", json={"media_type": "image/png", "size_bytes": 9}).json()["id"]
    edit, identity, attribute = api.edit().json()["id"], api.learned(api.identity()), api.learned(api.attribute())
    parts = {
        "edit_id": edit,
        "identity_id": identity,
        "attribute_id": attribute,
        "upload_id": upload,
        "key:path": "any",
        "path:path": "studio.css",
        "model:path": "tiny",
    }
    app: Any = api.client.app
    for route in iter_route_contexts(app.routes):
        if isinstance(route.original_route, Mount):
            yield f"{route.path}/swagger-ui.css"
        elif "GET" in (route.methods or ()):
            yield re.sub(r"{([^}]+)}", lambda name: parts[name[1]], str(route.path))


def assert_same(api: Api, path: str) -> int:
    """Compare the answers to GET and HEAD, and return their status."""
    headers = METRICS if path == "/metrics" else None
    head, got = api.client.head(path, headers=headers), api.client.get(path, headers=headers)
    assert head.status_code == got.status_code, path
    assert head.content == b"", path
    assert {*head.headers} - CHANGING == {*got.headers} - CHANGING, path
    return int(got.status_code)


def test_head_answers_as_get_without_a_body(api: Api) -> None:
    answers = {path: assert_same(api, path) for path in served_paths(api)}
    assert {"/", "/edits", "/metrics", "/openapi.json", "/receipts/keys", "/docs/assets/swagger-ui.css"} <= {*answers}
    assert {path.rpartition("/")[2] for path, status in answers.items() if status >= 400} == {"any"}, "a link of another store"


@pytest.mark.parametrize("path", ["/nowhere", "/edits/e_1", "/identities/import"])
def test_a_problem_has_the_same_head(api: Api, path: str) -> None:
    assert assert_same(api, path) in (404, 405)


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
