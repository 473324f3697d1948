"""Counts of problems with this process's device, for its metrics."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from typing import Literal, get_args

Tally = Literal["device_faults", "out_of_memory", "reduced_passes", "hangs", "failed_attempts"]
"""Sticky faults; passes without memory even at the smallest size; passes made smaller; hung attempts; unexpected failures."""

_lock = threading.Lock()
_counts: Counter[str] = Counter()


def count(name: Tally, by: int = 1) -> None:
    with _lock:
        _counts[name] += by


def counts() -> Mapping[str, int]:
    """Return all counts since the process began."""
    with _lock:
        return {name: _counts[name] for name in get_args(Tally)}
