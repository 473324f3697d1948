"""Authentication before a body is read, so that the service never parses or buffers data of unknown callers."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from api.guard.auth import Authenticator, Sender
from api.guard.limits import DRAIN_TIMES, drain
from api.guard.slow_bodies import SENDER, has_body
from api.wire import problems
from s2edit_jobs.records.errors import AccessDenied, RateExceeded, ServiceUnavailable


class UploadGuard:
    """Middleware that rejects requests with a body whose caller can't be identified. Routes check scopes and limits.

    Uploads to a signed URL need no credentials: their route verifies the signature before it reads a byte.
    """

    def __init__(self, app: ASGIApp, auth: Authenticator, max_bytes: int) -> None:
        self._app = app
        self._auth = auth
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not has_body(request := Request(scope)) or _is_signed_upload(request):
            await self._app(scope, receive, send)
            return
        sender = Sender.of(request)
        try:
            principal = self._auth.identify_cached(sender)
            if principal is None:
                principal = await run_in_threadpool(self._auth.identify, sender)
            scope.setdefault("state", {})[SENDER] = principal.owner
        except (AccessDenied, RateExceeded) as error:
            if request.headers.get("expect", "").lower() != "100-continue":
                await drain(receive, DRAIN_TIMES * self._max_bytes)
            answer = problems.response(problems.problem_of(error), {**problems.headers_of(error), "Connection": "close"})
            await answer(scope, receive, send)
            return
        except ServiceUnavailable:  # the route answers with the error
            pass
        await self._app(scope, receive, send)


def _is_signed_upload(request: Request) -> bool:
    return request.method == "PUT" and request.url.path.startswith("/files/")
