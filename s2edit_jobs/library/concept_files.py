"""Validate identity files that users import. Only safetensors are accepted, never pickle; torch is not needed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from s2edit_core.concepts.seal import NAME, is_intact
from s2edit_core.errors import OptionInvalid
from s2edit_core.request.spec import CONCEPT_FORMAT, PLACEHOLDER
from s2edit_core.request.texts import MAX_PROMPT_CHARS, unfit_character
from s2edit_jobs.records.errors import RecordNewer
from s2edit_jobs.records.stored import damaged
from s2edit_jobs.stores.model_facts import ModelFacts

MAX_RANK = 128
NAMES = frozenset({"format", "fingerprint", "facts", "placeholder", "subject", NAME})
"""What the metadata of a concept may hold. Files of earlier releases lack the digest."""
FLOATS: Mapping[str, type[np.floating[Any]]] = {"F64": np.float64, "F32": np.float32, "F16": np.float16}
SIZES: Mapping[str, int] = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
"""Bytes per number."""
MAX_HEADER = 1_000_000
BF16_EXPONENT = 0x7F80
"""The exponent bits of bfloat16. All are set in infinities and NaNs."""


@dataclass(frozen=True, slots=True)
class IdentityPrompt:
    """The prompt and the subject that an identity was learned with."""

    source_prompt: str
    subject: str


def check_identity_file(data: bytes, model: ModelFacts) -> IdentityPrompt:
    """Check that `data` is an identity that the served model can use. Raise `OptionInvalid` for the field `file`."""
    header, numbers = _header(data)
    tensors, about = _tensors(header, numbers), _about(header)
    # A bit that flips in the name of the digest makes a name that nobody knows.
    if not is_intact(data, about) or about.keys() - NAMES:
        raise _refused("the file was changed since its export: export the identity again", "concept_damaged")
    if about.get("format") != CONCEPT_FORMAT:
        raise _refused(
            f"the file's format is {str(about.get('format'))[:80]!r}, not {CONCEPT_FORMAT!r}: send an exported identity",
            "concept_unknown",
        )
    if about.get("placeholder") != PLACEHOLDER:
        raise _refused("the file contains an attribute: send an exported identity", "concept_not_identity")
    if not model.recognises(about.get("fingerprint")):
        raise _refused("the file was made with a different model: learn the identity on this service", "concept_foreign")
    _check_shapes({name: _checked_shape(name, tensor) for name, tensor in tensors.items()}, model)
    return _identity_prompt(about)


def check_stored_concept(data: bytes) -> None:
    """Raise `RecordDamaged` if a stored file was changed or is no concept, `RecordNewer` if a newer release has written it.

    Concepts of earlier releases and of other models pass: the engine decides about them.
    """
    try:
        header, numbers = _header(data)
        _tensors(header, numbers)
    except OptionInvalid:
        raise damaged("concept", "it is not a complete safetensors file") from None
    about = _about(header)
    family, _, version = str(about.get("format")).rpartition("-")
    known_family, _, known = CONCEPT_FORMAT.rpartition("-")
    if family == known_family and version.isdecimal() and int(version) > int(known):
        raise RecordNewer(f"the stored concept has format {version}, and this release knows {known}")
    if not is_intact(data, about):
        raise damaged("concept", "its digest is another one")


def metadata_of(data: bytes) -> dict[str, Any]:
    """Return the metadata of a concept file, unchecked. Raise `OptionInvalid` if it is not a safetensors file."""
    header, _ = _header(data)
    return dict(_about(header))


@dataclass(frozen=True, slots=True)
class _Tensor:
    kind: str
    shape: tuple[int, ...]
    raw: bytes


def _header(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Split a safetensors file into its JSON header and its tensor data. The first eight bytes give the header's length."""
    size = int.from_bytes(data[:8], "little")
    try:
        if not 2 <= size <= min(MAX_HEADER, len(data) - 8):
            raise ValueError("the header's length is out of range")
        header = json.loads(data[8 : 8 + size], object_pairs_hook=_without_repetition)
        if not isinstance(header, dict):
            raise ValueError("the header is not an object")
    except (ValueError, RecursionError) as error:
        raise _refused("the file is not a complete safetensors file: export the identity again", "concept_damaged") from error
    return header, data[8 + size :]


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a name occurs twice")
    return dict(pairs)


def _tensors(header: Mapping[str, Any], numbers: bytes) -> dict[str, _Tensor]:
    """Return the tensors by name. As the format requires, they fill the data section without gaps or overlaps."""
    try:
        entries = {name: _entry(entry) for name, entry in header.items() if name != "__metadata__"}
        end = 0
        for begin, stop, kind, shape in sorted(entries.values(), key=lambda entry: entry[:2]):
            if begin != end or stop - begin != SIZES[kind] * math.prod(shape):
                raise ValueError("the tensors are not contiguous")
            end = stop
        if end != len(numbers):
            raise ValueError("the file is truncated or has extra data after its tensors")
    except (ValueError, TypeError, LookupError) as error:
        raise _refused(
            "the file is not a complete safetensors file of floating-point numbers: export the identity again", "concept_damaged"
        ) from error
    return {name: _Tensor(kind, shape, numbers[begin:stop]) for name, (begin, stop, kind, shape) in entries.items()}


def _entry(entry: Mapping[str, Any]) -> tuple[int, int, str, tuple[int, ...]]:
    (begin, stop), shape = entry["data_offsets"], tuple(entry["shape"])
    if not all(type(number) is int and 0 <= number < 2**40 for number in (begin, stop, *shape)) or len(shape) > 4:
        raise ValueError("a shape or an offset is out of range")
    return begin, stop, entry["dtype"], shape


def _about(header: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        about = json.loads(header["__metadata__"]["s2edit"])
    except (ValueError, RecursionError, LookupError, TypeError):
        about = {}
    return about if isinstance(about, dict) else {}


def _checked_shape(name: str, tensor: _Tensor) -> Sequence[int]:
    """Return the tensor's shape. Raise `OptionInvalid` if a number is not finite: it would spoil every picture."""
    kind, raw = tensor.kind, tensor.raw
    if kind == "BF16":
        finite = bool(((np.frombuffer(raw, np.uint16) & BF16_EXPONENT) != BF16_EXPONENT).all())
    else:
        with np.errstate(over="ignore"):  # the engine computes in float32, where a large float64 is infinite
            finite = bool(np.isfinite(np.frombuffer(raw, FLOATS[kind]).astype(np.float32)).all())
    if not finite:
        raise _refused(f"the tensor {name[:80]!r} contains infinite numbers or NaN: export the identity again", "concept_damaged")
    return tensor.shape


def _check_shapes(shapes: Mapping[str, Sequence[int]], model: ModelFacts) -> None:
    """Check for a token embedding and, optionally, key and value weights for every cross-attention layer (full or low-rank)."""
    expected: dict[str, Sequence[int]] = {"token": (model.width,)}
    if len(shapes) > 1:
        for kind in ("keys", "values"):
            for i, (wide, narrow) in enumerate(model.layers):
                if f"{kind}.{i}.weight" in shapes:
                    expected[f"{kind}.{i}.weight"] = (wide, narrow)
                    continue
                rank = shapes.get(f"{kind}.{i}.down", (0,))[0]
                if not 1 <= rank <= MAX_RANK:
                    raise _refused(f"the weights of layer {i} are missing or have an invalid rank", "concept_damaged")
                expected |= {f"{kind}.{i}.down": (rank, narrow), f"{kind}.{i}.up": (wide, rank)}
    if dict(shapes) != expected:
        wrong = sorted(name for name in shapes.keys() | expected.keys() if shapes.get(name) != expected.get(name))
        raise _refused(f"the tensor {wrong[0][:80]!r} does not fit this service's model", "concept_damaged")


def _identity_prompt(about: Mapping[str, Any]) -> IdentityPrompt:
    facts = about.get("facts")
    prompt = facts.get("prompt") if isinstance(facts, dict) else None
    subject = about.get("subject")
    if not (isinstance(prompt, str) and isinstance(subject, str) and len(subject.split()) == 1):
        raise _refused("the file lacks the prompt and the subject that it was learned with", "concept_damaged")
    if PLACEHOLDER not in prompt or max(len(prompt), len(subject)) > MAX_PROMPT_CHARS:
        raise _refused(f"the file's prompt is too long or lacks {PLACEHOLDER}", "concept_damaged")
    if (found := unfit_character(prompt + subject)) is not None:
        raise _refused(f"the file's prompt or subject contains {found}", "concept_damaged")
    return IdentityPrompt(prompt, subject)


def _refused(words: str, reason: str) -> OptionInvalid:
    return OptionInvalid(words, field="file", reason=reason)
