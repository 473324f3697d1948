"""Who calls is asked before a body is read: who may not call can't make the service parse and keep what they send."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from api.guard.auth import Asked, Authenticator
from api.guard.limits import DRAIN_TIMES, drain
from api.wire import problems
from s2edit_jobs.records.errors import AccessDenied, ServiceUnavailable


class Gate:
    """Answers requests with a body whose sender is not known; the others, and what else is to be asked, are the routes' own.

    Files sent by a signed link need no credentials: their route reads no byte before it has looked at the signature.
    """

    def __init__(self, app: ASGIApp, auth: Authenticator, max_bytes: int) -> None:
        self._app = app
        self._auth = auth
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _has_body(request := Request(scope)) or _by_link(request):
            await self._app(scope, receive, send)
            return
        asked = Asked.of(request)
        try:
            if self._auth.known(asked) is None:
                await run_in_threadpool(self._auth.identify, asked)
        except AccessDenied as error:
            if request.headers.get("expect", "").lower() != "100-continue":
                await drain(receive, DRAIN_TIMES * self._max_bytes)
            answer = problems.response(problems.problem_of(error), {**problems.headers_of(error), "Connection": "close"})
            await answer(scope, receive, send)
            return
        except ServiceUnavailable:  # the route answers that
            pass
        await self._app(scope, receive, send)


def _has_body(request: Request) -> bool:
    return request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers


def _by_link(request: Request) -> bool:
    return request.method == "PUT" and request.url.path.startswith("/files/")
