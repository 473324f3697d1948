"""One request's way through the processes, by the W3C's `traceparent`: `00-<trace id>-<span id>-<flags>`."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_current: ContextVar[str | None] = ContextVar("traceparent", default=None)
_FORM = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(-.*)?")


def continued(traceparent: str | None) -> str:
    """A span of our own in the caller's trace; in a new one where `traceparent` is missing or malformed."""
    found = _FORM.fullmatch(traceparent or "")
    if found is None or (found[1] == "00" and found[4]):
        return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00"
    return f"00-{found[2]}-{secrets.token_hex(8)}-{found[3]}"


def trace_id(traceparent: str) -> str:
    return traceparent.split("-")[1]


@contextmanager
def answering(traceparent: str) -> Iterator[None]:
    """While the request of this trace is answered, in this context and the threads that it asks."""
    token = _current.set(traceparent)
    try:
        yield
    finally:
        _current.reset(token)


def current() -> str | None:
    """The `traceparent` of the request that is being answered in this context."""
    return _current.get()
