"""Exported identity files, valid and broken, written byte by byte."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np

from tests.doubles import FakeEngine

FACTS = FakeEngine.facts
ABOUT: dict[str, Any] = {
    "format": "s2edit-concept-2",
    "fingerprint": FACTS.fingerprint,
    "facts": {"prompt": "a photo of a [I] woman", "steps": 100},
    "placeholder": "[I]",
    "subject": "woman",
}


def low_rank(rank: int = 2) -> dict[str, np.ndarray[Any, Any]]:
    tensors: dict[str, np.ndarray[Any, Any]] = {"token": np.ones(FACTS.width, np.float32)}
    for kind in ("keys", "values"):
        for i, (wide, narrow) in enumerate(FACTS.layers):
            tensors[f"{kind}.{i}.down"] = np.full((rank, narrow), 0.5, np.float32)
            tensors[f"{kind}.{i}.up"] = np.zeros((wide, rank), np.float32)
    return tensors


def full() -> dict[str, np.ndarray[Any, Any]]:
    token = {"token": np.ones(FACTS.width, np.float16)}
    return token | {
        f"{kind}.{i}.weight": np.zeros(shape, np.float32) for kind in ("keys", "values") for i, shape in enumerate(FACTS.layers)
    }


def concept_file(
    tensors: dict[str, np.ndarray[Any, Any]] | None = None, *, kinds: dict[str, str] | None = None, **about: Any
) -> bytes:
    """Return a safetensors file. `kinds` misstate the dtypes of tensors, `about` changes the metadata."""
    tensors = low_rank() if tensors is None else tensors
    header: dict[str, Any] = {"__metadata__": {"s2edit": json.dumps({**ABOUT, **about})}}
    numbers = b""
    for name, tensor in tensors.items():
        kind = (kinds or {}).get(name) or {"f": f"F{tensor.itemsize * 8}", "i": f"I{tensor.itemsize * 8}", "u": "BF16"}[
            tensor.dtype.kind
        ]
        raw = tensor.tobytes()
        header[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": [len(numbers), len(numbers) + len(raw)]}
        numbers += raw
    return with_header(header, numbers)


def with_header(header: Any, numbers: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + numbers


def parts(data: bytes) -> tuple[dict[str, Any], bytes]:
    size = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + size]), data[8 + size :]
