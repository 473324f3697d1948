"""Requests that the end of the process interrupts are answered with 503, which says that they can be repeated."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.wire import problems
from s2edit_jobs.records.errors import ServiceUnavailable


class ShutdownAnswers:
    """Middleware that answers a canceled request which has no answer yet.

    A server that is told to end waits a few seconds and then cancels what still runs, such as long polls. For a canceled request it
    would answer 500, which reads as a fault of the service.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answered = False

        async def observed(message: Message) -> None:
            nonlocal answered
            answered = True
            await send(message)

        try:
            await self._app(scope, receive, observed)
        except asyncio.CancelledError:
            if answered or scope["type"] != "http":
                raise
            problem = problems.problem_of(ServiceUnavailable("the service ends or starts again"))
            await problems.response(problem)(scope, receive, send)
