"""The parts, fields and parameters that a route takes, and the messages for a name that is none of them."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator
from typing import Annotated, Any

from fastapi import Request
from fastapi.dependencies.models import Dependant
from pydantic import BaseModel

from s2edit_jobs.value_rules import Schema, field_schema, type_schema

LONGEST = 80
"""Characters of an unknown name that a message repeats. Comparing takes time with the square of it."""


def body_names(request: Request) -> Collection[str]:
    """Return the names of the form parts or JSON fields that the request's route takes; none if it takes no such body."""
    model = _body_model(request)
    return () if model is None else tuple(model.model_fields)


def _body_model(request: Request) -> type[BaseModel] | None:
    field = getattr(request.scope.get("route"), "body_field", None)
    model = field.field_info.annotation if field is not None else None
    return model if isinstance(model, type) and issubclass(model, BaseModel) else None


def schema_of(request: Request, source: str, name: str) -> Schema | None:
    """Return the JSON schema of a part or field ("body") or of a parameter ("query" …) of the request's route, or None."""
    if source == "body":
        model = _body_model(request)
        return None if model is None else field_schema(model, name)
    dependant = getattr(request.scope.get("route"), "dependant", None)
    fields = () if dependant is None else _parameters(dependant, source)
    return next(
        (type_schema(Annotated[each.field_info.annotation, each.field_info]) for each in fields if each.alias == name), None
    )


def _parameters(dependant: Dependant, source: str) -> Iterator[Any]:
    """Yield the parameters of a route and its dependencies."""
    yield from getattr(dependant, f"{source}_params")
    for dependency in dependant.dependencies:
        yield from _parameters(dependency, source)


def unknown(what: str, name: str, known: Collection[str]) -> str:
    """Return the message for a name that is not among `known`. `what` is the kind of the name, such as "part"."""
    name = name[:LONGEST]
    if near := difflib.get_close_matches(name, known, 1):
        return f"unknown {what} {name!r}: did you mean {near[0]!r}?"
    remedy = f"use {', '.join(known)}" if known else "leave it out"
    return f"unknown {what} {name!r}: {remedy}"
