"""The OpenAPI description of the app: FastAPI's, with errors as `application/problem+json` and the additions of this room."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.description.answers import HEADERS, add_headers, add_links
from api.description.shared_responses import share_errors
from api.description.texts import add_texts
from api.wire.openai_errors import RETRIED, STATUSES, speaks_openai
from api.wire.problem_kinds import HTTP_CODES, KINDS
from api.wire.problems import MEDIA_TYPE
from s2edit_core.request.spec import MAX_SEED
from s2edit_jobs.records.errors import AccessDenied, CredentialsMissing, HostForeign, RateExceeded

CALLER_ERRORS = {
    "401": KINDS[CredentialsMissing].title,
    "403": KINDS[AccessDenied].title,
    "421": KINDS[HostForeign].title,
    "429": KINDS[RateExceeded].title,
}
"""The errors of every operation that needs credentials, by status."""
BODY_ERRORS = {str(status): HTTP_CODES[status][1] for status in (400, 413, 415)}
"""The errors of every operation that reads a body, by status."""


def describe(app: FastAPI, public_url: str, schemas: Mapping[str, Any]) -> None:
    """Make `app.openapi()` return the complete description of a service that apps reach at `public_url`.

    `schemas` are those of bodies that routes read by themselves, by name.
    """
    # Without the host, because a page may have been reached by another of the service's addresses.
    server = {"url": urlsplit(public_url).path.rstrip("/") or "/", "description": "This service"}

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
                webhooks=app.webhooks.routes,
                servers=[server],
            )
            schema["components"]["schemas"].update(schemas)
            _make_limits_whole(schema["components"]["schemas"])
            add_texts(schema)
            schema["components"]["headers"] = HEADERS
            for webhook in schema["webhooks"].values():
                webhook["post"]["security"] = []
            for path, operations in schema["paths"].items():
                for operation in operations.values():
                    _add_errors(operation)
                    _as_openai_errors(operation["responses"]) if speaks_openai(path) else _as_problems(operation["responses"])
                    add_headers(operation)
                    add_links(operation)
            share_errors(schema)
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _make_limits_whole(node: Any) -> None:
    """Write the limits of whole numbers as whole numbers. FastAPI writes floating-point ones, which makes 2⁶³ of 2⁶³ − 1."""
    if isinstance(node, list):
        for each in node:
            _make_limits_whole(each)
    elif isinstance(node, dict):
        if node.get("type") == "integer":
            node.update({name: min(int(node[name]), MAX_SEED) for name in ("minimum", "maximum") if name in node})
        for each in node.values():
            _make_limits_whole(each)


def _add_errors(operation: dict[str, Any]) -> None:
    errors = (CALLER_ERRORS if operation["security"] else {}) | (BODY_ERRORS if "requestBody" in operation else {})
    for status, description in errors.items():
        content = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
        operation["responses"].setdefault(status, {"description": description, "content": content})


def _as_openai_errors(responses: dict[str, Any]) -> None:
    """Describe the error responses of an operation below `/v1/`."""
    for status in [status for status in responses if status >= "4"]:
        if status.isdecimal() and int(status) in STATUSES:
            del responses[status]
        else:
            responses[status]["content"] = {"application/json": {"schema": {"$ref": "#/components/schemas/OpenAIError"}}}
            if status == "default" or int(status) in RETRIED or status >= "5":
                responses[status]["headers"] = {"X-Should-Retry": {"$ref": "#/components/headers/X-Should-Retry"}}


def _as_problems(responses: dict[str, Any]) -> None:
    """Change the media type of error responses, which FastAPI takes from the route."""
    for status, answer in responses.items():
        content = answer.get("content", {})
        if status >= "4" and content:  # "404", "4XX" and "default"
            answer["content"] = {MEDIA_TYPE: next(filter(None, content.values()))}  # the one with a schema
