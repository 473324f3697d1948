"""The size of request bodies, limited before anything parses them."""

from __future__ import annotations

import anyio
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.wire import problems

DRAIN_TIMES = 4
DRAIN_S = 10
"""A client that writes its whole body before it reads would see a reset connection instead of the refusal: so up to
`DRAIN_TIMES` the limit is read on and thrown away, for at most `DRAIN_S` seconds."""


class BodyLimit:
    """Refuse bodies over `max_bytes`: by their stated length at once, others while they are counted.

    Starlette's middleware does the counting. It would answer stated lengths in plain text, so those are answered here.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._counted = RequestBodyLimitMiddleware(app, max_body_size=max_bytes)
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._counted(scope, receive, send)
            return
        headers = Headers(scope=scope)
        waits = headers.get("expect", "").lower() == "100-continue"  # such a client reads first: nothing needs draining
        stated = headers.get("content-length", "")
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

        if stated.isdecimal() and int(stated) > self._max_bytes:
            refusal = HTTPException(413, f"the request is larger than {self._max_bytes} bytes")
            answer = problems.response(problems.problem_of_http(refusal), {"Connection": "close"})
            await answer(scope, receive, drain_then_send)
        else:
            await self._counted(scope, counted, drain_then_send)


async def drain(receive: Receive, at_most: int) -> None:
    """Read on for `at_most` bytes or `DRAIN_S` seconds."""
    with anyio.move_on_after(DRAIN_S):
        more = True
        while more and at_most > 0:
            message = await receive()
            at_most -= len(message.get("body", b""))
            more = message.get("more_body", False)
