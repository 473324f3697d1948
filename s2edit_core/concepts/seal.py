"""The digest that a concept's file carries of itself, so that an altered file is recognised. It needs no torch.

The digest is the SHA-256 of the whole file in which its own 64 digits are zeros. It stands in the metadata entry, which is JSON in
JSON. Files of earlier releases have none.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

NAME = "sha256"
"""Its name in the metadata of a concept."""
OPEN: Mapping[str, str] = {NAME: "0" * 64}
"""What the metadata of a file holds until `sealed` puts the digest in."""
_SEAL = re.compile(rb'\\"sha256\\": \\"([0-9a-f]{64})\\"')


def sealed(data: bytes) -> bytes:
    """Return the safetensors file `data` with its digest. Its metadata must hold `OPEN`."""
    begin, end = _place(data)
    return data[:begin] + _digest(data, begin, end) + data[end:]


def is_intact(data: bytes, about: Mapping[str, Any]) -> bool:
    """Return whether a safetensors file is unchanged, as far as it can say so. `about` is its metadata."""
    if NAME not in about:
        return True
    try:
        begin, end = _place(data)
    except ValueError:
        return False
    return data[begin:end] == _digest(data, begin, end)


def _place(data: bytes) -> tuple[int, int]:
    """Return where the digits stand. Raise `ValueError` if there are none, or several."""
    found = list(_SEAL.finditer(data, 8, 8 + int.from_bytes(data[:8], "little")))
    if len(found) != 1:
        raise ValueError("the metadata has no place for the digest")
    return found[0].span(1)


def _digest(data: bytes, begin: int, end: int) -> bytes:
    whole = hashlib.sha256(data[:begin])
    whole.update(b"0" * (end - begin))
    whole.update(data[end:])
    return whole.hexdigest().encode()
