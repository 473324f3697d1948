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
    assert sorted(PATHS) == ["/edits", "/tokens", "/uploads", "/v1/images/edits"]


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


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "[NaN]", '{"deeper": NaN}'])
@pytest.mark.parametrize("path", PATHS)
def test_numbers_that_json_does_not_have_are_refused(api: Api, path: str, number: str) -> None:
    answer = api.client.post(path, content=f'{{"guidance_scale": {number}}}', headers={"Content-Type": "application/json"})
    assert "not a finite number" in assert_refused(answer, "body_invalid")
