"""The names under which the durations of jobs are measured."""

from __future__ import annotations

import re
from typing import NamedTuple

from s2edit_core.request.presets import PRESETS
from s2edit_core.request.spec import EditRequest, LearningRequest, MaskRequest

_KEY = re.compile(r"(test:)?(identity:|attribute:)?([^:]+)(?::x\d+)?(?::s\d+)?")


def estimate_key(request: EditRequest | LearningRequest | MaskRequest, *, test: bool) -> str:
    """Return the name for a job, which may be one of `test` mode. Jobs with different durations have different names."""
    mode = "test:" if test else ""
    if isinstance(request, MaskRequest):
        return f"{mode}mask"
    if isinstance(request, LearningRequest):
        return f"{mode}{request.kind}:{request.preset}"
    variants = "" if request.variants == 1 else f":x{request.variants}"
    steps = "" if request.steps in (None, PRESETS[request.preset].steps) else f":s{request.steps}"
    return f"{mode}{request.preset}{variants}{steps}"


class KeyParts(NamedTuple):
    """The parts of an `estimate_key` that no request chooses freely. Joined, they are the key without the other parts."""

    mode: str
    """`test:` or empty."""
    learning: str
    """`identity:` or `attribute:` if the job only learns one, else empty."""
    preset: str
    """The preset, or `mask`."""


def parts_of(key: str) -> KeyParts | None:
    """Return the parts of an `estimate_key` without the numbers of variants and steps. None for what no release so far has made."""
    found = _KEY.fullmatch(key)
    return None if found is None else KeyParts(found[1] or "", found[2] or "", found[3])
