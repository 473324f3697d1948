"""Pictures in `data:` URLs, as clients write them (RFC 2397): scheme and `;base64` in any case, wrapped lines, no padding."""

from __future__ import annotations

import base64
from urllib.parse import unquote_to_bytes


def is_data_url(text: str) -> bool:
    return text[:5].lower() == "data:"


def body_of(url: str) -> bytes | None:
    """Return the base64 text of a `data:` URL, or None if it has none."""
    head, comma, body = url.partition(",")
    return body.encode() if comma and head.lower().rstrip().endswith(";base64") else None


def decoded(body: bytes) -> bytes:
    """Return the bytes that the base64 text of a `data:` URL stands for. Raises `ValueError`."""
    text = b"".join((unquote_to_bytes(body) if b"%" in body else body).split())
    return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
