"""What a request gets that the end of the process interrupts."""

from __future__ import annotations

import asyncio
import json

import pytest
from starlette.types import Message, Receive, Scope, Send

from api.shutdown import ShutdownAnswers

SCOPE = {"type": "http", "method": "GET", "path": "/edits/e_1", "headers": []}


async def canceled(*, after_the_head: bool) -> list[Message]:
    """Return what is sent for a request that is canceled while its route waits."""
    sent: list[Message] = []
    waits = asyncio.Event()

    async def route(_scope: Scope, _receive: Receive, send: Send) -> None:
        if after_the_head:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        waits.set()
        await asyncio.Event().wait()

    async def receive() -> Message:
        raise AssertionError("nothing is read")

    async def send(message: Message) -> None:
        sent.append(message)

    task = asyncio.ensure_future(ShutdownAnswers(route)(SCOPE, receive, send))
    await waits.wait()
    task.cancel()
    await task
    return sent


def test_an_interrupted_request_is_told_to_try_again() -> None:
    head, body = asyncio.run(canceled(after_the_head=False))
    assert head["status"] == 503
    assert dict(head["headers"])[b"retry-after"] == b"5"
    problem = json.loads(body["body"])
    assert (problem["code"], problem["retryable"]) == ("unavailable", True)


def test_an_answer_that_has_begun_is_cut() -> None:
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(canceled(after_the_head=True))
