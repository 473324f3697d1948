"""Bodies of ordinary size reach the parser in one piece, and their files stay in memory."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.formparsers import MultiPartParser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

IN_MEMORY_BYTES = 4_000_000
"""A photo as phones take it. What is larger goes by a file, as it comes: so a sender holds little memory, however slow it is."""

MultiPartParser.spool_max_size = IN_MEMORY_BYTES  # else every piece beyond the first megabyte costs two changes of threads


class WholeBody:
    """Collects bodies whose stated length is at most `IN_MEMORY_BYTES`; others pass as they come."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            stated = Headers(scope=scope).get("content-length", "")
            if stated.isdecimal() and 0 < int(stated) <= IN_MEMORY_BYTES:
                receive = _collecting(receive)
        await self._app(scope, receive, send)


def _collecting(receive: Receive) -> Receive:
    complete = False

    async def whole() -> Message:
        nonlocal complete
        pieces: list[bytes] = []
        while not complete:
            message = await receive()
            if message["type"] != "http.request":  # the sender is gone
                return message
            pieces.append(message.get("body", b""))
            if not message.get("more_body", False):
                complete = True
                return {"type": "http.request", "body": b"".join(pieces), "more_body": False}
        return await receive()

    return whole
