"""Headers that say for whom a response is: the user, and whether the caller is in test mode."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from s2edit_jobs.records.record import Owner

TEST_HEADER = "S2Edit-Test"
USER_HEADER = "S2Edit-User"
STATE = "owner"
"""The key in a request's state under which `admit` leaves the owner that the caller acts for."""


class CallerHeaders:
    """Middleware that names the user in every response to an identified caller, and marks those of test mode. Errors included.

    A backend that forgets to name a user thus sees that it has acted for `default`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})

        async def send_with(message: Message) -> None:
            if message["type"] == "http.response.start" and isinstance(owner := state.get(STATE), Owner):
                headers = MutableHeaders(scope=message)
                headers[USER_HEADER] = owner.user
                if owner.test:
                    headers[TEST_HEADER] = "true"
            await send(message)

        await self._app(scope, receive, send_with)
