"""Every text, list and number of every body, in the forms that real and hostile clients send."""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from s2edit_jobs.settings import ROOT
from tests.unit.api import pictures
from tests.unit.api.conftest import Api
from tests.unit.api.wire.test_bad_input import assert_problem

SCHEMA = json.loads((ROOT / "clients" / "openapi.json").read_text(encoding="utf-8"))
HALF = "\ud800"
LONG = "word " * 100_000
REFUSED_TEXTS = {"a control character": "a\x07b", "NUL": "a\x00b", "long": LONG}
ACCEPTED_TEXTS = {"decomposed": "cafe\u0301", "spaces": "  a woman  ", "line ends": "a woman\r\n", "invisible": "\u200ba woman"}
VALID = {
    "/edits": {"prompt": "a photo of a woman smiling", "image": "u_1"},
    "/identities": {"prompt": "a photo of a woman", "image": "u_1"},
    "/attributes": {"prompt": "a woman with [A] hat", "image": "u_1", "mask": "u_2"},
    "/masks": {"image": "u_1"},
    "/uploads": {"media_type": "image/png", "size_bytes": 9},
    "/v1/images/edits": {"prompt": "a photo of a woman smiling"},
}
FORMS: dict[str, dict[str, Any]] = {
    "/edits": {"image": pictures.photo(), "mask": pictures.mask(), "prompt": "a photo of a woman smiling"},
    "/identities": {"image": pictures.photo(), "mask": pictures.mask(), "prompt": "a photo of a woman"},
    "/attributes": {"image": pictures.photo(), "mask": pictures.mask(), "prompt": "a woman with [A] hat"},
    "/masks": {"image": pictures.photo()},
}


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = SCHEMA
    for step in schema["$ref"].removeprefix("#/").split("/") if "$ref" in schema else ():
        found = found[step]
    return found if "$ref" in schema else schema


def _kinds(schema: dict[str, Any]) -> set[str]:
    """The types that a value may have."""
    one = _resolved(schema)
    kinds = {one["type"]} if isinstance(one.get("type"), str) else {*one.get("type", ())}
    return kinds.union(*(_kinds(other) for other in one.get("anyOf", [])))


def _fields(media_type: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, operations in SCHEMA["paths"].items():
        content = operations.get("post", {}).get("requestBody", {}).get("content", {})
        if media_type in content and "{" not in path:
            for name, schema in _resolved(content[media_type]["schema"])["properties"].items():
                yield path, name, schema


JSON_FIELDS = list(_fields("application/json"))
TEXTS = [(path, name) for path, name, schema in JSON_FIELDS if "string" in _kinds(schema)]
WHOLE = [(path, name) for path, name, schema in JSON_FIELDS if "integer" in _kinds(schema)]
LISTS = [(path, name) for path, name, schema in JSON_FIELDS if "array" in _kinds(schema)]
ITEMS: tuple[Any, ...] = ({"x": 1}, 1, None, [[]], "a", "é", 1e300)
NUMBERS = [(path, name) for path, name, schema in JSON_FIELDS if _kinds(schema) & {"integer", "number"}]
FORM_NUMBERS = [
    (path, name)
    for path, name, schema in _fields("multipart/form-data")
    if path in FORMS and "integer" in _kinds(schema) and "string" not in _kinds(schema)
]
FORM_FRACTIONS = [
    (path, name)
    for path, name, schema in _fields("multipart/form-data")
    if path in FORMS and "number" in _kinds(schema) and "string" not in _kinds(schema)
]
FORM_TEXTS = [
    (path, name)
    for path, name, schema in _fields("multipart/form-data")
    if path in FORMS and "string" in _kinds(schema) and "contentMediaType" not in schema and schema.get("format") != "binary"
]


@pytest.fixture
def api(api: Api) -> Iterator[Api]:
    """Bodies may be as large as photos are, so that smaller bounds are seen to hold."""
    settings = api.services.settings.model_copy(update={"max_upload_bytes": 20_000_000})
    with TestClient(create_app(replace(api.services, settings=settings))) as api.client:
        yield api


def send(api: Api, path: str, name: str, value: Any) -> Any:
    body = json.dumps({**VALID.get(path, {}), name: value})
    return api.client.post(path, content=body, headers={"Content-Type": "application/json"})


def test_the_tables_hold_every_field() -> None:
    assert {("/edits", "prompt"), ("/edits", "consent"), ("/edits", "identity"), ("/uploads", "sha256")} <= {*TEXTS}
    assert {("/edits", "attributes"), ("/edits", "at"), ("/tokens", "scopes"), ("/v1/images/edits", "images")} <= {*LISTS}
    assert {("/edits", "guidance_scale"), ("/edits", "deadline_s"), ("/uploads", "size_bytes")} <= {*NUMBERS}
    assert {("/edits", "seed"), ("/identities", "max_pixels"), ("/masks", "max_pixels")} <= {*FORM_NUMBERS}
    assert {("/edits", "strength"), ("/identities", "identity_ttl_s"), ("/masks", "deadline_s")} <= {*FORM_FRACTIONS}
    assert {("/edits", "seed"), ("/uploads", "size_bytes"), ("/tokens", "expires_in_s")} <= {*WHOLE}
    assert {("/edits", "prompt"), ("/identities", "subject"), ("/attributes", "name"), ("/masks", "prompt")} <= {*FORM_TEXTS}


@contextmanager
def refused(api: Api, what: object) -> Iterator[list[Any]]:
    """Check that the answer that the block puts into the list is a short and quick refusal, and that nothing is kept."""
    before, began, answers = api.kept(), time.process_time(), []
    yield answers
    (answer,) = answers
    assert answer.status_code in (400, 413, 422), (what, answer.text[:500])
    assert len(answer.content) < 20_000, what
    assert len(answer.json().get("errors", ())) <= 16, what
    assert time.process_time() - began < 1.0, what
    assert api.kept() == before, what


def field_of(answer: Any) -> str | None:
    """Return the field that a problem names. Errors in OpenAI's shape call it `param`."""
    problem = answer.json()
    return str(problem["error"]["param"] if "error" in problem else problem["field"])


def test_half_a_surrogate_pair_is_no_text(api: Api) -> None:
    for path, name in TEXTS:
        with refused(api, (path, name)) as answers:
            answers.append(send(api, path, name, f"a woman {HALF}"))
        assert "surrogate" in answers[0].text, (path, name)


@pytest.mark.parametrize("kind", REFUSED_TEXTS)
def test_no_field_of_a_document_holds_such_a_text(api: Api, kind: str) -> None:
    for path, name in TEXTS:
        with refused(api, (path, name)) as answers:
            answers.append(send(api, path, name, REFUSED_TEXTS[kind]))


@pytest.mark.parametrize("kind", REFUSED_TEXTS)
def test_no_part_of_a_form_holds_such_a_text(api: Api, kind: str) -> None:
    for path, name in FORM_TEXTS:
        with refused(api, (path, name)) as answers:
            answers.append(api.post(path, **{**FORMS[path], name: REFUSED_TEXTS[kind]}))


@pytest.mark.parametrize("kind", [*REFUSED_TEXTS, "blank", "decomposed", "invisible", "line ends"])
def test_no_odd_text_in_a_query_or_a_header_is_a_server_error(api: Api, kind: str) -> None:
    text = {**REFUSED_TEXTS, **ACCEPTED_TEXTS, "blank": "", "long": "word " * 6000}[kind]
    for path, operations in SCHEMA["paths"].items():
        place = re.sub(r"{\w+}", "e_1", path)
        for parameter in operations.get("get", {}).get("parameters", []):
            sent: dict[str, Any] = {"params" if parameter["in"] == "query" else "headers": {parameter["name"]: text.encode()}}
            answer = api.client.get(place, **sent)
            assert answer.status_code < 500, (path, parameter["name"])
            assert len(answer.content) < 100_000, (path, parameter["name"])


@pytest.mark.parametrize("kind", ACCEPTED_TEXTS)
@pytest.mark.parametrize("path", ["/edits", "/identities"])
def test_a_prompt_may_be_written_in_any_of_these_ways(api: Api, path: str, kind: str) -> None:
    prompt = ACCEPTED_TEXTS[kind].replace("cafe\u0301", "a woman in a cafe\u0301")
    answer = api.post(path, **{**FORMS[path], "prompt": prompt})
    assert answer.status_code == 202, answer.text


@pytest.mark.parametrize("path", ["/edits", "/tokens", "/uploads"])
@pytest.mark.parametrize(
    "body",
    [
        b"[" * 30_000,
        b'{"a":' * 10_000,
        b'{"prompt": NaN}',
        b'{"prompt": -Infinity}',
        b'{"prompt": "\xff"}',
        b'{"x": "\xed\xa0\x80"}',
    ],
)
def test_what_is_no_json_is_refused(api: Api, path: str, body: bytes) -> None:
    answer = api.client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (422, "body_invalid")


@pytest.mark.parametrize("path", ["/edits", "/tokens", "/uploads"])
def test_a_large_document_is_refused_before_it_is_parsed(api: Api, path: str) -> None:
    body = json.dumps({"attributes": [1] * 30_000, "scopes": [1] * 30_000})
    answer = api.client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


@pytest.mark.parametrize("item", ITEMS, ids=repr)
def test_a_long_list_of_the_wrong_type_is_one_short_answer(api: Api, item: Any) -> None:
    for path, name, _ in JSON_FIELDS:
        with refused(api, (path, name)) as answers:
            answers.append(send(api, path, name, [item] * 3000))


def test_a_list_of_100000_is_one_short_answer(api: Api) -> None:
    for (path, name), item in itertools.product(LISTS, ITEMS):
        with refused(api, (path, name, item)) as answers:
            answers.append(send(api, path, name, [item] * 100_000))
        assert answers[0].status_code == 413


def test_a_part_that_is_repeated_for_ever_is_one_short_answer(api: Api) -> None:
    for path, name in FORM_TEXTS:
        with refused(api, (path, name)) as answers:
            answers.append(api.post(path, **{**FORMS[path], name: ["a"] * 2000}))


def test_many_wrong_fields_are_one_short_answer(api: Api) -> None:
    body = json.dumps({f"field_{number}": number for number in range(3000)})
    answer = api.client.post("/edits", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert len(answer.json()["errors"]) == 16
    assert len(answer.content) < 20_000


def test_a_whole_number_may_be_written_with_a_fraction_of_zero(api: Api) -> None:
    for path, name in WHOLE:
        plain, written = send(api, path, name, 20), send(api, path, name, 20.0)
        assert (written.status_code, written.json().get("errors")) == (plain.status_code, plain.json().get("errors")), (path, name)


@pytest.mark.parametrize("value", [20.5, -1, 2**63, 10**400, -(10**400), 1e308, -1e308, True, "20x", "", [], {}, [20]])
def test_no_number_of_a_document_is_written_so(api: Api, value: Any) -> None:
    for path, name in NUMBERS:
        if value == 20.5 and (path, name) not in WHOLE:
            continue
        with refused(api, (path, name)) as answers:
            answers.append(send(api, path, name, value))
        assert field_of(answers[0]) == name


ODD_DIGITS = (
    "1_0",
    "+20",
    "020",
    "00",
    "\u00a020",
    "\uff12\uff10",
    "\u0662\u0660",
    "\u00b2",
    "  ",
    "0x14",
    "NaN",
    "inf",
    "20,0",
    "20 0",
    "True",
    "1" * 5000,
)
"""What Python takes for a number, or takes for one in part."""


@pytest.mark.parametrize("value", ["20.5", "205e-1", "2e", "1e30", "1e4000", "-1", "20.", *ODD_DIGITS])
def test_no_number_of_a_form_is_written_so(api: Api, value: str) -> None:
    for path, name in FORM_NUMBERS:
        with refused(api, (path, name)) as answers:
            answers.append(api.post(path, **{**FORMS[path], name: value}))
        assert field_of(answers[0]) == name


@pytest.mark.parametrize("value", ["1_0.5", "0._5", "1e_1", "1e1_0", "5.", "-1", "1e400", "1e-400", "5e", "e-1", *ODD_DIGITS])
def test_no_fraction_of_a_form_is_written_so(api: Api, value: str) -> None:
    for path, name in FORM_FRACTIONS:
        with refused(api, (path, name)) as answers:
            answers.append(api.post(path, **{**FORMS[path], name: value}))
        assert field_of(answers[0]) == name


@pytest.mark.parametrize("value", ["0.5", " 0.50\r\n", ".5", "5e-1", "0.5E+0", "50e-02"])
def test_a_form_may_write_a_fraction_so(api: Api, value: str) -> None:
    assert api.edit(strength=value).status_code == 202


@pytest.mark.parametrize("value", ["", *ODD_DIGITS])
def test_no_number_of_a_query_is_written_so(api: Api, value: str) -> None:
    for path in ("/edits", "/identities", "/attributes"):
        answer = api.client.get(path, params={"limit": value})
        assert (answer.status_code, answer.json()["field"]) == (422, "limit"), path
    answer = api.client.get("/edits/e_1/preview", params={"v": value})
    assert (answer.status_code, answer.json()["field"]) == (422, "v")


@pytest.mark.parametrize("value", ["1_0", "+1", "\u00b2", "1.0"])
def test_no_number_of_a_header_is_written_so(api: Api, value: str) -> None:
    path = api.edit().headers["location"]
    answer = api.client.get(f"{path}/events", headers={"Last-Event-ID": value.encode("latin-1")})
    assert (answer.status_code, answer.json()["field"]) == (422, "last-event-id")


@pytest.mark.parametrize("value", ["20.0", " 20 ", "20", "2e1", "200E-1"])
def test_a_form_may_write_a_whole_number_so(api: Api, value: str) -> None:
    assert api.edit(steps=value).status_code == 202


@pytest.mark.parametrize("value", ["20.5", "2.05e1", "0x14", "20.", "NaN"])
def test_and_not_so(api: Api, value: str) -> None:
    answer = api.edit(steps=value)
    assert (answer.status_code, answer.json()["field"]) == (422, "steps")


@pytest.mark.parametrize("value", ["", " ", ["", ""]])
def test_blank_attributes_are_refused(api: Api, value: str | list[str]) -> None:
    assert_problem(api.edit(attributes=value), 422, "part_empty", "attributes")


def test_an_id_may_have_spaces_and_a_line_end_around_it(api: Api) -> None:
    identity = api.learned_identity()
    answer = api.post("/edits", prompt="a photo of a woman smiling", identity=f" {identity}\r\n")
    assert answer.status_code == 202, answer.text
    assert answer.json()["identity"] == identity


def test_a_digest_may_have_capitals(api: Api) -> None:
    answer = send(api, "/uploads", "sha256", "AB" * 32)
    assert (answer.status_code, answer.json()["sha256"]) == (201, "ab" * 32)


@pytest.mark.parametrize("name", ["Ann\nher mother", "Ann\r\nher mother", "Ann\u2028her mother"])
def test_a_name_is_one_line(api: Api, name: str) -> None:
    answer = api.post("/identities", **{**FORMS["/identities"], "name": name})
    assert (answer.status_code, field_of(answer)) == (422, "name")
    assert "line break" in answer.json()["detail"]
