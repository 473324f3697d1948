"""Say in words what a value must be. pydantic's own messages ("Input should be …") are for programmers, and name no example.

A rule comes from the JSON schema of the field. So a message says the same as the OpenAPI description: the range, the allowed values
and the example are written once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, TypeAdapter

Schema = Mapping[str, Any]
NOT_DECIMAL = "number_invalid"
"""The type of the error for a text that writes no number, or one in other digits than 0 to 9."""
_OWN_WORDS = ("text_invalid", "value_error")
"""The types of errors whose messages are those of this project."""
_OUT_OF_RANGE = ("greater_than", "greater_than_equal", "less_than", "less_than_equal")
_OF_ANOTHER_SIZE = ("string_too_long", "string_too_short", "too_long", "too_short")
_SHOWN_CHARACTERS = 50
_LARGEST_SEED = 2**63 - 1


def field_schema(model: type[BaseModel], name: str) -> Schema | None:
    """Return the JSON schema of a field, with what it refers to in `$defs`; None if the model has no such field."""
    schema = model.model_json_schema()
    field: Schema | None = schema["properties"].get(name)
    return None if field is None else {**field, "$defs": schema.get("$defs", {})}


def type_schema(annotation: Any) -> Schema:
    """Return the JSON schema of an annotation, such as that of a query parameter."""
    return TypeAdapter(annotation).json_schema()


def fault(schema: Schema | None, error: Mapping[str, Any], patterns: Mapping[str, str], *, shows: bool = True) -> str:
    """Return what is wrong with a value: "must be …, not …". `error` is one of pydantic's.

    `patterns` are the words for the patterns of texts. Without `shows`, the value is not repeated, because it may be secret.
    """
    if error["type"] in _OWN_WORDS or schema is None:
        return f"is invalid: {_own_words(error)}"
    words = f"must be {rule(schema, patterns, decimal=error['type'] == NOT_DECIMAL)}"
    return f"{words}, not {_shown(error)}" if shows and "input" in error else words


def variable_fault(model: type[BaseModel], prefix: str, error: Mapping[str, Any]) -> str:
    """Return which variable of the environment is wrong and why, without its value. `model` are the settings."""
    if not error["loc"]:  # it is about several settings
        return _own_words(error)
    name = str(error["loc"][0])
    words = _own_words(error) if error["type"] in _OWN_WORDS else f"it {fault(field_schema(model, name), error, {}, shows=False)}"
    return f"{prefix}{name.upper()}: {words}"


def rule(schema: Schema, patterns: Mapping[str, str], *, decimal: bool = False) -> str:
    """Return what a value must be, with an example if there is one. With `decimal`, say that a number is in decimal digits."""
    whole = _without_null(schema)
    words = _type_words(whole, patterns, decimal=decimal)
    is_number = whole.get("type") in ("integer", "number")
    examples = [*schema.get("examples", ()), *whole.get("examples", ()), *([schema.get("default")] if is_number else [])]
    needs_one = not _values(whole) and whole.get("type") != "boolean" and "pattern" not in whole
    return next((f"{words}, such as {_literal(each)}" for each in examples if needs_one and each is not None), words)


def _own_words(error: Mapping[str, Any]) -> str:
    """Return the message of an error that a validator of this project has raised."""
    return str(error["msg"]).removeprefix("Value error, ")


def _without_null(schema: Schema) -> Schema:
    """Return the schema of a value that is not null, without references."""
    shared = schema.get("$defs", {})
    if "$ref" in schema:
        schema = {**shared[schema["$ref"].rpartition("/")[2]], **{name: value for name, value in schema.items() if name != "$ref"}}
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    return _without_null({**schema, **kinds[0], "anyOf": (), "$defs": shared}) if kinds else schema


def _type_words(schema: Schema, patterns: Mapping[str, str], *, decimal: bool) -> str:
    if values := _values(schema):
        return _either([_literal(value) for value in values])
    match schema.get("type"):
        case "boolean":
            return "true or false"
        case "integer" | "number" as kind:
            number = "a whole number" if kind == "integer" else "a number"
            return f"{number}{_bounds(schema)}{' in decimal digits' if decimal else ''}"
        case "array":
            return f"a list{_sizes(schema, 'minItems', 'maxItems', 'items')}"
        case "string" if "pattern" in schema:
            return patterns.get(schema["pattern"], f"of the form {schema['pattern']}")
        case _:
            return f"a text{_sizes(schema, 'minLength', 'maxLength', 'characters')}"


def _values(schema: Schema) -> Sequence[Any]:
    """Return the allowed values if they can be listed, also those of the items of a list."""
    return schema.get("enum") or ([schema["const"]] if "const" in schema else ())


def _bounds(schema: Schema) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f" between {_number(low)} and {_number(high)}"
    above = schema.get("exclusiveMinimum")
    parts = [f"above {_number(above)}"] if above is not None else [f"of at least {_number(low)}"] if low is not None else []
    parts += [f"at most {_number(high)}"] if high is not None else []
    return f" {' and '.join(parts)}" if parts else ""


def _sizes(schema: Schema, least: str, most: str, things: str) -> str:
    low, high = schema.get(least), schema.get(most)
    if things == "items" and (items := schema.get("items")):
        inner = _without_null({**items, "$defs": schema.get("$defs", {})})
        things = f"values, each {_either([_literal(value) for value in values])}" if (values := _values(inner)) else _plural(inner)
    if low is not None and low == high:
        return f" of {low} {things}"
    if low and high is not None:
        return f" of {low} to {high} {things}"
    if high is not None:
        return f" of at most {high} {things}"
    return f" of at least {low} {things}" if low else f" of {things}" if things != "characters" else ""


def _plural(schema: Schema) -> str:
    match schema.get("type"):
        case "integer":
            return f"whole numbers{_bounds(schema)}"
        case "number":
            return f"numbers{_bounds(schema)}"
        case _:
            return f"texts{_sizes(schema, 'minLength', 'maxLength', 'characters')}"


def _either(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _number(value: float) -> str:
    if value == _LARGEST_SEED:
        return "2^63 − 1"
    return str(int(value)) if value == int(value) else f"{value:g}"


def _literal(value: Any) -> str:
    """Return a value as it is sent: texts in quotation marks."""
    return f"'{value}'" if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _shown(error: Mapping[str, Any]) -> str:
    """Return the wrong value for a message, or its size if it is too long."""
    value = error["input"]
    if error["type"] in _OF_ANOTHER_SIZE:
        shown = f"one of {len(value)} characters" if isinstance(error["loc"][-1], int) else f"of {len(value)}"
    elif isinstance(value, str):
        shown = _short(value)
        shown = shown if error["type"] in _OUT_OF_RANGE else f"{shown!r}"  # a number of a form
    elif value is None or isinstance(value, bool | int | float):
        shown = _short(json.dumps(value))
    else:
        shown = "a list" if isinstance(value, list | tuple) else "an object" if isinstance(value, Mapping) else "a file"
    return f"a list with {shown}" if isinstance(error["loc"][-1], int) else shown


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
