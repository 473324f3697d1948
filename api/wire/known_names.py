"""The parts and fields that a route takes, and the messages for a name that is none of them."""

from __future__ import annotations

import difflib
from collections.abc import Collection

from fastapi import Request
from pydantic import BaseModel

LONGEST = 80
"""Characters of an unknown name that a message repeats. Comparing takes time with the square of it."""


def body_names(request: Request) -> Collection[str]:
    """Return the names of the form parts or JSON fields that the request's route takes; none if it takes no such body."""
    field = getattr(request.scope.get("route"), "body_field", None)
    model = field.field_info.annotation if field is not None else None
    return tuple(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else ()


def unknown(what: str, name: str, known: Collection[str]) -> str:
    """Return the message for a name that is not among `known`. `what` is the kind of the name, such as "part"."""
    name = name[:LONGEST]
    if near := difflib.get_close_matches(name, known, 1):
        return f"unknown {what} {name!r}: did you mean {near[0]!r}?"
    remedy = f"use {', '.join(known)}" if known else "leave it out"
    return f"unknown {what} {name!r}: {remedy}"
