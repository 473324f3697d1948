"""Identities that come as files: what may be kept of a stranger's bytes. No torch, and no pickle ever: safetensors only."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from s2edit_core.errors import OptionInvalid
from s2edit_core.request.spec import CONCEPT_FORMAT, PLACEHOLDER
from s2edit_jobs.stores.model_facts import ModelFacts

MAX_PROMPT = 1000
MAX_RANK = 128
FLOATS: Mapping[str, type[np.floating[Any]]] = {"F64": np.float64, "F32": np.float32, "F16": np.float16}
SIZES: Mapping[str, int] = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
"""Bytes of a number."""
MAX_HEADER = 1_000_000
BF16_EXPONENT = 0x7F80
"""All of these bits are set in what is not finite."""


@dataclass(frozen=True, slots=True)
class Said:
    """What the file says of itself."""

    source_prompt: str
    subject: str


def check_identity_file(data: bytes, model: ModelFacts) -> Said:
    """What `data` holds, if it is an identity that the served model can use. Raises `OptionInvalid` with the part `file`."""
    header, numbers = _header(data)
    tensors, about = _tensors(header, numbers), _about(header)
    if about.get("format") != CONCEPT_FORMAT:
        raise _refused(
            f"the file says that it is {str(about.get('format'))[:80]!r}, not {CONCEPT_FORMAT!r}: send what an export has given",
            "concept_unknown",
        )
    if about.get("placeholder") != PLACEHOLDER:
        raise _refused("the file holds an attribute, not an identity: send an identity's export", "concept_not_identity")
    if not model.recognises(about.get("fingerprint")):
        raise _refused("the file was made with another model than this service has: learn the identity here", "concept_foreign")
    _check_shapes({name: _checked_shape(name, tensor) for name, tensor in tensors.items()}, model)
    return _said(about)


def about_of(data: bytes) -> dict[str, Any]:
    """What a concept's file says of itself, believed as it stands. Raises `OptionInvalid` for what is no safetensors file."""
    header, _ = _header(data)
    return dict(_about(header))


@dataclass(frozen=True, slots=True)
class _Tensor:
    kind: str
    shape: tuple[int, ...]
    raw: bytes


def _header(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The parts of a safetensors file: eight bytes of length, a JSON header, the numbers."""
    size = int.from_bytes(data[:8], "little")
    try:
        if not 2 <= size <= min(MAX_HEADER, len(data) - 8):
            raise ValueError("the header's length is impossible")
        header = json.loads(data[8 : 8 + size], object_pairs_hook=_without_repetition)
        if not isinstance(header, dict):
            raise ValueError("the header is not an object")
    except (ValueError, RecursionError) as error:
        raise _refused("the file is not a whole safetensors file: export and send it anew", "concept_damaged") from error
    return header, data[8 + size :]


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a name comes twice")
    return dict(pairs)


def _tensors(header: Mapping[str, Any], numbers: bytes) -> dict[str, _Tensor]:
    """As the format wants it: one behind the other, without gaps, and none of the file left over."""
    try:
        entries = {name: _entry(entry) for name, entry in header.items() if name != "__metadata__"}
        end = 0
        for begin, stop, kind, shape in sorted(entries.values(), key=lambda entry: entry[:2]):
            if begin != end or stop - begin != SIZES[kind] * math.prod(shape):
                raise ValueError("the tensors do not lie one behind the other")
            end = stop
        if end != len(numbers):
            raise ValueError("the file is cut off, or goes on behind its tensors")
    except (ValueError, TypeError, LookupError) as error:
        raise _refused(
            "the file is not a whole safetensors file of floating-point numbers: export and send it anew", "concept_damaged"
        ) from error
    return {name: _Tensor(kind, shape, numbers[begin:stop]) for name, (begin, stop, kind, shape) in entries.items()}


def _entry(entry: Mapping[str, Any]) -> tuple[int, int, str, tuple[int, ...]]:
    (begin, stop), shape = entry["data_offsets"], tuple(entry["shape"])
    if not all(type(number) is int and 0 <= number < 2**40 for number in (begin, stop, *shape)) or len(shape) > 4:
        raise ValueError("an impossible shape or place")
    return begin, stop, entry["dtype"], shape


def _about(header: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        about = json.loads(header["__metadata__"]["s2edit"])
    except (ValueError, RecursionError, LookupError, TypeError):
        about = {}
    return about if isinstance(about, dict) else {}


def _checked_shape(name: str, tensor: _Tensor) -> Sequence[int]:
    """A number that is not finite would spoil every picture."""
    kind, raw = tensor.kind, tensor.raw
    if kind == "BF16":
        finite = bool(((np.frombuffer(raw, np.uint16) & BF16_EXPONENT) != BF16_EXPONENT).all())
    else:
        finite = bool(np.isfinite(np.frombuffer(raw, FLOATS[kind])).all())
    if not finite:
        raise _refused(f"the tensor {name[:80]!r} holds numbers that are not finite", "concept_damaged")
    return tensor.shape


def _check_shapes(shapes: Mapping[str, Sequence[int]], model: ModelFacts) -> None:
    """The token, and for every cross-attention layer a change of both projections or of none."""
    expected: dict[str, Sequence[int]] = {"token": (model.width,)}
    if len(shapes) > 1:
        for kind in ("keys", "values"):
            for i, (wide, narrow) in enumerate(model.layers):
                if f"{kind}.{i}.weight" in shapes:
                    expected[f"{kind}.{i}.weight"] = (wide, narrow)
                    continue
                rank = shapes.get(f"{kind}.{i}.down", (0,))[0]
                if not 1 <= rank <= MAX_RANK:
                    raise _refused(f"the changes of layer {i} are missing or of an impossible rank", "concept_damaged")
                expected |= {f"{kind}.{i}.down": (rank, narrow), f"{kind}.{i}.up": (wide, rank)}
    if dict(shapes) != expected:
        wrong = sorted(name for name in shapes.keys() | expected.keys() if shapes.get(name) != expected.get(name))
        raise _refused(f"the tensor {wrong[0][:80]!r} does not fit this service's model", "concept_damaged")


def _said(about: Mapping[str, Any]) -> Said:
    facts = about.get("facts")
    prompt = facts.get("prompt") if isinstance(facts, dict) else None
    subject = about.get("subject")
    if not (isinstance(prompt, str) and isinstance(subject, str) and len(subject.split()) == 1):
        raise _refused("the file does not say with which prompt and subject it was learned", "concept_damaged")
    if PLACEHOLDER not in prompt or len(prompt) > MAX_PROMPT or len(subject) > MAX_PROMPT:
        raise _refused(f"the file's prompt is too long, or lacks {PLACEHOLDER}", "concept_damaged")
    return Said(prompt, subject)


def _refused(words: str, reason: str) -> OptionInvalid:
    return OptionInvalid(words, field="file", reason=reason)
