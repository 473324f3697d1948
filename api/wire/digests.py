"""`Content-Digest` (RFC 9530): reject a body or a part whose bytes differ from the digest that came with it."""

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
"""The algorithms that RFC 9530 calls active. Others are ignored, as it requires."""
_MEMBER = re.compile(r"\s*([a-z*][a-z0-9_.*-]*)=:([A-Za-z0-9+/=]*):\s*")


class DigestMismatch(HTTPException):
    """A 400 with the code `digest_mismatch`. It is `retryable` unless the header itself is malformed."""

    code = "digest_mismatch"

    def __init__(self, detail: str, *, retryable: bool = False) -> None:
        super().__init__(400, detail)
        self.retryable = retryable


def parse(header: str) -> Mapping[str, bytes]:
    """Return the digests of the known algorithms. Raises `DigestMismatch` for a malformed header."""
    digests = {}
    for member in header.split(","):
        match = _MEMBER.fullmatch(member)
        if match is None:
            raise DigestMismatch("Content-Digest must have the form `sha-256=:<base64>:`")
        try:
            digests[match[1]] = base64.b64decode(match[2], validate=True)
        except binascii.Error as error:
            raise DigestMismatch("the digest in Content-Digest is not valid base64") from error
    return {name: digests[name] for name in ALGORITHMS if name in digests}


def check(header: str | None, data: bytes, what: str) -> None:
    """Raise `DigestMismatch` if `header`, if present, is not the digest of `data`. `what` names the data in the message."""
    for name, wanted in parse(header).items() if header is not None else ():
        if ALGORITHMS[name](data).digest() != wanted:
            raise DigestMismatch(f"{what} does not match its Content-Digest: send it again", retryable=True)


class ContentDigest:
    """Middleware that checks bodies against `Content-Digest` while they are read. The app never sees the end of a wrong one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        header = Headers(scope=scope).get("content-digest") if scope["type"] == "http" else None
        # No route reads the body of a GET. An event stream does call `receive`, but only to notice a disconnect.
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
                raise DigestMismatch("the body does not match its Content-Digest: send it again", retryable=True)
            return message

        await self._app(scope, receive_checked, send)
