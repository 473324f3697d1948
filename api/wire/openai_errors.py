"""Errors as OpenAI's API answers them, for the paths below `/v1/`. Their SDKs choose an error class by the status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

PREFIX = "/v1/"
STATUSES: Mapping[int, int] = {410: 404, 415: 400, 421: 403, 422: 400}
"""Statuses that the SDKs have no error class for, and what is sent instead."""
TYPES: Mapping[int, str] = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
"""The `type` of an error by its status, where it is neither a wrong request nor a fault of the service."""
RETRIED = (408, 409, 429)
"""Statuses below 500 that the SDKs send again unless `x-should-retry` forbids it."""


class OpenAIErrorBody(BaseModel):
    """What is wrong."""

    message: Annotated[str, Field(description="The explanation for people. It may change.")]
    type: Annotated[str, Field(description="The kind of error, by its status.", examples=["invalid_request_error"])]
    param: Annotated[str | None, Field(description="The parameter at fault; null where none is.")]
    code: Annotated[str, Field(description="A stable error code for programs, the same as outside `/v1`.")]


class OpenAIError(BaseModel):
    """An error in the shape of OpenAI's API."""

    error: Annotated[OpenAIErrorBody, Field(description="What is wrong.")]


def speaks_openai(path: str) -> bool:
    """Return whether errors of this path have OpenAI's shape."""
    return path.startswith(PREFIX)


def body_of(status: int, code: str, message: str, param: str | None) -> dict[str, Any]:
    """Return the body of an error."""
    status = STATUSES.get(status, status)
    kind = TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def response(
    status: int, code: str, message: str, param: str | None, *, retryable: bool, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Return the response for an error. `x-should-retry` keeps the SDKs from repeating what would fail again."""
    sent = STATUSES.get(status, status)
    retry = {"x-should-retry": "true" if retryable else "false"} if sent in RETRIED or sent >= 500 else {}
    return JSONResponse(
        body_of(status, code, message, param), status_code=sent, headers={"Cache-Control": "no-store", **retry, **(headers or {})}
    )
