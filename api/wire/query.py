"""Query parameters that a route does not declare, that come twice or are empty are rejected. FastAPI would silently drop them."""

from __future__ import annotations

from collections import Counter

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError

from api.wire.known_names import body_names, unknown

UNKNOWN, REPEATED, EMPTY = "query_unknown", "query_repeated", "query_empty"
"""The types of the validation errors, as `api.wire.problems` reads them."""


async def check_query(request: Request) -> None:
    """Raise `RequestValidationError` for a query parameter that the request's route does not declare, or that is repeated or
    empty.

    `api.deps.get_principal` calls it, after it has admitted the caller; routes without a caller depend on it.
    """
    if not request.scope["query_string"]:
        return
    known = _declared(request.scope["route"].dependant)
    faults = []
    for name, count in Counter(name for name, _ in request.query_params.multi_items()).items():
        if name not in known:
            faults.append((UNKNOWN, name, _unknown(request, name, known)))
        elif count > 1:
            faults.append((REPEATED, name, f"the query parameter {name!r} was sent {count} times: send it once"))
        elif not request.query_params[name].strip():
            faults.append((EMPTY, name, f"the query parameter {name!r} is empty: give it a value, or leave it out"))
    if faults:
        raise RequestValidationError([{"type": kind, "loc": ("query", name), "msg": message} for kind, name, message in faults])


def _unknown(request: Request, name: str, known: tuple[str, ...]) -> str:
    if name in body_names(request):
        is_form = request.headers.get("content-type", "").startswith("multipart/")
        return f"{name!r} is no query parameter: send it {'as a part of the form' if is_form else 'in the JSON body'}"
    return unknown("query parameter", name, known)


def _declared(dependant: Dependant) -> tuple[str, ...]:
    """Return the names of the query parameters of a route and its dependencies."""
    inner = [name for dependency in dependant.dependencies for name in _declared(dependency)]
    return (*(field.alias for field in dependant.query_params), *inner)
