"""Error responses: every error of the service becomes an RFC 9457 problem here."""

from __future__ import annotations

import http
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from api.wire import openai_errors
from api.wire.fields import IN_WORDS
from api.wire.known_names import body_names, schema_of, unknown
from api.wire.problem_kinds import HTTP_CODES, HTTP_DETAILS, KINDS, kind_of
from api.wire.query import EMPTY, REPEATED, UNKNOWN
from s2edit_core import errors as core
from s2edit_jobs.records import errors as jobs
from s2edit_jobs.value_rules import fault

MEDIA_TYPE = "application/problem+json"
QUERY_CODES = {UNKNOWN: "option_unknown", REPEATED: "part_repeated", EMPTY: "part_empty"}
"""The codes of the errors of `check_query`, by type."""
MAX_DETAILS = 16
"""The most faults that a problem lists. A wrong list of thousands would make an answer larger than the request."""
RETRY_AFTER_S = 5
"""The `Retry-After` of a 503 whose error names no other."""

log = structlog.get_logger(__name__)


class ProblemDetail(BaseModel):
    """One fault in the request, or one reason why the service is not ready."""

    detail: Annotated[str, Field(description="The explanation for people.")]
    code: Annotated[str, Field(description="A stable error code for programs.")]
    field: Annotated[str | None, Field(description="The form part, JSON field, header or parameter at fault.")] = None
    pointer: Annotated[
        str | None, Field(description="A JSON pointer into the body, where a form counts as an object, such as `#/steps`.")
    ] = None


class Problem(BaseModel):
    """An error response (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:s2edit:problem:mask_empty",
                    "title": "The mask can't be used",
                    "status": 422,
                    "detail": "the mask is empty: paint the region white",
                    "code": "mask_empty",
                    "retryable": False,
                    "field": "mask",
                    "errors": [
                        {
                            "detail": "the mask is empty: paint the region white",
                            "code": "mask_empty",
                            "field": "mask",
                            "pointer": "#/mask",
                        }
                    ],
                }
            ]
        }
    )

    type: Annotated[str, Field(description="`urn:s2edit:problem:` and the code; stable.")]
    title: Annotated[str, Field(description="A summary of the kind of problem, for people.")]
    status: Annotated[int, Field(description="The HTTP status.")]
    detail: Annotated[str, Field(description="The explanation for people. It may change.")]
    code: Annotated[str, Field(description="A stable error code for programs.")]
    retryable: Annotated[bool, Field(description="Whether the same request may succeed later.")] = False
    field: Annotated[str | None, Field(description="The first form part, JSON field, header or parameter at fault.")] = None
    errors: Annotated[
        list[ProblemDetail], Field(description="Each fault by itself, at most 16. Empty where the request is not at fault.")
    ] = []


def problem_of(error: Exception) -> Problem:
    """Return the problem for `error`, an exception of the core or of the jobs."""
    kind = kind_of(error)
    retryable = bool(getattr(error, "retryable", False))
    detail = kind.detail or str(error)
    if not isinstance(error, core.InvalidInput):
        return _problem(kind.status, kind.code, kind.title, detail, retryable=retryable)
    field = error.field.removeprefix("options.")  # the core nests options, the form does not
    return _problem(kind.status, error.reason, kind.title, detail, errors=[_at(field, error.reason, detail)])


def _problem(
    status: int, code: str, title: str, detail: str, *, retryable: bool = False, errors: Sequence[ProblemDetail] = ()
) -> Problem:
    return Problem(
        type=f"urn:s2edit:problem:{code}",
        title=title,
        status=status,
        detail=detail,
        code=code,
        retryable=retryable,
        field=errors[0].field if errors else None,
        errors=list(errors),
    )


def _at(field: str, code: str, detail: str, inside: Sequence[str | int] = ()) -> ProblemDetail:
    """Return the detail for `field`, or for the value at the path `inside` it."""
    steps = [str(step).replace("~", "~0").replace("/", "~1") for step in (field, *inside)]
    return ProblemDetail(detail=detail, code=code, field=field, pointer=f"#/{'/'.join(steps)}")


class _ProblemResponse(JSONResponse):
    """A problem. Below `/v1/` it is sent in the shape of OpenAI's API, whatever part of the service answers."""

    def __init__(self, problem: Problem, headers: Mapping[str, str]) -> None:
        super().__init__(
            problem.model_dump(mode="json", exclude_none=True),
            status_code=problem.status,
            headers={"Cache-Control": "no-store", **headers},
            media_type=MEDIA_TYPE,
        )
        self._problem = problem
        self._sent_headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if openai_errors.speaks_openai(scope["path"]):
            await as_openai_error(self._problem, self._sent_headers)(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def response(problem: Problem, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Return the HTTP response for `problem`. It is never cached."""
    extra = {"Retry-After": str(RETRY_AFTER_S)} if problem.status == 503 else {}
    return _ProblemResponse(problem, {**extra, **(headers or {})})


def as_openai_error(problem: Problem, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Return the response for `problem` in the shape of OpenAI's API."""
    return openai_errors.response(
        problem.status, problem.code, problem.detail, problem.field, retryable=problem.retryable, headers=headers
    )


def problem_of_http(error: HTTPException) -> Problem:
    """Return the problem for an `HTTPException`: unknown paths, wrong methods, unreadable or oversized bodies."""
    code, title = HTTP_CODES.get(error.status_code, (f"http_{error.status_code}", http.HTTPStatus(error.status_code).phrase))
    has_message = error.detail and error.detail != http.HTTPStatus(error.status_code).phrase
    detail = error.detail if has_message else HTTP_DETAILS.get(error.status_code, title)
    retryable = getattr(error, "retryable", False)
    return _problem(error.status_code, getattr(error, "code", code), title, detail, retryable=retryable)


def problem_of_validation(request: Request, error: RequestValidationError) -> Problem:
    """Return the problem for parts, fields, headers and parameters that are missing, unknown or malformed."""
    details = [_validation_detail(request, item) for item in error.errors()[:MAX_DETAILS]]
    return _problem(422, details[0].code, KINDS[core.InvalidInput].title, details[0].detail, errors=details)


def _validation_detail(request: Request, item: Mapping[str, Any]) -> ProblemDetail:
    source, *path = item["loc"]
    if item["type"] == "json_invalid":
        where = f" at character {path[0]}" if path and path[0] else ""
        return ProblemDetail(detail=f"the body is not valid JSON: {item['ctx']['error']}{where}", code="body_invalid")
    if not path:
        return ProblemDetail(detail="the body is missing or no object: send a JSON object", code="body_invalid")
    field = str(path[0])
    if item["type"] in QUERY_CODES:
        return ProblemDetail(detail=item["msg"], code=QUERY_CODES[item["type"]], field=field)
    if item["type"] == "extra_forbidden":
        return _at(field, "option_unknown", unknown("part", field, body_names(request)))
    if item["type"] == "missing":
        return _at(field, f"{field}_missing", f"the part {field!r} is missing: send it", path[1:])
    wrong = item.get("wrong") or fault(schema_of(request, source, field), item, IN_WORDS)
    if source in ("header", "path", "query"):  # a JSON pointer can only name a part of the body
        code = "option_invalid" if source == "query" else f"{source}_invalid"
        where = "header" if source == "header" else f"{source} parameter"
        return ProblemDetail(detail=f"the {where} {field!r} {wrong}", code=code, field=field)
    return _at(field, "option_invalid", f"{field} {wrong}", path[1:])


def not_ready(silent: Sequence[str], model_failure: str | None = None) -> Problem:
    """Return the problem of a failed readiness check: the `silent` parts, and why the model can't be loaded."""
    errors = [ProblemDetail(detail=f"the {name} does not answer", code="not_ready") for name in silent]
    if model_failure is not None:
        errors.append(ProblemDetail(detail=model_failure, code="model_unusable"))
    detail = "; ".join(error.detail for error in errors)
    return _problem(503, "not_ready", "Not available now", detail, retryable=True, errors=errors)


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI descriptions of the problems that a route may answer."""
    return {status: {"model": Problem, "description": HTTP_CODES[status][1]} for status in statuses}


def headers_of(error: Exception) -> dict[str, str]:
    """Return the headers that the response to `error` needs."""
    if isinstance(error, jobs.Overloaded):
        return {"Retry-After": str(error.retry_after_s)}
    if isinstance(error, jobs.AccessDenied):  # RFC 6750 §3
        reason = {jobs.CredentialsInvalid: ', error="invalid_token"', jobs.ScopeMissing: ', error="insufficient_scope"'}
        scope = f', scope="{error.scope}"' if isinstance(error, jobs.ScopeMissing) else ""
        return {"WWW-Authenticate": f'Bearer realm="s2edit"{reason.get(type(error), "")}{scope}'}
    return {}


def _allowed_methods(request: Request) -> str:
    """Return all methods of the request's path. The framework lists only those of the first matching route."""
    path = request.scope["route"].path
    methods = {method for route in iter_route_contexts(request.app.routes) if route.path == path for method in route.methods or ()}
    return ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))


def install(app: FastAPI) -> None:
    """Register the exception handlers of `app`."""

    async def known(_: Request, error: Exception) -> JSONResponse:
        problem = problem_of(error)
        if problem.status >= 500:
            log.warning("a part of the service failed", action="problem_answered", code=problem.code, error=str(error))
        return response(problem, headers_of(error))

    async def refused(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        headers = {"Allow": _allowed_methods(request)} if error.status_code == 405 else error.headers
        return response(problem_of_http(error), headers)

    async def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return response(problem_of_validation(request, error))

    async def unforeseen(_: Request, error: Exception) -> JSONResponse:
        return response(problem_of(error))  # the server logs the traceback

    app.add_exception_handler(core.S2EditError, known)
    app.add_exception_handler(jobs.JobsError, known)
    app.add_exception_handler(HTTPException, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(Exception, unforeseen)
