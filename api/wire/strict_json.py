"""JSON bodies in which every key stands once and every number is finite.

Python's parser would silently take the last of two values, and read `NaN` and `1e999`, which JSON does not have.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute


class StrictRequest(Request):
    """A request whose `json` raises `json.JSONDecodeError` for a repeated key or an infinite number, as for any invalid body."""

    async def json(self) -> Any:
        if not hasattr(self, "_json"):
            body = await self.body()
            self._json = json.loads(body, object_pairs_hook=_object, parse_float=_number, parse_constant=_number)
        return self._json


class StrictRoute(APIRoute):
    """A route that takes a JSON body. The framework answers its errors with `json_invalid`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_strictly(request: Request) -> Response:
            return await handle(StrictRequest(request.scope, request.receive))

        return handle_strictly


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise json.JSONDecodeError(f"{text[:80]} is not a finite number", "", 0)
    return number


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise json.JSONDecodeError(f"the key {name[:80]!r} is repeated, send it once", "", 0)
        found[name] = value
    return found
