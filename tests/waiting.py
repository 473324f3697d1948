"""Waiting for other processes and threads."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    """Wait until `condition` holds; fail after `timeout_s` seconds. The default allows for a busy machine.

    Pauses grow from 5 to 50 ms: what is asked often takes time from what it waits for.
    """
    deadline, pause_s = time.monotonic() + timeout_s, 0.005
    while not condition():
        assert time.monotonic() < deadline, f"the condition does not hold after {timeout_s:g} s"
        time.sleep(pause_s)
        pause_s = min(1.5 * pause_s, 0.05)
