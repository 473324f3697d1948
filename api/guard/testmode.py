"""A header that marks every response to a test key or test token."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "S2Edit-Test"
STATE = "test"
"""The key in a request's state that says whether its caller is in test mode."""


class TestHeader:
    """Middleware that adds `S2Edit-Test: true` to the responses of test mode, errors included."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})

        async def send_with(message: Message) -> None:
            if message["type"] == "http.response.start" and state.get(STATE):
                MutableHeaders(scope=message)[HEADER] = "true"
            await send(message)

        await self._app(scope, receive, send_with)
