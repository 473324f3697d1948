"""Connections to the service: which proxy they use, and which errors are the caller's own."""

from __future__ import annotations

import ipaddress

import httpx

LOST = (httpx.TransportError,)
"""Raised if a request or its response is lost: sending it again may help."""
INVALID = (httpx.LocalProtocolError, httpx.UnsupportedProtocol, httpx.InvalidURL, UnicodeEncodeError)
"""Raised for a request that cannot be sent, for example one with a line end in a header. httpx counts two as transport errors."""


def uses_environment(url: str) -> bool:
    """Return whether the proxies of the environment (`HTTP_PROXY` …) apply: not to this machine, which no proxy can reach."""
    try:
        host = httpx.URL(url).host
    except httpx.InvalidURL:  # reported when it is used
        return True
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host != "localhost" and not host.endswith(".localhost")


def checked_token(token: str) -> str:
    """Return the token without blanks and line ends around it, as a file or a shell may add them. Raises `ValueError`."""
    token = token.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError("the key or token is empty, or has blanks, line ends or other characters that none has")
    return token
