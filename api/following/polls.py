"""A poll that finds nothing new. Apps ask again each second, so such an answer costs no look into Redis and no change of threads.

It is given only where the route would give the same one: to whom the edit belongs, within the limits, while what was last seen of
it holds (`Changes.seen`). Everything else goes on to the route.
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from api.changes import Changes
from api.deps import counted
from api.following.edit_state import matches, tag_headers
from api.guard.auth import Asked, Authenticator, Principal
from s2edit_jobs.records.errors import AccessDenied, RateExceeded

PREFIX = "/edits/"
ROUTE = "/edits/{edit_id}"


@dataclass(frozen=True, slots=True)
class _Route:
    """What the log calls such a request."""

    path: str = ROUTE


class Polls:
    """Answers 304 where that is known; `RateHeaders` and `TestHeader` must be around it."""

    def __init__(self, app: ASGIApp, auth: Authenticator, changes: Changes) -> None:
        self._app = app
        self._auth = auth
        self._changes = changes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self._unchanged(scope) if scope["type"] == "http" and scope["method"] == "GET" else None
        await (answer or self._app)(scope, receive, send)

    def _unchanged(self, scope: Scope) -> Response | None:
        path: str = scope["path"]
        record = self._changes.seen(path[len(PREFIX) :]) if path.startswith(PREFIX) else None
        if record is None:
            return None
        headers = Headers(scope=scope)
        tag = headers.get("if-none-match")
        if tag is None or "prefer" in headers or not matches(tag, record):
            return None
        request = Request(scope)
        principal = self._principal(request)
        if principal is None or principal.owner != record.owner:
            return None
        scope["route"] = _Route()
        return Response(status_code=304, headers=tag_headers(record))

    def _principal(self, request: Request) -> Principal | None:
        """Who asks, if nothing must be looked up to know it and they may; counted as by the route."""
        try:
            principal = self._auth.known(Asked.of(request))
            return counted(request, principal, ROUTE) if principal is not None else None
        except (AccessDenied, RateExceeded):  # the route says so
            return None
