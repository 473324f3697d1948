"""Whether a request has a body, by its head."""

from __future__ import annotations

from starlette.requests import Request


def has_body(request: Request) -> bool:
    return request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
