"""The OpenAPI description, with what FastAPI can't know: that errors are problems of their own media type."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.description.answers import HEADERS, add_headers, add_links
from api.description.texts import complete
from api.wire.problems import MEDIA_TYPE

REFUSALS = {
    "401": "Who is asking?",
    "403": "This is not allowed",
    "421": "This is no name of the service",
    "429": "Too many requests",
}
"""What every operation that wants credentials may answer."""
UNREADABLE = {"400": "The request can't be read", "413": "The request is too large"}
"""What every operation that reads a body may answer."""


def describe(app: FastAPI) -> None:
    """Make `app.openapi()` say that every error answer is `application/problem+json`."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
                webhooks=app.webhooks.routes,
            )
            complete(schema)
            schema["components"]["headers"] = HEADERS
            for operations in schema["paths"].values():
                for operation in operations.values():
                    _add_refusals(operation)
                    _as_problems(operation["responses"])
                    add_headers(operation)
                    add_links(operation)
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _add_refusals(operation: dict[str, Any]) -> None:
    refusals = (REFUSALS if "security" in operation else {}) | (UNREADABLE if "requestBody" in operation else {})
    for status, description in refusals.items():
        content = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
        operation["responses"].setdefault(status, {"description": description, "content": content})


def _as_problems(responses: dict[str, Any]) -> None:
    for status, answer in responses.items():
        content = answer.get("content", {})
        written_as = next((kind for kind in ("application/json", "text/event-stream") if kind in content), None)
        if status >= "4" and written_as:  # "404", "4XX" and "default"
            answer["content"] = {MEDIA_TYPE: content[written_as]}
