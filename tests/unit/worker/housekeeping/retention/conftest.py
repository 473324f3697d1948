"""Time stands still until a test moves it on."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest


@pytest.fixture(autouse=True)
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Stop the clock, and return the function that moves it on."""
    now = [time.time()]
    monkeypatch.setattr("time.time", lambda: now[0])

    def move(seconds: float) -> None:
        now[0] += seconds

    return move
