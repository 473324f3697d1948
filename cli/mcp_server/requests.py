"""Bounds of the HTTP transport. The SDK has no deadline for bodies, and holds every GET open."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.guard.slow_bodies import SlowBodies

MIN_BYTES_PER_S = 4096
"""At which a body must arrive on average, as `S2EDIT_MIN_UPLOAD_BYTES_PER_S` of the service."""


def bounded(app: ASGIApp, max_body: int) -> ASGIApp:
    """Return `app` behind deadlines for bodies of at most `max_body` bytes."""
    return SlowBodies(_WholeRequests(app, max_body), MIN_BYTES_PER_S)


class _WholeRequests:
    """Reads each body before the app does, and refuses GET: a server without sessions has no messages to stream."""

    def __init__(self, app: ASGIApp, max_body: int) -> None:
        self._app = app
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        try:
            if scope["method"] == "GET":
                raise HTTPException(405, "There is no stream: this server has no sessions.", headers={"Allow": "POST"})
            messages = await self._body(receive)
        except HTTPException as error:
            return await PlainTextResponse(error.detail, error.status_code, error.headers)(scope, receive, send)

        async def replayed() -> Message:
            return messages.pop() if messages else await receive()

        return await self._app(scope, replayed, send)

    async def _body(self, receive: Receive) -> list[Message]:
        """Return the messages that make up the body, the first one last. Raises `HTTPException` 408 and 413."""
        messages, size = [await receive()], 0
        while messages[-1].get("more_body", False):
            size += len(messages[-1].get("body", b""))
            if size > self._max_body:
                raise HTTPException(413, f"The request is too large: send at most {self._max_body:,} bytes.")
            messages.append(await receive())
        return messages[::-1]
