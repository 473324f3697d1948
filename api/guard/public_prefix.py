"""The path prefix of the service's public address, in the headers that name other paths of the service."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_TARGET = re.compile(r"(?<=<)/(?!/)")
"""The beginning of a path in a `Link` header."""


class PublicPrefix:
    """Middleware that adds the path of `public_url` to paths in `Location` and `Link`.

    A proxy serves the service below that path and removes it from requests, so the routes do not know it. Redirects name only the
    path: the proxy may have changed scheme and host too.
    """

    def __init__(self, app: ASGIApp, public_url: str) -> None:
        self._app = app
        self._prefix = urlsplit(public_url).path.rstrip("/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_prefixed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if "location" in headers:
                    headers["location"] = self._prefix + _path_of(headers["location"])
                if self._prefix and "link" in headers:
                    headers["link"] = _TARGET.sub(f"{self._prefix}/", headers["link"])
            await send(message)

        await self._app(scope, receive, send_prefixed)


def _path_of(location: str) -> str:
    """Return path and query of a URL. The service names only URLs of its own."""
    parts = urlsplit(location)
    return parts.path + (f"?{parts.query}" if parts.query else "")
