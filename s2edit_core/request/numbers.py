"""Numbers written as text, in forms, queries, options and settings. Loads no torch.

They are written as in JSON, where programs of many languages write small and large ones with an exponent, as in `1e-05`. Shells
also write `.5`. Python's own `int` and `float` also read digits of other scripts, `1_000`, `+5`, `020` and `inf`. A request with
such a number is more likely a mistake than a wish, and other languages read it differently or not at all: `020` is 16 in C.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal

MAX_DIGITS = 4000
"""Of a number; Python itself reads no whole number of more than 4300. The range of a field decides what is too large."""
_DIGITS = f"[0-9]{{1,{MAX_DIGITS}}}"
_WHOLE = f"(?:0|[1-9][0-9]{{0,{MAX_DIGITS - 1}}})"
_NUMBER = re.compile(rf"-?(?:{_WHOLE}(?:\.{_DIGITS})?|\.{_DIGITS})(?:[eE][+-]?[0-9]{{1,9}})?")
_SPACES = " \t\r\n"
"""Those of JSON."""


def whole_number(text: str) -> int:
    """Return the whole number that `text` writes, such as `20`, `20.0` or `2e1`. Spaces around it are accepted.

    Raises `ValueError`.
    """
    found = _NUMBER.fullmatch(text.strip(_SPACES))
    value = Decimal(found[0] if found else "NaN")
    if not value.is_finite() or value.adjusted() >= MAX_DIGITS or value != value.to_integral_value():
        raise ValueError("write a whole number in digits from 0 to 9, without leading zeros, such as 20")
    return int(value)


def number(text: str) -> float:
    """Return the finite number that `text` writes, such as `0.7` or `7e-1`. Spaces around it are accepted.

    Raises `ValueError`.
    """
    found = _NUMBER.fullmatch(text.strip(_SPACES))
    if found is None or not math.isfinite(value := float(found[0])):
        raise ValueError("write a number in digits from 0 to 9, without leading zeros, such as 0.7")
    return value
