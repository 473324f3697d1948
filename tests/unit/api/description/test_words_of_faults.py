"""The message about a wrong value says what the description says: range, allowed values, an example. No jargon of libraries."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.unit.api.conftest import Api
from tests.unit.api.wire.test_bad_input import assert_problem
from tests.unit.api.wire.test_texts import (
    FORM_FRACTIONS,
    FORM_NUMBERS,
    FORMS,
    JSON_FIELDS,
    SCHEMA,
    WHOLE,
    _fields,
    _kinds,
    _resolved,
    field_of,
    send,
)

JARGON = re.compile(
    r"Input should|should (be|have|match)|unable to|Value error|validation|Extra inputs|required|pattern '|\bitems\b"
)
WRONG: tuple[Any, ...] = (
    "x",
    "",
    -1,
    0,
    1.5,
    10**30,
    -(10**30),
    1e300,
    1e-300,
    True,
    None,
    [],
    ["x"],
    {},
    [{}],
    [10**30],
    "x" * 3000,
)
FORM_PARTS = [
    (path, name, schema)
    for path, name, schema in _fields("multipart/form-data")
    if path in FORMS and "contentMediaType" not in schema and schema.get("format") != "binary"
]
"""All parts but files. Of those that have two kinds of schema, such as in `/v1`, the JSON fields have them too."""


def message_of(answer: Any) -> str:
    problem = answer.json()
    return str(problem["error"]["message"] if "error" in problem else problem["detail"])


def promised(schema: dict[str, Any]) -> list[str]:
    """Return what a message about a number or one of several values must hold: limits or values."""
    one = _resolved(schema)
    inner = next((each for each in one.get("anyOf", ()) if each != {"type": "null"}), one)
    values = [repr(value) for value in inner.get("enum", ())]
    limits = [inner[name] for name in ("minimum", "maximum") if name in inner and inner.get("type") in ("integer", "number")]
    return values or ["2^63 − 1" if limit == 2**63 - 1 else f"{limit:g}" if limit < 1e6 else str(int(limit)) for limit in limits]


@pytest.mark.parametrize("value", WRONG, ids=lambda value: repr(value)[:12])
def test_every_wrong_field_of_a_document(api: Api, value: Any) -> None:
    for path, name, schema in JSON_FIELDS:
        answer = send(api, path, name, value)
        if answer.status_code not in (400, 413, 422) or field_of(answer) != name or answer.json().get("code") == "option_unknown":
            continue
        message = message_of(answer)
        assert not JARGON.search(message), (path, name, message)
        if "must be" in message:
            assert all(each in message for each in promised(schema)), (path, name, message)


@pytest.mark.parametrize("value", ["x", "-1", "0", "1.5", "9" * 30, "-" + "9" * 30, "9" * 5000, "1e3", "1e-300", "x" * 3000])
def test_every_wrong_part_of_a_form(api: Api, value: str) -> None:
    told = 0
    for path, name, schema in FORM_PARTS:
        answer = api.post(path, **{**FORMS[path], name: value})
        if answer.status_code != 422 or field_of(answer) != name:
            continue
        message = message_of(answer)
        assert not JARGON.search(message), (path, name, message)
        if _kinds(schema) & {"integer", "number"} and answer.json()["code"] != "strength_without_steps":  # it is within its range
            told += 1
            assert message.startswith(f"{name} must be a "), message
            assert promised(schema), f"{path} {name} has no limits"
            assert all(each in message for each in promised(schema)), (path, name, message)
            assert "such as" in message, message
    assert told or value in ("x" * 3000,)


@pytest.mark.parametrize("value", ["x", "-1", "0", "1.5", "9" * 30, "", "1e1", "x" * 300])
def test_every_wrong_parameter_of_a_query(api: Api, value: str) -> None:
    for path, operations in SCHEMA["paths"].items():
        for parameter in operations.get("get", {}).get("parameters", []):
            if parameter["in"] != "query" or path.startswith("/files/"):
                continue
            answer = api.client.get(re.sub(r"{\w+}", "e_1", path), params={parameter["name"]: value})
            if answer.status_code == 422:
                message = message_of(answer)
                assert not JARGON.search(message), message
                assert all(each in message for each in promised(parameter["schema"])) or (not value and "is empty" in message), (
                    message
                )


class TestNumbers:
    """One rule: a JSON number in JSON, forms and queries."""

    @pytest.mark.parametrize(
        "text", ["1e400", "1e", "e1", "1e1.5", "1e+-1", "1 e1", "nan", "-Infinity", "20.", "0020", "-01", "1_0", "+1"]
    )
    def test_a_form_and_a_query_take_none_of_these(self, api: Api, text: str) -> None:
        for name in ("strength", "guidance_scale", "deadline_s", "steps"):
            detail = assert_problem(api.edit(**{name: text}), 422, "option_invalid", name)["detail"]
            if (name, text) != ("steps", "1e400"):  # a whole number that is too large
                assert "in decimal digits" in detail
                assert detail.endswith(f"not {text!r}")
        answer = api.client.get("/edits", params={"limit": text})
        assert assert_problem(answer, 422, "option_invalid", "limit")["detail"].startswith(
            "the query parameter 'limit' must be a whole number"
        )

    @pytest.mark.parametrize("text", ["20", "20.0", " 20 ", "2e1", "2E+1", "0.2e2", "200e-1"])
    def test_a_form_and_a_query_take_these(self, api: Api, text: str) -> None:
        assert api.edit(steps=text, guidance_scale=text, deadline_s=text, dry_run="true").status_code == 200
        assert api.client.get("/edits", params={"limit": text}).status_code == 200

    @pytest.mark.parametrize("value", [0.05, 0.7, 1e-05, 3e-07, 1e16, 2.5e-300])
    def test_every_number_means_in_a_form_what_it_means_in_a_document(self, api: Api, value: float) -> None:
        """Programs write a number as their language does: Python as `1e-05`, JavaScript as `0.00001` and `3e-7`."""
        for path, name in {*FORM_NUMBERS, *FORM_FRACTIONS}:
            answers = api.post(path, **{**FORMS[path], name: repr(value)}), send(api, path, name, value)
            refused = [answer.status_code == 422 and field_of(answer) == name for answer in answers]
            assert refused[0] == refused[1], (path, name)

    def test_a_small_number_is_judged_by_its_value_and_not_by_how_it_is_written(self, api: Api) -> None:
        written, exponent = (message_of(api.edit(strength=text)) for text in ("0.00001", "1e-05"))
        assert exponent == written
        assert exponent.startswith("a strength of 1e-05 runs none of 50 steps")

    def test_a_document_takes_every_json_number_of_the_range(self, api: Api) -> None:
        body = b'{"prompt": "a photo of a woman smiling", "image": "u_1", "steps": 2e1, "guidance_scale": 30e-1, "deadline_s": 6E2}'
        answer = api.client.post("/edits", content=body, headers={"Content-Type": "application/json"})
        assert_problem(answer, 422, "upload_unknown", "image")

    @pytest.mark.parametrize("value", [1e-300, 0, 604_801, 1e308, -1])
    @pytest.mark.parametrize("name", ["deadline_s", "identity_ttl_s"])
    def test_a_time_is_within_its_limits(self, api: Api, name: str, value: float) -> None:
        if (name, value) == ("identity_ttl_s", 604_801):
            return
        assert f"{name} must be a number between 0.001 and" in message_of(send(api, "/edits", name, value))

    @pytest.mark.parametrize("digits", [20, 21, 30, 4000])
    def test_a_whole_number_of_many_digits_is_told_its_range(self, api: Api, digits: int) -> None:
        for path, name in WHOLE:
            if path in FORMS and (path, name) != ("/edits", "at"):
                message = message_of(api.post(path, **{**FORMS[path], name: "9" * digits}))
                assert re.search(r"must be a whole number between \d+ and [\d^]+", message), message
                assert "in decimal digits" not in message
                assert len(message) < 300


@pytest.mark.parametrize(
    ("part", "value", "detail"),
    [
        ("preset", "best", "preset must be 'paper', 'balanced' or 'instant', not 'best'"),
        ("output_format", "gif", "output_format must be 'png', 'jpeg' or 'webp', not 'gif'"),
        ("keep_alpha", "maybe", "keep_alpha must be true or false, not 'maybe'"),
        ("seed", "9" * 23, f"seed must be a whole number between 0 and 2^63 − 1, such as 0, not {'9' * 23}"),
        ("steps", "many", "steps must be a whole number between 2 and 999 in decimal digits, such as 50, not 'many'"),
        ("strength", "0", "strength must be a number above 0 and at most 1, such as 1.0, not 0"),
        ("parent", "e" * 65, "parent must be a text of at most 64 characters, not of 65"),
        ("attributes", ["a"] * 5, "attributes must be a list of at most 4 texts of at most 64 characters, not of 5"),
    ],
)
def test_some_messages(api: Api, part: str, value: Any, detail: str) -> None:
    assert assert_problem(api.edit(**{part: value}), 422, "option_invalid", part)["detail"] == detail
