"""Bounds of the HTTP transport. The SDK has no deadline for bodies, and holds every GET open."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.guard.slow_bodies import SlowBodies

MIN_BYTES_PER_S = 4096
"""At which a body must arrive on average, as `S2EDIT_MIN_UPLOAD_BYTES_PER_S` of the service."""
BODIES = 2
"""How many of the largest bodies are held at once. A request for which there is no room is asked to come again."""
RETRY_S = 5


def bounded(app: ASGIApp, max_body: int) -> ASGIApp:
    """Return `app` behind deadlines for bodies of at most `max_body` bytes."""
    return SlowBodies(_WholeRequests(app, max_body), MIN_BYTES_PER_S)


class _WholeRequests:
    """Reads each body before the app does, and refuses GET: a server without sessions has no messages to stream."""

    def __init__(self, app: ASGIApp, max_body: int) -> None:
        self._app = app
        self._max_body = max_body
        self._held = 0  # bytes of all bodies that are being read or answered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        messages: list[Message] = []
        size = 0
        try:
            if scope["method"] == "GET":
                raise HTTPException(405, "There is no stream: this server has no sessions.", headers={"Allow": "POST"})
            while not messages or messages[-1].get("more_body", False):
                messages.append(await receive())
                size += (length := len(messages[-1].get("body", b"")))
                self._held += length
                self._check(size)
        except HTTPException as error:
            await PlainTextResponse(error.detail, error.status_code, error.headers)(scope, receive, send)
        else:
            await self._app(scope, _replayed(messages, receive), send)
        finally:
            self._held -= size

    def _check(self, size: int) -> None:
        """Raise `HTTPException` if a body has become too large, or all bodies together."""
        if size > self._max_body:
            raise HTTPException(413, f"The request is too large: send at most {self._max_body:,} bytes.")
        if self._held > BODIES * self._max_body:
            raise HTTPException(503, "There are too many large requests: come again.", headers={"Retry-After": str(RETRY_S)})


def _replayed(messages: list[Message], receive: Receive) -> Receive:
    """Return a `receive` that gives `messages` first, and lets go of each."""
    messages.reverse()

    async def next_message() -> Message:
        return messages.pop() if messages else await receive()

    return next_message
