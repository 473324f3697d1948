"""Numbers written as text, in forms, queries, options and settings. Loads no torch.

Python's own `int` and `float` also read digits of other scripts, `1_000`, `+5` and `inf`. A request with such a number is more
likely a mistake than a wish, and other languages read it differently or not at all. Exponents, as in `7e-1`, are left to JSON.
"""

from __future__ import annotations

import math
import re

MAX_DIGITS = 4000
"""Of a number; Python itself reads no whole number of more than 4300. The range of a field decides what is too large."""
_DIGITS = f"[0-9]{{1,{MAX_DIGITS}}}"
_WHOLE = re.compile(rf"(-?{_DIGITS})(?:\.0{{1,{MAX_DIGITS}}})?")
_NUMBER = re.compile(rf"-?(?:{_DIGITS}(?:\.{_DIGITS})?|\.{_DIGITS})")


def whole_number(text: str) -> int:
    """Return the whole number that `text` writes in decimal digits. Spaces around it and a fraction of zero are accepted.

    Raises `ValueError`.
    """
    found = _WHOLE.fullmatch(text.strip())
    if found is None:
        raise ValueError("write a whole number in digits from 0 to 9, such as 20")
    return int(found[1])


def number(text: str) -> float:
    """Return the finite number that `text` writes in decimal digits, such as `0.7`. Spaces around it are accepted.

    Raises `ValueError`.
    """
    found = _NUMBER.fullmatch(text.strip())
    if found is None or not math.isfinite(value := float(found[0])):
        raise ValueError("write a number in digits from 0 to 9, such as 0.7")
    return value
