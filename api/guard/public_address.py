"""The address at which callers reach the service, in the headers and links that lead back to it."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from s2edit_jobs.access.host_names import host_name, is_loopback
from s2edit_jobs.stores.object_store.filesystem_artifacts import LINK_BASE

_TARGET = re.compile(r"(?<=<)/(?!/)")
"""The beginning of a path in a `Link` header."""
_HOST = re.compile(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
"""What a `Host` header may say. Anything else never gets into a link."""


class PublicAddress:
    """Middleware that makes links and redirects lead to where the caller reached the service.

    A `public_url` that names a host is that address: links begin with it. A proxy serves the service below its path and removes the
    path from requests, so the routes do not know it. This middleware adds it to the paths in `Location` and `Link`. Redirects name
    only the path: the proxy may have changed scheme and host too.

    A `public_url` on this machine, such as the default, helps nobody elsewhere. Then links begin with the scheme and host of the
    request. The routes check whether the caller may use that host (`OriginGuard`) before they make any link.
    """

    def __init__(self, app: ASGIApp, public_url: str) -> None:
        self._app = app
        self._prefix = urlsplit(public_url).path.rstrip("/")
        self._follows_host = is_loopback(host_name(urlsplit(public_url).netloc))

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

        token = LINK_BASE.set(self._link_base(scope))
        try:
            await self._app(scope, receive, send_prefixed)
        finally:
            LINK_BASE.reset(token)

    def _link_base(self, scope: Scope) -> str | None:
        host = Headers(scope=scope).get("host", "")
        if not self._follows_host or not _HOST.fullmatch(host):
            return None
        return f"{scope['scheme']}://{host}{self._prefix}"


def _path_of(location: str) -> str:
    """Return path and query of a URL. The service names only URLs of its own."""
    parts = urlsplit(location)
    return parts.path + (f"?{parts.query}" if parts.query else "")
