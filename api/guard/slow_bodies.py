"""Deadlines for request bodies, so that slow senders do not hold connections and memory for ever.

A body must arrive at `S2EDIT_MIN_UPLOAD_BYTES_PER_S` on average, after `GRACE_S` seconds that every body gets. A body that takes
longer than `SLOW_AFTER_S` seconds counts as slow, and the number of slow bodies is bounded per user, per tenant and in all. Only
the time for which the service waits counts.
"""

from __future__ import annotations

import asyncio
from collections import Counter

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.wire.bodies.presence import has_body
from s2edit_jobs.records.record import Owner

GRACE_S = 20.0
SLOW_AFTER_S = 2.0
MAX_SLOW_PER_USER, MAX_SLOW_PER_TENANT, MAX_SLOW = 8, 32, 64
"""Bodies below `IN_MEMORY_BYTES` (4 MB) wait in memory, so slow ones take at most 256 MB of each process."""
SENDER = "sender"
"""The key in a request's state under which `UploadGuard` leaves the owner that it has identified."""


class SlowBodies:
    """Middleware that ends requests whose bodies arrive too slowly with 408. A rate of 0 is no limit."""

    def __init__(self, app: ASGIApp, min_bytes_per_s: int) -> None:
        self._app = app
        self._min_bytes_per_s = min_bytes_per_s
        self._slow: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._min_bytes_per_s or not has_body(Request(scope)):
            await self._app(scope, receive, send)
            return
        body = _Body(scope, receive, self._slow, self._min_bytes_per_s)
        try:
            await self._app(scope, body.receive, send)
        finally:
            body.end()


class _Body:
    """One body on its way."""

    def __init__(self, scope: Scope, receive: Receive, slow: Counter[str], min_bytes_per_s: int) -> None:
        self._scope = scope
        self._receive = receive
        self._slow = slow
        self._min_bytes_per_s = min_bytes_per_s
        self._names: tuple[str, ...] = ()  # under which it counts as slow
        self._received = 0
        self._waited_s = 0.0
        self._complete = False

    async def receive(self) -> Message:
        """Return the next message. Raises `HTTPException` 408."""
        if self._complete:
            return await self._receive()  # waits for a disconnect
        while True:
            until_s = self._ends_s if self._names else min(self._ends_s, SLOW_AFTER_S)
            began = asyncio.get_running_loop().time()
            try:
                async with asyncio.timeout(max(0.01, until_s - self._waited_s)):
                    message = await self._receive()
            except TimeoutError:
                self._waited_s += asyncio.get_running_loop().time() - began
                self._check()
                continue
            self._waited_s += asyncio.get_running_loop().time() - began
            self._received += len(message.get("body", b""))
            if not message.get("more_body", False):
                self._complete = True
                self.end()
            return message

    @property
    def _ends_s(self) -> float:
        return GRACE_S + self._received / self._min_bytes_per_s

    def _check(self) -> None:
        if self._waited_s >= self._ends_s:
            raise _TooSlow(f"send at least {self._min_bytes_per_s} bytes per second")
        if not self._names and self._waited_s >= SLOW_AFTER_S:
            names = _counted_as(self._scope)
            for name, most in zip(names, (MAX_SLOW_PER_USER, MAX_SLOW_PER_TENANT, MAX_SLOW), strict=True):
                if self._slow[name] >= most:
                    raise _TooSlow("too many requests are being sent slowly: send fewer at a time")
            self._slow.update(names)
            self._names = names

    def end(self) -> None:
        """Count the body as slow no longer."""
        self._slow.subtract(self._names)
        for name in self._names:
            if not self._slow[name]:
                del self._slow[name]
        self._names = ()


def _counted_as(scope: Scope) -> tuple[str, str, str]:
    """Return the names of user, tenant and everybody. A signed upload names its owner in its path."""
    owner = scope.get("state", {}).get(SENDER)
    if isinstance(owner, Owner):
        return owner.name, owner.tenant, ""
    parts = scope["path"].split("/")
    if len(parts) > 5 and parts[1:3] == ["files", "t"]:
        return f"{parts[3]}/{parts[5]}", parts[3], ""
    address = str((scope.get("client") or ("",))[0])
    return f"{address}/", address, ""


class _TooSlow(HTTPException):
    retryable = True

    def __init__(self, hint: str) -> None:
        super().__init__(408, f"the body arrived too slowly: {hint}", headers={"Connection": "close"})
