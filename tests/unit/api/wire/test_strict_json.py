"""A JSON body with a repeated key is rejected: the caller can't have meant both values."""

from __future__ import annotations

import json

import pytest

from s2edit_jobs.settings import ROOT
from tests.unit.api.conftest import Api
from tests.unit.api.wire.test_bad_input import assert_problem, assert_refused

SCHEMA = json.loads((ROOT / "clients" / "openapi.json").read_text(encoding="utf-8"))
PATHS = [
    path
    for path, operations in SCHEMA["paths"].items()
    for operation in operations.values()
    if "application/json" in operation.get("requestBody", {}).get("content", {}) and "{" not in path
]


def test_the_paths_are_those_that_take_json() -> None:
    assert sorted(PATHS) == ["/attributes", "/edits", "/identities", "/masks", "/tokens", "/uploads", "/v1/images/edits"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "body",
    [
        '{"prompt": "a woman", "prompt": "a man"}',
        '{"prompt": "a woman", "\\u0070rompt": "a woman"}',
        '{"size_bytes": 1, "x": [{"prompt": 1, "prompt": 2}]}',
    ],
)
def test_a_repeated_key_is_refused(api: Api, path: str, body: str) -> None:
    before = api.kept()
    answer = api.client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert "the key 'prompt' is repeated" in assert_refused(answer, "body_invalid")
    assert api.kept() == before


def test_the_same_key_in_two_objects_is_no_repetition(api: Api) -> None:
    body = '{"image": {"id": 1}, "mask": {"id": 1}, "prompt": "a woman"}'
    answer = api.client.post("/edits", content=body, headers={"Content-Type": "application/json"})
    assert_problem(answer, 422, "option_invalid", "image")


@pytest.mark.parametrize("path", PATHS)
def test_a_byte_order_mark_is_no_part_of_the_text(api: Api, path: str) -> None:
    for body in (b'{"nothing": 1}', b"", b"[]", b"{"):
        plain, marked = (
            api.client.post(path, content=mark + body, headers={"Content-Type": "application/json"})
            for mark in (b"", b"\xef\xbb\xbf")
        )
        assert plain.status_code in (400, 422)
        assert (marked.status_code, "BOM" in marked.text) == (plain.status_code, False)


@pytest.mark.parametrize("number", ["9" * 4001, "9" * 5000, "-" + "9" * 60_000])
@pytest.mark.parametrize("path", PATHS)
def test_a_number_that_python_would_not_read_is_refused(api: Api, path: str, number: str) -> None:
    answer = api.client.post(path, content=f'{{"n": {number}}}', headers={"Content-Type": "application/json"})
    assert "digits" in assert_refused(answer, "body_invalid")


@pytest.mark.parametrize("path", PATHS)
def test_what_is_no_json_is_named_by_its_position(api: Api, path: str) -> None:
    answer = api.client.post(path, content='{"n": 1_0}', headers={"Content-Type": "application/json"})
    assert "at character 7" in assert_refused(answer, "body_invalid")


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x", ""])
@pytest.mark.parametrize(("method", "path"), [("POST", "/tokens"), ("POST", "/uploads"), ("PATCH", "/identities/c_1")])
def test_a_body_of_another_kind_is_named_so(api: Api, method: str, path: str, kind: str) -> None:
    """As by `curl -d`, which says that every body is a form."""
    answer = api.client.request(method, path, content=b'{"edits": 1}', headers={"Content-Type": kind})
    assert "application/json" in assert_problem(answer, 415, "unsupported_media_type")["detail"]


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON", "application/vnd.api+json"])
def test_json_may_be_called_so(api: Api, kind: str) -> None:
    body = b'{"media_type": "image/png", "size_bytes": 9}'
    assert api.client.post("/uploads", content=body, headers={"Content-Type": kind}).status_code == 201


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "[NaN]", '{"deeper": NaN}'])
@pytest.mark.parametrize("path", PATHS)
def test_numbers_that_json_does_not_have_are_refused(api: Api, path: str, number: str) -> None:
    answer = api.client.post(path, content=f'{{"guidance_scale": {number}}}', headers={"Content-Type": "application/json"})
    assert "not a finite number" in assert_refused(answer, "body_invalid")
