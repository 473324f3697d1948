"""Fast answers to polls of an unchanged edit. Apps poll every second, so such a poll reads no Redis and switches no thread.

The middleware answers only if the route would give the same response: the caller owns the edit and is within the rate limits,
and `Changes` has its record cached. Everything else goes on to the route.
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from api.changes import Changes
from api.deps import admit
from api.following.edit_state import matches, tag_headers
from api.guard.auth import Authenticator, Principal, Sender
from s2edit_jobs.records.errors import AccessDenied, RateExceeded

PREFIX = "/edits/"
ROUTE = "/edits/{edit_id}"


@dataclass(frozen=True, slots=True)
class _Route:
    """Stands in for the route, whose path the request log reads."""

    path: str = ROUTE


class Polls:
    """Middleware that answers 304 from the cache. `RateHeaders` and `CallerHeaders` must wrap it."""

    def __init__(self, app: ASGIApp, auth: Authenticator, changes: Changes) -> None:
        self._app = app
        self._auth = auth
        self._changes = changes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self._unchanged(scope) if scope["type"] == "http" and scope["method"] == "GET" else None
        await (answer or self._app)(scope, receive, send)

    def _unchanged(self, scope: Scope) -> Response | None:
        path: str = scope["path"]
        record = self._changes.cached(path[len(PREFIX) :]) if path.startswith(PREFIX) else None
        if record is None:
            return None
        headers, settings = Headers(scope=scope), scope["app"].state.services.settings
        tag = headers.get("if-none-match")
        if tag is None or "prefer" in headers or scope["query_string"] or not matches(tag, settings, record):
            return None
        request = Request(scope)
        principal = self._principal(request)
        if principal is None or principal.owner != record.owner:
            return None
        scope["route"] = _Route()
        return Response(status_code=304, headers=tag_headers(settings, record))

    def _principal(self, request: Request) -> Principal | None:
        """Return the caller if it is admitted and no lookup is needed. The request counts as it does in the route."""
        try:
            principal = self._auth.identify_cached(Sender.of(request))
            return admit(request, principal, ROUTE) if principal is not None else None
        except (AccessDenied, RateExceeded):  # the route answers with the error
            return None
