from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from fastapi.exceptions import RequestValidationError
from fastapi.testclient import TestClient
from starlette.requests import Request

from api.wire import problem_kinds, problems
from s2edit_core.errors import InvalidInput, S2EditError
from s2edit_jobs.records.errors import ArtifactsUnavailable, JobsError, StoreUnavailable
from tests.unit.api.conftest import Api
from tests.unit.api.guard.test_auth import NOBODYS
from tests.unit.api.wire.test_bad_input import assert_problem


def family(cls: type[Exception]) -> Iterator[type[Exception]]:
    """Yield `cls` and its subclasses, except those of tests."""
    if not cls.__module__.startswith("tests."):
        yield cls
    for child in cls.__subclasses__():
        yield from family(child)


ERRORS = list(dict.fromkeys([*family(S2EditError), *family(JobsError)]))


TO_DO = r"(?:^|: |, )(?i:announce|ask|call|get|go on|leave|look|see|send|take|tell|try|use|wait) "
"""Matches a sentence or clause that begins with an imperative."""


def raised(cls: type[Exception]) -> Exception:
    return cls("the words of the error", field="mask") if issubclass(cls, InvalidInput) else cls("the words of the error")


@pytest.mark.parametrize("cls", ERRORS, ids=lambda cls: cls.__name__)
def test_every_error_class_is_mapped(cls: type[Exception]) -> None:
    assert cls in problem_kinds.KINDS, f"{cls.__name__} is missing in api/wire/problem_kinds.py"
    problem = problems.problem_of(raised(cls))
    assert 400 <= problem.status < 600
    assert re.fullmatch(r"urn:s2edit:problem:[a-z0-9_]+", problem.type)
    assert problem.retryable == cls.retryable  # type: ignore[attr-defined]
    passing = problem.code in ("request_in_flight", "being_erased")
    assert (problem.status in (503, 429) or passing) == problem.retryable


@pytest.mark.parametrize("cls", [cls for cls, kind in problem_kinds.KINDS.items() if kind.detail], ids=lambda cls: cls.__name__)
def test_every_message_says_what_to_do(cls: type[Exception]) -> None:
    """Messages of the errors themselves are tested where they are raised."""
    assert re.search(TO_DO, str(problem_kinds.KINDS[cls].detail))


@pytest.mark.parametrize("detail", problem_kinds.HTTP_DETAILS.values())
def test_so_does_what_the_framework_refuses(detail: str) -> None:
    assert re.search(TO_DO, detail)


def test_no_line_of_the_map_is_left_over() -> None:
    assert set(problem_kinds.KINDS) == set(ERRORS)


@pytest.mark.parametrize("cls", ERRORS, ids=lambda cls: cls.__name__)
def test_only_what_is_wrong_with_the_request_is_told_in_the_errors_words(cls: type[Exception]) -> None:
    """Other errors may name hosts, keys or files."""
    problem = problems.problem_of(raised(cls))
    if problem.status >= 500 or issubclass(cls, JobsError):
        assert "the words of the error" not in problem.model_dump_json()
    else:
        assert problem.detail == "the words of the error"


def test_a_subclass_that_nobody_mapped_is_answered_as_its_parent() -> None:
    class Flooded(StoreUnavailable):
        pass

    assert problems.problem_of(Flooded()).code == "store_unavailable"


def test_options_of_the_core_are_named_as_the_form_names_them() -> None:
    problem = problems.problem_of(InvalidInput("no", field="options.steps", reason="option_invalid"))
    assert (problem.field, problem.errors[0].pointer) == ("steps", "#/steps")


def test_pointers_are_escaped() -> None:
    assert problems.problem_of(InvalidInput("no", field="a/b~c")).errors[0].pointer == "#/a~1b~0c"


@pytest.mark.parametrize(
    ("loc", "code", "pointer"),
    [
        (("body", "steps"), "option_invalid", "#/steps"),
        (("body", "uploads", 0, "a/b"), "option_invalid", "#/uploads/0/a~1b"),
        (("header", "prefer"), "header_invalid", None),
        (("path", "user"), "path_invalid", None),
        (("query", "cursor"), "option_invalid", None),
    ],
)
def test_validation_errors_point_at_the_place(loc: tuple[str | int, ...], code: str, pointer: str | None) -> None:
    problem = problems.problem_of_validation(
        Request({"type": "http"}), RequestValidationError([{"loc": loc, "type": "any", "msg": "no"}])
    )
    (detail,) = problem.errors
    assert (detail.code, detail.pointer, detail.field) == (code, pointer, loc[1])


@pytest.mark.parametrize(
    ("error", "code"), [(StoreUnavailable, "store_unavailable"), (ArtifactsUnavailable, "artifacts_unavailable")]
)
def test_a_silent_part_is_a_retryable_503_that_names_no_host(
    api: Api, monkeypatch: pytest.MonkeyPatch, error: type[Exception], code: str
) -> None:
    def silent(*_: object) -> None:
        raise error("redis://:secret@10.0.0.7 refused")

    monkeypatch.setattr(api.store.records, "get", silent)
    answer = api.client.get(f"/edits/e_{'0' * 32}")
    problem = assert_problem(answer, 503, problem_kinds.KINDS[error].code)
    assert problem["retryable"] is True
    assert int(answer.headers["retry-after"]) > 0
    assert "secret" not in answer.text


def test_a_fault_of_ours_is_a_500_without_its_insides(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret insides")

    monkeypatch.setattr(api.store.records, "get", broken)
    answer = TestClient(api.client.app, raise_server_exceptions=False).get(f"/edits/e_{'0' * 32}")
    assert_problem(answer, 500, "internal")
    assert "secret" not in answer.text


def test_an_unknown_path_is_a_404_problem(api: Api) -> None:
    assert_problem(api.client.get("/nowhere"), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/edits", "GET, HEAD, POST"),
        ("PATCH", NOBODYS, "DELETE, GET, HEAD"),
        ("POST", "/files/x", "GET, HEAD, PUT"),
        ("PUT", "/docs", "GET, HEAD"),
    ],
)
def test_a_wrong_method_is_a_405_problem_that_names_the_right_ones(api: Api, method: str, path: str, allowed: str) -> None:
    answer = api.client.request(method, path)
    assert_problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == allowed


def test_problems_are_never_cached(api: Api) -> None:
    assert api.client.get("/nowhere").headers["cache-control"] == "no-store"
