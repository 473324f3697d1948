"""Headers that say who calls and for whom a response is: the user, and whether the caller is in test mode."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.wire import problems
from s2edit_jobs.records.record import Owner

TEST_HEADER = "S2Edit-Test"
USER_HEADER = "S2Edit-User"
SINGLE = (b"authorization", b"s2edit-user", b"idempotency-key", b"content-type")
"""Request headers that decide whose data a request changes, or how. Of two, a proxy in between might have checked the other one."""
STATE = "owner"
"""The key in a request's state under which `admit` leaves the owner that the caller acts for."""


class CallerHeaders:
    """Middleware that names the user in every response to an identified caller, and marks those of test mode. Errors included.

    A backend that forgets to name a user thus sees that it has acted for `default`. A request that names two is rejected.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        names = [name for name, _ in scope["headers"]]
        for single in SINGLE:
            if names.count(single) > 1:
                error = HTTPException(400, f"the header {single.decode()} was sent more than once: send it once")
                await problems.response(problems.problem_of_http(error), {"Connection": "close"})(scope, receive, send)
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
