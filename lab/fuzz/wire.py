"""An ASGI wrapper between fuzzer and service: it adds headers that no schema names, and checks every answer."""

from __future__ import annotations

import base64
import hashlib
import random
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lab.fuzz.world import ORIGIN, PREFIX, USER

PROBLEM = "application/problem+json"
SHOWN = re.compile(rb'"([ecau]_[0-9a-f]{32})"')
CODE = re.compile(rb'"code":"(\w+)"')
LINKS = re.compile(rb'"(https?://[^"]+/files/[^"]+)"')
COMMON = {"content-length", "content-type", "cache-control", "vary", "x-content-type-options", "connection", "date"}
"""Headers of HTTP itself, which an OpenAPI description does not list."""
KEPT = 50
"""Number of ids or links of each kind that are remembered; newer ones replace the oldest."""
NO_OPERATION = "no operation"
"""Under which answers to paths and methods that are not described are counted."""


@dataclass
class Observed:
    """The ids and links in the answers to one caller, which later requests can use."""

    ids: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))  # by first letter
    links: list[str] = field(default_factory=list)
    erased: set[str] = field(default_factory=set)

    def add(self, body: bytes) -> None:
        for an_id in map(bytes.decode, SHOWN.findall(body)):
            if an_id not in self.erased:
                _keep(self.ids[an_id[0]], an_id)
        for link in LINKS.findall(body):
            _keep(self.links, link.decode())

    def erase(self, *ids: str) -> None:
        """Forget ids: requests that name them are rightly answered 404."""
        self.erased.update(ids)
        for known in self.ids.values():
            known[:] = [each for each in known if each not in self.erased]


def _keep(known: list[str], value: str) -> None:
    if value not in known:
        known.append(value)
        del known[:-KEPT]


class CheckedApp:
    """The app with a check of its answers against `described`, its OpenAPI description. `undocumented` counts the violations.

    Half of the requests go to `behind_proxy`: the same service, which knows that a proxy serves it below a prefix. All addresses
    in its answers must have that prefix.
    """

    def __init__(self, app: ASGIApp, behind_proxy: ASGIApp, described: Mapping[str, Any], rng: random.Random) -> None:
        self._apps = (app, behind_proxy)
        self._described = described
        self._rng = rng
        names = sorted(described["paths"], key=lambda path: path.count("{"))  # `/identities/import` before `/identities/{id}`
        self._paths = [(re.compile(re.sub(r"\\{(\w+)\\}", _any_part, re.escape(path))), path) for path in names]
        self.answers: Counter[tuple[str, int]] = Counter()
        self.codes: Counter[str] = Counter()  # of the problems in answers
        self.undocumented: Counter[str] = Counter()
        self.observed: dict[str, Observed] = defaultdict(Observed)  # by `Authorization` header

    @property
    def requests(self) -> int:
        return self.answers.total()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._apps[0](scope, receive, send)
            return
        proxied = self._rng.random() < 0.5
        first = await receive()
        scope["headers"] = [*scope["headers"], *self._additions(first.get("body", b""))]
        caller = Headers(scope=scope).get("authorization", "")
        started: Message = {}
        body = bytearray()

        async def again() -> Message:
            nonlocal first
            message, first = first, {}
            return message or await receive()

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                started.update(message)
            else:
                body.extend(message.get("body", b""))
            await send(message)

        try:
            await self._apps[proxied](scope, again, watched)
        finally:
            if Headers(raw=started["headers"]).get("s2edit-user", USER) == USER:  # nobody else's ids exist for it
                self.observed[caller].add(bytes(body))
            if scope["method"] == "DELETE" and started["status"] < 300:
                self._forget(scope["path"])
            headers = Headers(raw=started["headers"])
            unprefixed = _unprefixed(headers, bytes(body)) if proxied else []
            self._check(scope, started["status"], headers, bytes(body), unprefixed)

    def _forget(self, path: str) -> None:
        """Forget what a request to `path` has erased: one thing, or all that the user has."""
        for observed in self.observed.values():
            if path == f"/users/{USER}":
                observed.erase(*(an_id for known in observed.ids.values() for an_id in known))
            else:
                observed.erase(path.rpartition("/")[2])

    def _additions(self, body: bytes) -> list[tuple[bytes, bytes]]:
        """Return random extra headers, which any request can have."""
        digest = base64.b64encode(hashlib.sha256(body).digest())
        some = {
            b"content-digest": self._rng.choices([b"sha-256=:%s:" % digest, b"sha-256=:AAAA:", b"\xff"], [8, 1, 1])[0],
            b"host": self._rng.choice([b"evil.example", b"", b"[", b"127.0.0.1:8000"]),
            b"origin": self._rng.choice([ORIGIN.encode(), b"https://evil.example", b"null", b"\xff"]),
            b"range": self._rng.choice([b"bytes=0-9", b"bytes=99999-", b"bytes=9-1", b"bytes=0-1,3-4", b"lines=1-2", b"\xff"]),
            b"x-forwarded-for": self._rng.choice([b"192.0.2.7", b"127.0.0.1", b"::1, 10.0.0.1", b"unknown", b"\xff"]),
            b"x-forwarded-proto": self._rng.choice([b"https", b"ftp", b"\xff"]),
            b"x-forwarded-host": self._rng.choice([b"evil.example", b"[", b""]),
            b"x-forwarded-prefix": self._rng.choice([b"/else", b"//evil.example", b"\xff"]),
            b"forwarded": self._rng.choice([b"for=127.0.0.1;proto=https", b"for=", b"\xff"]),
            b"via": b"1.1 proxy",
            b"x-http-method-override": b"DELETE",
            b"x-original-url": b"/users/ann",
            b"traceparent": self._rng.choice([b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01", b"\xff"]),
            b"x-request-id": self._rng.choice([b"12345678", b"\xff", b"a" * 100]),
        }
        return [(name, value) for name, value in some.items() if self._rng.random() < 0.05]

    def _check(self, scope: Scope, status: int, headers: Headers, body: bytes, more_faults: list[str]) -> None:
        path = next((path for form, path in self._paths if form.fullmatch(scope["path"])), None)
        operation = self._described["paths"].get(path, {}).get(scope["method"].lower())
        name = f"{scope['method']} {path}" if operation else NO_OPERATION
        self.answers[name, status] += 1
        if status >= 400 and (code := CODE.search(body)):
            self.codes[f"{status} {code[1].decode()}"] += 1
        problem = "application/json" if scope["path"].startswith("/v1/") else PROBLEM  # errors there have OpenAI's shape
        for fault in [*_faults(operation, status, headers, body, problem), *more_faults]:
            self.undocumented[f"{name}: {status}: {fault}"] += 1


def _any_part(match: re.Match[str]) -> str:
    return r"[\s\S]+" if match[1] == "key" else "[^/]+"


def _unprefixed(headers: Headers, body: bytes) -> list[str]:
    """Return the addresses of the service in an answer that lack the proxy's prefix."""
    paths = [headers["location"]] if "location" in headers else []
    paths += re.findall(r"<(.*?)>", headers.get("link", ""))
    links = [f"the link {link.decode()}" for link in LINKS.findall(body) if not link.startswith(f"{ORIGIN}{PREFIX}/".encode())]
    return [f"{each} lacks the prefix" for each in (*(path for path in paths if not path.startswith(f"{PREFIX}/")), *links)]


def _faults(operation: Mapping[str, Any] | None, status: int, headers: Headers, body: bytes, problem: str) -> list[str]:
    """Return the violations of an answer. `operation` is the description of the requested operation, None if there is none."""
    media_type = headers.get("content-type", "").partition(";")[0]
    faults = [f"a server error: {body[:200]!r}"] if status >= 500 else []
    if status >= 400 and media_type != problem:
        faults.append(f"the media type is {media_type!r} instead of {problem}")
    if operation is None:
        if status not in (400, 401, 404, 405, 413):
            faults.append("an unknown operation is not rejected")
        return faults
    answer = operation["responses"].get(str(status))
    if answer is None:
        return [*faults, f"the status is not described: {body[:200]!r}"]
    if body and media_type not in answer.get("content", {}):
        faults.append(f"the media type {media_type!r} is not described")
    named = {header.lower() for header in answer.get("headers", {})}
    unnamed = {name for name in headers if name not in COMMON | named and not name.startswith("access-control-")}
    return [*faults, *(f"the header {header!r} is not described" for header in sorted(unnamed))]
