"""Web pages and this service: which of them may call, and how those are kept out that nobody has let in.

Where keys are asked for, a page without one gets nowhere. Where nobody needs a key, each page that is open in a browser of this
machine could call: from its own origin, which `Origin` betrays, or by a name of its own that it has lead to this machine (DNS
rebinding), which `Host` betrays.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from urllib.parse import urlsplit

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from s2edit_jobs.records.errors import HostForeign, OriginForeign
from s2edit_jobs.settings import Settings

METHODS = ("GET", "POST", "PUT", "DELETE")
SENT = (
    "Authorization",
    "Content-Digest",
    "Idempotency-Key",
    "If-None-Match",
    "Last-Event-ID",
    "Prefer",
    "S2Edit-User",
    "Traceparent",
    "X-Request-Id",
)
"""Headers that a page may send, besides those that each may."""
SHOWN = (
    "Content-Disposition",
    "ETag",
    "Link",
    "Location",
    "Preference-Applied",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "S2Edit-Test",
    "WWW-Authenticate",
    "X-Request-Id",
)
"""Headers of answers that a page may read, besides those that each may."""


def let_pages_call(app: FastAPI, settings: Settings) -> None:
    """Let pages of `settings.cors_origins` call, with a key or a token: there are no cookies. Add it last: so preflights pass
    everything else, and errors of everything else may be read."""
    if settings.allowed_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.allowed_origins,
            allow_methods=METHODS,
            allow_headers=SENT,
            expose_headers=SHOWN,
        )


class Door:
    """Tells programs of this machine from pages in its browser, where nobody needs a key."""

    def __init__(self, settings: Settings) -> None:
        public = urlsplit(settings.public_url)
        self._name = public.hostname or ""
        self._origins = {f"{public.scheme}://{public.netloc}".lower(), *settings.allowed_origins} - {"*"}

    def check(self, host: str, origin: str | None) -> None:
        """By a request's headers. Raises `HostForeign` or `OriginForeign`.

        A name can be made to lead here by whoever owns it; an address can't, and neither can `localhost`.
        """
        name = _name_in(host)
        if not (is_address(name) or name == "localhost" or name.endswith(".localhost") or name == self._name):
            raise HostForeign(f"the request was sent to {name!r}")
        if origin is not None and origin.lower() not in self._origins and origin.lower().partition("://")[2] != host.lower():
            raise OriginForeign(f"the request was sent by a page of {origin!r}")


def _name_in(host: str) -> str:
    """Of a `Host` header, without the port."""
    try:
        return (urlsplit(f"//{host}").hostname or "").removesuffix(".")
    except ValueError:
        return ""


@lru_cache(maxsize=1024)  # of the same few, for each request
def is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
