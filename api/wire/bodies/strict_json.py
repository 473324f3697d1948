"""JSON bodies, read strictly: small, in UTF-8, every key once, numbers of a sane length, and nothing that JSON does not allow.

Python's parser would silently take the last of two values, accept `NaN`, and return halves of surrogate pairs, which cannot be
stored.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NoReturn

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from api.wire.bodies.presence import has_body
from s2edit_core.request.numbers import MAX_DIGITS

MAX_JSON_BYTES = 64 * 1024
"""Many times the largest valid document. Checking a large wrong one would cost more than its caller pays for sending it."""
BOM = b"\xef\xbb\xbf"
"""Some libraries begin UTF-8 with it. RFC 8259 lets a reader ignore it."""


_JSON = re.compile(r"application/([a-z0-9.-]+\+)?json")


class StrictRequest(Request):
    """A request with a small JSON body."""

    async def body(self) -> bytes:
        """Return the body. Raise `HTTPException` 413 as soon as it is too large."""
        if not hasattr(self, "_body"):
            pieces, size = [], 0
            async for piece in self.stream():
                pieces.append(piece)
                size += len(piece)
                if size > MAX_JSON_BYTES:
                    raise HTTPException(413, f"the JSON body is too large: send at most {MAX_JSON_BYTES} bytes")
            self._body = b"".join(pieces)
        return self._body

    async def json(self) -> Any:
        """Return the value. Raise `json.JSONDecodeError` for any invalid body."""
        if not hasattr(self, "_json"):
            self._json = parse(await self.body())
        return self._json


class StrictRoute(APIRoute):
    """A route that takes a JSON body. The framework answers its errors with `json_invalid`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_strictly(request: Request) -> Response:
            content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if request.method in ("POST", "PATCH") and has_body(request) and not _JSON.fullmatch(content_type):
                raise HTTPException(415, "send the request as application/json, and say so in Content-Type")
            return await handle(StrictRequest(request.scope, request.receive))

        return handle_strictly


def parse(body: bytes) -> Any:
    """Return the value of a JSON text. Raise `json.JSONDecodeError`, whose message says what to change."""
    try:
        value = json.loads(
            body.removeprefix(BOM).decode("utf-8"),
            object_pairs_hook=_object,
            parse_int=_short,
            parse_float=_finite,
            parse_constant=_no_constant,
        )
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeDecodeError:
        raise json.JSONDecodeError("the text is not UTF-8", "", 0) from None
    except UnicodeEncodeError:
        raise json.JSONDecodeError("a text contains half of a surrogate pair, send both halves", "", 0) from None
    except RecursionError:
        raise json.JSONDecodeError("the values are nested too deeply", "", 0) from None
    return value


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise json.JSONDecodeError(f"the key {name[:80]!r} is repeated, send it once", "", 0)
        found[name] = value
    return found


def _short(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise json.JSONDecodeError(f"a number has {len(text):,} digits", "", 0)
    return int(text)


def _finite(text: str) -> float:
    """Return the number. `1e999` would become infinite."""
    if math.isinf(number := float(text)):
        _no_constant(text[:80])
    return number


def _no_constant(name: str) -> NoReturn:
    raise json.JSONDecodeError(f"{name} is not a finite number", "", 0)
