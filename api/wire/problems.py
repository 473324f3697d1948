"""Errors to answers: the one map from error classes to RFC 9457 problems. Every error of the service leaves through here."""

from __future__ import annotations

import http
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException

from api.wire.schemas import Problem, ProblemDetail
from s2edit_core import errors as core
from s2edit_jobs.records import errors as jobs

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 5
"""What a caller is told to wait when a part of the service does not answer."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Kind:
    """How errors of one class are answered. With `detail`, the error's own message stays inside: it may name hosts or keys."""

    status: int
    code: str
    title: str
    detail: str | None = None


INTERNAL = Kind(
    500,
    "internal",
    "Something went wrong here",
    "The fault is not in the request: ask again, and tell who runs the service the X-Request-Id if it stays.",
)

KINDS: Mapping[type[Exception], Kind] = {
    core.S2EditError: INTERNAL,
    core.InvalidInput: Kind(422, "invalid_input", "The request can't be done as asked"),
    core.ImageInvalid: Kind(422, "image_invalid", "The image can't be used"),
    core.MaskInvalid: Kind(422, "mask_invalid", "The mask can't be used"),
    core.PromptInvalid: Kind(422, "prompt_invalid", "The prompt can't be used"),
    core.OptionInvalid: Kind(422, "option_invalid", "An option can't be used"),
    core.PolicyRefused: Kind(422, "policy_refused", "This service does not do that"),
    core.ArtifactMismatch: Kind(409, "artifact_mismatch", "Made by another model or other settings"),
    core.ModelUnusable: Kind(
        500,
        "model_unusable",
        "The model can't be used",
        "The service's model is incomplete or of an unsupported kind: tell who runs the service.",
    ),
    core.NumbersNotFinite: Kind(
        500, "numbers_not_finite", "The computation failed", "A computation left the range of numbers: try another seed."
    ),
    jobs.JobsError: INTERNAL,
    jobs.JobNotFound: Kind(404, "not_found", "There is nothing here", "No such edit of this user: look at GET /edits."),
    jobs.IdentityNotFound: Kind(
        404, "not_found", "There is nothing here", "No such identity of this user: look at GET /identities."
    ),
    jobs.UploadNotFound: Kind(
        404, "not_found", "There is nothing here", "No such upload of this user, or its time is over: announce a new one."
    ),
    jobs.UploadUnfinished: Kind(409, "upload_unfinished", "The upload is not finished", "Send the upload's bytes first."),
    jobs.UploadMismatch: Kind(
        422,
        "upload_mismatch",
        "The upload can't be used",
        "The bytes that came are not those that were announced: announce and send them anew.",
    ),
    jobs.AttributeNotFound: Kind(
        404, "not_found", "There is nothing here", "No such attribute of this user: look at GET /attributes."
    ),
    jobs.LeaseLost: Kind(
        409, "lease_lost", "Another attempt has taken over", "Another attempt works on this edit, or it is over: ask how it stands."
    ),
    jobs.ArtifactMissing: Kind(404, "not_found", "There is nothing here", "No such file: ask for a fresh link."),
    jobs.ArtifactExists: Kind(
        409, "already_exists", "It has been written before", "A file that is written once exists already: go on with it."
    ),
    jobs.KeyReused: Kind(
        422,
        "idempotency_key_reused",
        "The key belongs to another request",
        "This Idempotency-Key came with another request before: take a new key for a new request.",
    ),
    jobs.AccessDenied: Kind(
        403, "forbidden", "This is not allowed", "The request may not be done with these credentials: send others."
    ),
    jobs.CredentialsMissing: Kind(
        401,
        "credentials_missing",
        "Who is asking?",
        "Send an API key (who runs the service makes them by `s2edit keys create`) or a device token: Authorization: Bearer …",
    ),
    jobs.CredentialsInvalid: Kind(
        401,
        "credentials_invalid",
        "The key or token does not count",
        "The key or token is unknown, expired or revoked: take a new one.",
    ),
    jobs.ScopeMissing: Kind(
        403,
        "scope_missing",
        "The key or token is not for this",
        "The key or token lacks the scope that WWW-Authenticate names: take one that has it.",
    ),
    jobs.UserForeign: Kind(
        403,
        "user_foreign",
        "The token is another user's",
        "A device token is for one user: leave out S2Edit-User, or name that user.",
    ),
    jobs.HostForeign: Kind(
        421,
        "host_foreign",
        "This is no name of the service",
        "Any web page could have another name lead here: send a key, or call the service by its address, as localhost, or by the "
        "name in its S2EDIT_PUBLIC_URL.",
    ),
    jobs.OriginForeign: Kind(
        403,
        "origin_foreign",
        "This page may not call",
        "Without a key the service does nothing for pages of other origins: send a key or a token, or name the origin in its "
        "S2EDIT_CORS_ORIGINS.",
    ),
    jobs.TokenSpent: Kind(403, "token_spent", "The token is used up", "This device token's budget is spent: get a new token."),
    jobs.TokensUnavailable: Kind(
        403,
        "tokens_unavailable",
        "No tokens here",
        "This service issues no device tokens: use an API key, or have its S2EDIT_TOKEN_KEYS set.",
    ),
    jobs.Overloaded: Kind(503, "overloaded", "Not available now", "The service has too much to do: ask again later."),
    jobs.RequestInFlight: Kind(
        409,
        "request_in_flight",
        "The same request is under way",
        "A request with this Idempotency-Key is being taken on: ask again.",
    ),
    jobs.BeingErased: Kind(
        409, "being_erased", "The user is being erased", "Everything of this user is being erased: ask again when that is done."
    ),
    jobs.RateExceeded: Kind(
        429,
        "rate_exceeded",
        "Too many requests",
        "This user or tenant asks too often: wait as long as Retry-After says; RateLimit tells the limits.",
    ),
    jobs.QuotaSpent: Kind(
        429,
        "quota_spent",
        "The day's budget is spent",
        "This tenant has used up today's computing: ask again after midnight UTC.",
    ),
    jobs.TooManyEdits: Kind(
        429,
        "too_many_edits",
        "Too many edits at once",
        "This user has too many unfinished edits: wait until one is done, or cancel one.",
    ),
    jobs.QueueFull: Kind(503, "queue_full", "Not available now", "The service has too many unfinished edits: ask again later."),
    jobs.ServiceUnavailable: Kind(
        503, "unavailable", "Not available now", "A part of the service does not answer: ask again in some seconds."
    ),
    jobs.StoreUnavailable: Kind(
        503, "store_unavailable", "Not available now", "The job store does not answer: ask again in some seconds."
    ),
    jobs.ArtifactsUnavailable: Kind(
        503, "artifacts_unavailable", "Not available now", "The object store does not answer: ask again in some seconds."
    ),
    jobs.QueueUnavailable: Kind(
        503, "queue_unavailable", "Not available now", "The queue does not answer: ask again in some seconds."
    ),
    jobs.ModelUnknown: Kind(
        503, "model_unknown", "Not available now", "No worker has started yet with this service's model: ask again when one runs."
    ),
    jobs.ModelFailed: Kind(
        503,
        "model_unusable",
        "Not available now",
        "No worker can load the service's model: tell who runs the service, who finds the reason at /readyz.",
    ),
}

HTTP_CODES: Mapping[int, tuple[str, str]] = {
    400: ("malformed_request", "The request can't be read"),
    401: ("credentials_missing", "Who is asking?"),
    403: ("link_invalid", "This link is not valid"),
    404: ("not_found", "There is nothing here"),
    409: ("conflict", "The request meets another one"),
    405: ("method_not_allowed", "This method is not possible here"),
    412: ("already_exists", "It has been written before"),
    413: ("body_too_large", "The request is too large"),
    415: ("unsupported_media_type", "The request has the wrong content type"),
    416: ("range_invalid", "There is no such part"),
    421: ("host_foreign", "This is no name of the service"),
    422: ("invalid_input", "The request can't be done as asked"),
    429: ("too_many_edits", "Too many edits at once"),
    503: ("unavailable", "Not available now"),
}

HTTP_DETAILS: Mapping[int, str] = {
    404: "The service has nothing at this path: see /docs for what it has.",
    405: "This path knows other methods: see Allow.",
}
"""For what the framework refuses without a word of ours."""


def kind_of(error: Exception) -> Kind:
    """The kind of the error's own class, else of the nearest class above it."""
    return next((KINDS[cls] for cls in type(error).__mro__ if cls in KINDS), INTERNAL)


def problem_of(error: Exception) -> Problem:
    """The problem that `error`, of the core or of the jobs, is answered with."""
    kind = kind_of(error)
    retryable = bool(getattr(error, "retryable", False))
    detail = kind.detail or str(error)
    if not isinstance(error, core.InvalidInput):
        return _problem(kind.status, kind.code, kind.title, detail, retryable=retryable)
    field = error.field.removeprefix("options.")  # the form has no such level
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
    """At `field`, or at what lies `inside` it."""
    steps = [str(step).replace("~", "~0").replace("/", "~1") for step in (field, *inside)]
    return ProblemDetail(detail=detail, code=code, field=field, pointer=f"#/{'/'.join(steps)}")


def response(problem: Problem, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The problem as it goes out; never cached."""
    extra = {"Retry-After": str(RETRY_AFTER_S)} if problem.status == 503 else {}
    return JSONResponse(
        problem.model_dump(mode="json", exclude_none=True),
        status_code=problem.status,
        headers={"Cache-Control": "no-store", **extra, **(headers or {})},
        media_type=MEDIA_TYPE,
    )


def problem_of_http(error: HTTPException) -> Problem:
    """For what the framework refuses itself: unknown paths, wrong methods, unreadable or too large bodies."""
    code, title = HTTP_CODES.get(error.status_code, (f"http_{error.status_code}", http.HTTPStatus(error.status_code).phrase))
    said_by_us = error.detail and error.detail != http.HTTPStatus(error.status_code).phrase
    detail = error.detail if said_by_us else HTTP_DETAILS.get(error.status_code, title)
    return _problem(error.status_code, getattr(error, "code", code), title, detail)


def problem_of_validation(error: RequestValidationError) -> Problem:
    """For parts of the wrong type, and for parts and headers that are missing or malformed."""
    details = [_validation_detail(item) for item in error.errors()]
    return _problem(422, details[0].code, KINDS[core.InvalidInput].title, details[0].detail, errors=details)


def _validation_detail(item: Mapping[str, Any]) -> ProblemDetail:
    place, *path = item["loc"]
    if item["type"] == "json_invalid":
        return ProblemDetail(detail=f"the body is not JSON: {item['ctx']['error']}", code="body_invalid")
    field = str(path[0]) if path else place
    if place in ("header", "path", "query"):  # no place that a JSON pointer could name
        code = "option_invalid" if place == "query" else f"{place}_invalid"
        return ProblemDetail(detail=f"the {place} {field} is not valid: {item['msg']}", code=code, field=field)
    if item["type"] == "extra_forbidden":
        return _at(field, "option_unknown", f"unknown part {field!r}: leave it out")
    if item["type"] == "missing":
        return _at(field, f"{field}_missing", f"the part {field!r} is missing: send it", path[1:])
    return _at(field, "option_invalid", f"the part {field!r} is not valid: {item['msg']}", path[1:])


def not_ready(silent: Sequence[str], trouble: str | None = None) -> Problem:
    """For a readiness check: the parts that do not answer, and what is the `trouble` with the model."""
    errors = [ProblemDetail(detail=f"the {name} does not answer", code="not_ready") for name in silent]
    if trouble is not None:
        errors.append(ProblemDetail(detail=trouble, code="model_unusable"))
    detail = "; ".join(error.detail for error in errors)
    return _problem(503, "not_ready", "Not available now", detail, retryable=True, errors=errors)


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """How a route tells OpenAPI which problems to expect."""
    return {status: {"model": Problem, "description": HTTP_CODES[status][1]} for status in statuses}


def headers_of(error: Exception) -> dict[str, str]:
    """What an answer to `error` says besides its problem."""
    if isinstance(error, jobs.Overloaded):
        return {"Retry-After": str(error.retry_after_s)}
    if isinstance(error, jobs.AccessDenied):  # RFC 6750 §3
        reason = {jobs.CredentialsInvalid: ', error="invalid_token"', jobs.ScopeMissing: ', error="insufficient_scope"'}
        scope = f', scope="{error.scope}"' if isinstance(error, jobs.ScopeMissing) else ""
        return {"WWW-Authenticate": f'Bearer realm="s2edit"{reason.get(type(error), "")}{scope}'}
    return {}


def _methods(request: Request) -> str:
    """All that its path knows: the framework names those of one route only."""
    path = request.scope["route"].path
    return ", ".join(
        sorted(
            {method for route in iter_route_contexts(request.app.routes) if route.path == path for method in route.methods or ()}
        )
    )


def install(app: FastAPI) -> None:
    """Answer every error of `app` by this module."""

    async def known(_: Request, error: Exception) -> JSONResponse:
        problem = problem_of(error)
        if problem.status >= 500:
            log.warning("a part of the service failed", action="problem_answered", code=problem.code, error=str(error))
        return response(problem, headers_of(error))

    async def refused(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        headers = {"Allow": _methods(request)} if error.status_code == 405 else error.headers
        return response(problem_of_http(error), headers)

    async def invalid(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return response(problem_of_validation(error))

    async def unknown(_: Request, error: Exception) -> JSONResponse:
        return response(problem_of(error))  # the server logs the traceback

    app.add_exception_handler(core.S2EditError, known)
    app.add_exception_handler(jobs.JobsError, known)
    app.add_exception_handler(HTTPException, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(Exception, unknown)
