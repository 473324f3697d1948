"""Buffering of small bodies: they reach the form parser in one piece, and their files stay in memory."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.formparsers import MultiPartParser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

IN_MEMORY_BYTES = 4_000_000
"""Enough for a photo of a phone. Larger bodies are spooled to a file as they arrive, so slow senders hold little memory."""

MultiPartParser.spool_max_size = IN_MEMORY_BYTES  # each chunk after the first megabyte would cost two thread switches


class WholeBody:
    """Middleware that buffers bodies whose `Content-Length` is at most `IN_MEMORY_BYTES`. Others pass through."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            length = Headers(scope=scope).get("content-length", "")
            if length.isdecimal() and 0 < int(length) <= IN_MEMORY_BYTES:
                receive = _buffered(receive)
        await self._app(scope, receive, send)


def _buffered(receive: Receive) -> Receive:
    complete = False

    async def whole() -> Message:
        nonlocal complete
        pieces: list[bytes] = []
        while not complete:
            message = await receive()
            if message["type"] != "http.request":  # the client disconnected
                return message
            pieces.append(message.get("body", b""))
            if not message.get("more_body", False):
                complete = True
                return {"type": "http.request", "body": b"".join(pieces), "more_body": False}
        return await receive()

    return whole
