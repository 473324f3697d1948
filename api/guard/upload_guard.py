"""What a request with a body meets before that is read: authentication, the rate limit, and whether it can be read at all.

So the service never parses or buffers data of unknown callers, and a body that is refused has cost its caller a request.
"""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from api.guard.auth import Authenticator, Principal, Sender
from api.guard.body_size import DRAIN_TIMES, drain
from api.guard.rates import COUNTED, Rates
from api.guard.rates import STATE as STANDINGS
from api.guard.slow_bodies import SENDER
from api.wire import problems
from api.wire.bodies.presence import has_body
from s2edit_jobs.records.errors import AccessDenied, RateExceeded, ServiceUnavailable

USER_IN_BODY = ("/v1/images/edits",)
"""Paths whose bodies may name the user, as OpenAI's do. Such a request is counted when its user is known."""


class UploadGuard:
    """Middleware that rejects requests with a body if their caller can't be identified or has sent too many. Routes check scopes.

    Uploads to a signed URL need no credentials: their route verifies the signature before it reads a byte.
    """

    def __init__(self, app: ASGIApp, auth: Authenticator, rates: Rates, max_bytes: int) -> None:
        self._app = app
        self._auth = auth
        self._rates = rates
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not has_body(request := Request(scope)):
            await self._app(scope, receive, send)
            return
        try:
            if not _is_signed_upload(request):
                setattr(request.state, SENDER, (await self._identify(request)).owner)
            _check_uncompressed(request)
        except (AccessDenied, RateExceeded, HTTPException) as error:
            if request.headers.get("expect", "").lower() != "100-continue":
                await drain(receive, DRAIN_TIMES * self._max_bytes)
            problem = problems.problem_of_http(error) if isinstance(error, HTTPException) else problems.problem_of(error)
            answer = problems.response(problem, {**problems.headers_of(error), "Connection": "close"})
            await answer(scope, receive, send)
            return
        except ServiceUnavailable:  # the route answers with the error
            pass
        await self._app(scope, receive, send)

    async def _identify(self, request: Request) -> Principal:
        sender = Sender.of(request)
        principal = self._auth.identify_cached(sender)
        if principal is None or principal.key_id:  # else nothing here needs I/O
            principal = await run_in_threadpool(self._count, request, principal, sender)
        return principal

    def _count(self, request: Request, known: Principal | None, sender: Sender) -> Principal:
        """Identify the caller and count the request. Raises `AccessDenied`, `RateExceeded` or `ServiceUnavailable`."""
        principal = known or self._auth.identify(sender)
        if not principal.names_user and request.url.path in USER_IN_BODY:
            self._rates.check_tenant(principal.owner, request.method)
        elif principal.key_id:
            setattr(request.state, COUNTED, True)
            self._rates.take(principal.owner, request.method, getattr(request.state, STANDINGS))
        return principal


def _check_uncompressed(request: Request) -> None:
    """Raise `HTTPException` for a compressed body. Unpacked, a small one could fill the memory; photos are compressed already."""
    coding = request.headers.get("content-encoding", "").strip()
    if coding.lower() not in ("", "identity"):
        raise HTTPException(415, f"the body is compressed ({coding[:20]}): send it without Content-Encoding")


def _is_signed_upload(request: Request) -> bool:
    return request.method == "PUT" and request.url.path.startswith("/files/")
