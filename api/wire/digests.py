"""`Content-Digest` (RFC 9530): who sends one is told when the bytes that came are not the bytes that were sent."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping

from fastapi import HTTPException
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ALGORITHMS = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}
"""Those that RFC 9530 calls active; others are passed over, as it wants."""
_MEMBER = re.compile(r"\s*([a-z*][a-z0-9_.*-]*)=:([A-Za-z0-9+/=]*):\s*")


class DigestMismatch(HTTPException):
    """Answered as 400 `digest_mismatch`."""

    code = "digest_mismatch"

    def __init__(self, detail: str) -> None:
        super().__init__(400, detail)


def parse(header: str) -> Mapping[str, bytes]:
    """The digests by algorithm, as far as they are known here. Raises `DigestMismatch` for what is no such header."""
    digests = {}
    for member in header.split(","):
        match = _MEMBER.fullmatch(member)
        if match is None:
            raise DigestMismatch("Content-Digest must read like `sha-256=:<base64>:`")
        try:
            digests[match[1]] = base64.b64decode(match[2], validate=True)
        except binascii.Error as error:
            raise DigestMismatch("Content-Digest holds something that is not base64") from error
    return {name: digests[name] for name in ALGORITHMS if name in digests}


def check(header: str | None, data: bytes, what: str) -> None:
    """Raises `DigestMismatch` if `header`, where there is one, speaks of other bytes."""
    for name, wanted in parse(header).items() if header is not None else ():
        if ALGORITHMS[name](data).digest() != wanted:
            raise DigestMismatch(f"{what} is not what its Content-Digest says: send it again")


class ContentDigest:
    """Hold bodies against their `Content-Digest` while they are read; the reader gets the last of one only if it agrees."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        header = Headers(scope=scope).get("content-digest") if scope["type"] == "http" else None
        # Whoever answers a GET reads no body; a stream asks for one all the same, to hear of the caller going away.
        if header is None or scope["method"] == "GET":
            await self._app(scope, receive, send)
            return
        sums = {name: make() for name, make in ALGORITHMS.items()}

        async def receive_checked() -> Message:
            wanted = parse(header)
            message = await receive()
            if message["type"] != "http.request":
                return message
            for name in wanted:
                sums[name].update(message.get("body", b""))
            if not message.get("more_body", False) and any(sums[name].digest() != value for name, value in wanted.items()):
                raise DigestMismatch("the body is not what its Content-Digest says: send it again")
            return message

        await self._app(scope, receive_checked, send)
