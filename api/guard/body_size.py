"""A size limit for request bodies, enforced before anything parses them."""

from __future__ import annotations

from contextlib import suppress

import anyio
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.wire import problems

DRAIN_TIMES = 4
DRAIN_S = 10
"""A client that sends its whole body before it reads would see a connection reset instead of the error. So the rest of the body is
read and discarded, up to `DRAIN_TIMES` the limit and for at most `DRAIN_S` seconds."""


class BodyLimit:
    """Middleware that rejects bodies over `max_bytes`, by `Content-Length` or while they are read.

    Starlette's middleware counts the bytes. It would answer a too large `Content-Length` in plain text, so that is answered here.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._counted = RequestBodyLimitMiddleware(app, max_body_size=max_bytes)
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._counted(scope, receive, send)
            return
        headers = Headers(scope=scope)
        waits = headers.get("expect", "").lower() == "100-continue"  # the client has not sent its body yet
        length = headers.get("content-length", "")
        ended = False

        async def counted() -> Message:
            nonlocal ended
            message = await receive()
            ended = not message.get("more_body", False)
            return message

        async def drain_then_send(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 413 and not waits and not ended:
                await drain(receive, DRAIN_TIMES * self._max_bytes)
            await send(message)

        if length.isdecimal() and int(length) > self._max_bytes:
            refusal = HTTPException(413, f"the request is too large: send at most {self._max_bytes} bytes")
            answer = problems.response(problems.problem_of_http(refusal), {"Connection": "close"})
            await answer(scope, receive, drain_then_send)
        else:
            await self._counted(scope, counted, drain_then_send)


async def drain(receive: Receive, at_most: int) -> None:
    """Read and discard up to `at_most` bytes, for at most `DRAIN_S` seconds."""
    with anyio.move_on_after(DRAIN_S), suppress(HTTPException):  # `SlowBodies` may end it earlier
        more = True
        while more and at_most > 0:
            message = await receive()
            at_most -= len(message.get("body", b""))
            more = message.get("more_body", False)
