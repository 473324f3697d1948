"""Small bodies arrive in one piece, larger ones as they are sent."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message, Receive, Scope, Send

from api.guard.whole_body import IN_MEMORY_BYTES, WholeBody


async def seen_by_the_app(length: int | None, sent: list[Message]) -> list[Message]:
    """Return what an app behind `WholeBody` receives of a body whose `Content-Length` is `length`."""
    got: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while not got or got[-1].get("more_body"):
            got.append(await receive())

    async def receive() -> Message:
        return sent.pop(0)

    async def send(message: Message) -> None:
        raise AssertionError(message)

    headers = [] if length is None else [(b"content-length", str(length).encode())]
    await WholeBody(app)({"type": "http", "headers": headers}, receive, send)
    return got


def piece(body: bytes, *, more: bool = True) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def test_a_small_one_is_put_together() -> None:
    got = asyncio.run(seen_by_the_app(4, [piece(b"ab"), piece(b"cd"), piece(b"", more=False)]))
    assert got == [piece(b"abcd", more=False)]


@pytest.mark.parametrize("length", [None, 0, IN_MEMORY_BYTES + 1])
def test_others_pass_as_they_come(length: int | None) -> None:
    sent = [piece(b"ab"), piece(b"cd", more=False)]
    assert asyncio.run(seen_by_the_app(length, list(sent))) == sent


def test_a_sender_who_is_gone_is_told_at_once() -> None:
    gone: Message = {"type": "http.disconnect"}
    assert asyncio.run(seen_by_the_app(9, [piece(b"ab"), gone])) == [gone]
