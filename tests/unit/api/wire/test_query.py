"""Unknown, repeated and misplaced query parameters are rejected, so that a typing error never becomes a default."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from s2edit_jobs.settings import ROOT
from tests.admin import admin_headers
from tests.unit.api import pictures
from tests.unit.api.conftest import PROMPT, Api
from tests.unit.api.wire.test_bad_input import assert_problem, assert_refused

SCHEMA: dict[str, Any] = json.loads((ROOT / "clients" / "openapi.json").read_text(encoding="utf-8"))
OPERATIONS = [
    (method.upper(), re.sub(r"{\w+}", "e_1", path))
    for path, operations in SCHEMA["paths"].items()
    for method in operations
    if path != "/files/{key}"
]


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_operation_refuses_an_unknown_parameter(api: Api, method: str, path: str) -> None:
    headers = admin_headers(api.artifacts) if path.startswith("/users/") else {}
    before = api.kept()
    body = {"prompt": PROMPT} if path == "/v1/images/edits" else None  # which asks for the kind of the body first
    answer = api.client.request(method, f"{path}?zzz=1", headers=headers, json=body)
    assert "unknown query parameter 'zzz'" in assert_refused(answer, "option_unknown", "zzz")
    assert "pointer" not in answer.text
    assert api.kept() == before


@pytest.mark.parametrize(
    ("path", "name", "parts"),
    [
        ("/edits?dry_run=true", "dry_run", {"mask": pictures.mask()}),
        ("/edits?seed=1", "seed", {"mask": pictures.mask(), "seed": "2"}),
        ("/masks?at=1,1", "at", {}),
        ("/identities?identity_ttl_s=60", "identity_ttl_s", {"mask": pictures.mask()}),
        ("/attributes?name=Bowler", "name", {"mask": pictures.mask()}),
        ("/identities/import?consent=yes", "consent", {}),
    ],
)
def test_a_part_in_the_query_is_sent_to_the_form(api: Api, path: str, name: str, parts: dict[str, Any]) -> None:
    answer = api.post(path, **{"image": pictures.photo(), "prompt": PROMPT, **parts})
    problem = assert_problem(answer, 422, "option_unknown", name)
    assert problem["detail"] == f"{name!r} is no query parameter: send it as a part of the form"
    assert api.kept() == ({}, [], [])


@pytest.mark.parametrize(("path", "name"), [("/edits", "dry_run"), ("/uploads", "sha256"), ("/tokens", "edits")])
def test_a_field_in_the_query_is_sent_to_the_body(api: Api, path: str, name: str) -> None:
    problem = assert_problem(api.client.post(f"{path}?{name}=1", json={}), 422, "option_unknown", name)
    assert problem["detail"] == f"{name!r} is no query parameter: send it in the JSON body"
    assert api.kept() == ({}, [], [])


@pytest.mark.parametrize(
    ("query", "code", "field", "detail"),
    [
        ("stat=running", "option_unknown", "stat", "unknown query parameter 'stat': did you mean 'state'?"),
        ("zzz=", "option_unknown", "zzz", "unknown query parameter 'zzz': use state, identity, kind, limit, cursor"),
        ("limit=1&limit=2", "part_repeated", "limit", "the query parameter 'limit' was sent 2 times: send it once"),
        ("identity=", "part_empty", "identity", "the query parameter 'identity' is empty: give it a value, or leave it out"),
        ("state=%20", "part_empty", "state", "the query parameter 'state' is empty: give it a value, or leave it out"),
        ("state=running&state=running", "part_repeated", "state", "the query parameter 'state' was sent 2 times: send it once"),
    ],
)
def test_a_list_is_never_unfiltered_by_mistake(api: Api, query: str, code: str, field: str, detail: str) -> None:
    assert assert_problem(api.client.get(f"/edits?{query}"), 422, code, field)["detail"] == detail


def test_all_wrong_parameters_are_named(api: Api) -> None:
    problem = api.client.get("/edits?stat=running&limit=1&limit=1").json()
    assert [error["field"] for error in problem["errors"]] == ["stat", "limit"]


def test_declared_parameters_are_taken(api: Api) -> None:
    assert api.client.get("/edits?state=running&kind=edit&limit=5").status_code == 200


def test_an_unknown_caller_learns_that_first(api: Api) -> None:
    answer = api.client.get("/edits?zzz=1", headers={"Authorization": "Bearer s2e_wrong"})
    assert_problem(answer, 401, "credentials_invalid")


def test_a_poll_that_is_answered_from_the_cache_refuses_it_too(api: Api) -> None:
    path = api.edit().headers["location"]
    headers = {"If-None-Match": api.client.get(path).headers["etag"]}
    assert api.client.get(path, headers=headers).status_code == 304
    assert_problem(api.client.get(f"{path}?wait=30", headers=headers), 422, "option_unknown", "wait")


@pytest.mark.parametrize("path", ["/", "/docs", "/docs/assets/swagger-ui.css", "/openapi.json"])
def test_links_to_pages_may_carry_more(api: Api, path: str) -> None:
    """Links from other sites often do. No parameter of a page has a default."""
    assert api.client.get(f"{path}?utm_source=news").status_code == 200
