"""Let other processes and threads go on until something holds."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(true: Callable[[], bool], timeout_s: float = 30.0) -> None:
    """Ask `true` again and again; fails if it does not hold within `timeout_s` seconds, which a busy machine may need."""
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
