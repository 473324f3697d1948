"""The request log: every request gets an id, belongs to a trace, and is logged in one line.

The line names the route, not the URL, which contains ids and user names. A 304 is not logged: apps poll every second.
"""

from __future__ import annotations

import re
import time
import uuid

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from api.wire import problems
from s2edit_jobs.records.trace import answering, continued, trace_id

HEADER = "X-Request-Id"
_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")

log = structlog.get_logger(__name__)


class RequestLog:
    """The outermost middleware. It also answers unhandled exceptions, so that these responses have an id too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get(HEADER, "")
        request_id = given if _ID.fullmatch(given) else uuid.uuid4().hex
        traceparent = continued(headers.get("traceparent"))
        with bound_contextvars(request_id=request_id, trace_id=trace_id(traceparent)), answering(traceparent):
            await _Exchange(self._app, scope, request_id).run(receive, send)


class _Exchange:
    """One request and its response."""

    def __init__(self, app: ASGIApp, scope: Scope, request_id: str) -> None:
        self._app = app
        self._scope = scope
        self._request_id = request_id
        self._status: int | None = None

    async def run(self, receive: Receive, send: Send) -> None:
        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[HEADER] = self._request_id
                headers["X-Content-Type-Options"] = "nosniff"  # an answer holds texts of callers: no browser may guess its type
            await send(message)

        began = time.perf_counter()
        try:
            await self._app(self._scope, receive, send_with_id)
        except ClientDisconnect:  # a sender who cuts a body off can do so at will: that is no error, and nobody reads an answer
            log.info("the sender has gone", action="sender_gone", route=self._route)
        except Exception as error:
            log.exception("a request failed", action="request_failed", route=self._route)
            if self._status is not None:  # the response has begun, so the connection must break
                raise
            await problems.response(problems.problem_of(error))(self._scope, receive, send_with_id)
        finally:
            self._report(time.perf_counter() - began)

    def _report(self, seconds: float) -> None:
        method, status = self._scope["method"], self._status
        self._scope["app"].state.metrics.answered(method, self._route, status, seconds)
        if status != 304:
            log.info("request", action="request", method=method, route=self._route, status=status, seconds=round(seconds, 4))

    @property
    def _route(self) -> str | None:
        """The path template, such as `/edits/{edit_id}`; None if no route matched."""
        return getattr(self._scope.get("route"), "path", None)
