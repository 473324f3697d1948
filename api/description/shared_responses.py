"""Error responses that several operations share stand once in the OpenAPI description, below `components/responses`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

_PREFIX = "#/components/responses/"


def share_errors(schema: dict[str, Any]) -> None:
    """Move the error responses that occur more than once to `components/responses`, and refer to them."""
    operations = [operation for item in schema["paths"].values() for operation in item.values()]
    counts = Counter(repr(answer) for operation in operations for answer in operation["responses"].values())
    shared = schema["components"].setdefault("responses", {})
    for operation in operations:
        for status, answer in operation["responses"].items():
            if status >= "4" and counts[repr(answer)] > 1:
                name = _name(answer)
                if shared.setdefault(name, answer) != answer:
                    raise ValueError(f"two different error responses are called {name}: give them different descriptions")
                operation["responses"][status] = {"$ref": _PREFIX + name}


def responses_of(operation: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the responses of `operation` by status, with those of `components/responses` in place of references."""
    shared = schema["components"].get("responses", {})
    return {
        status: shared[answer["$ref"].removeprefix(_PREFIX)] if "$ref" in answer else answer
        for status, answer in operation["responses"].items()
    }


def _name(answer: Mapping[str, Any]) -> str:
    """Name a response by its description, its shape, and whether callers without credentials get it."""
    words = "".join(word.capitalize() for word in re.findall(r"\w+", answer["description"].replace("'", "")))
    shape = "OpenAI" if "application/json" in answer.get("content", {}) else ""
    public = "" if {"RateLimit", "WWW-Authenticate"} & answer["headers"].keys() else "Public"
    return public + shape + words
