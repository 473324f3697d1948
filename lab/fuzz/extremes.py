"""Extreme contents: long texts and lists, characters that no text may hold, odd numbers. A schema leads a fuzzer to few of them."""

from __future__ import annotations

import json
import random
from typing import Any

from schemathesis import Case

SHARE = 0.08
"""Share of the requests that get one."""
JSON = "application/json"
TEXTS = (
    "word " * 500,
    "word " * 12_000,
    "word " * 200_000,
    "\U0001f600" * 3000,
    "a\x00b",
    "a\x07b",
    "cafe\u0301",
    "\u202ewoman",
    " \t\r\n",
    "a woman\r\n",
    "1_0",
    "+10",
    "\uff11\uff10",
    "\u0661",
    "\u200b",
    "https://[::1",
    "https://a]b.example.com/",
)
ONLY_IN_JSON: tuple[Any, ...] = (
    "a woman \ud800",
    "\udfff",
    [1] * 20_000,
    [1] * 100_000,
    [{"x": {}}] * 5000,
    [["a"] * 50] * 100,
    {str(number): number for number in range(3000)},
    2**63,
    10**400,
    -0.0,
    1e-320,
    20.0,
    float("nan"),
    True,
)


class Extremes:
    """Puts an extreme value into one field of some requests, in place. `changed` holds the ids of those cases."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.changed: set[str] = set()

    def apply(self, case: Case[Any]) -> None:
        if self._rng.random() > SHARE or case.method.upper() != case.operation.method.upper():
            return  # a large body with a method that is none must be answered 405 or 413, and the fuzzer accepts only 405
        if isinstance(case.body, dict) and case.body:
            values = (*TEXTS, *ONLY_IN_JSON) if case.media_type == JSON else TEXTS
            body = {**case.body, self._rng.choice(sorted(case.body)): self._rng.choice(values)}
            case.body = json.dumps(body).encode() if case.media_type == JSON else body  # the fuzzer's own encoder refuses some
        elif case.query:
            case.query[self._rng.choice(sorted(case.query))] = self._rng.choice(TEXTS)
        else:
            return
        self.changed.add(case.id)
