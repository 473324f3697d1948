from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import pytest

from worker.attempts.progress_watch import ProgressWatch


@dataclass
class WatchClock:
    """The time of those who watch for hangs. It stands still until a test lets time pass, so a slow machine is no hang."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now

    def pass_time(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def watch_clock(monkeypatch: pytest.MonkeyPatch) -> WatchClock:
    clock = WatchClock()
    monkeypatch.setattr("worker.attempts.control.ProgressWatch", partial(ProgressWatch, now=clock))
    return clock
