"""Protection against web pages: CORS, and checks of `Host` and `Origin` while no key is needed.

Where a key is needed, a page without one can do nothing. Without keys, any page open in a browser on this machine could call the
service: cross-origin, which the `Origin` header shows, or by DNS rebinding, that is under a name that the page's owner points to
this machine, which the `Host` header shows.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from s2edit_jobs.access.host_names import host_name, is_unowned
from s2edit_jobs.records.errors import HostForeign, OriginForeign
from s2edit_jobs.settings import Settings

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
EXPOSED_HEADERS = (
    "Accept-Ranges",
    "Content-Disposition",
    "Content-Range",
    "ETag",
    "Link",
    "Location",
    "Preference-Applied",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "S2Edit-Test",
    "S2Edit-User",
    "WWW-Authenticate",
    "X-Request-Id",
    "X-Should-Retry",
)
"""Response headers that a page may read, besides the CORS-safelisted ones."""


def add_cors(app: FastAPI, settings: Settings) -> None:
    """Allow pages of `settings.cors_origins` to call, with a key or token; there are no cookies.

    They may send any header: SDKs and tracing add their own, such as `X-Stainless-OS` of OpenAI's. No header gives a page rights,
    except a key or token.

    Call this last, so that the CORS middleware is outermost: it answers preflights itself and lets pages read every error.
    """
    if settings.allowed_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.allowed_origins,
            allow_methods=METHODS,
            allow_headers=("*",),
            expose_headers=EXPOSED_HEADERS,
        )


class OriginGuard:
    """Tells programs on this machine from web pages in its browsers, for requests without a key."""

    def __init__(self, settings: Settings) -> None:
        public = urlsplit(settings.public_url)
        self._name = public.hostname or ""
        self._origins = {f"{public.scheme}://{public.netloc}".lower(), *settings.allowed_origins} - {"*"}

    def check(self, host: str, origin: str | None) -> None:
        """Check the headers of a request. Raises `HostForeign` or `OriginForeign`.

        An attacker can point a domain name to this machine, but neither an IP address nor `localhost`.
        """
        name = host_name(host)
        if not (is_unowned(name) or name == self._name):
            raise HostForeign(f"the request was sent to {name!r}")
        if origin is not None and origin.lower() not in self._origins and origin.lower().partition("://")[2] != host.lower():
            raise OriginForeign(f"the request was sent by a page of {origin!r}")
