"""How long the phases of one attempt take: what estimates of later jobs are made of."""

from __future__ import annotations

import time
from collections.abc import Callable


class PhaseClock:
    """`enter` each phase as it is heard of; it counts from the end of the one before."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._began = self._since = now()
        self._phase: str | None = None
        self._seconds: dict[str, float] = {}

    def enter(self, phase: str) -> None:
        if self._phase not in (None, phase):
            self._count()
        self._phase = phase

    def seconds(self) -> dict[str, float]:
        """Up to now, by phase, and "total"; empty if no phase was entered."""
        if self._phase is None:
            return {}
        self._count()
        return {**self._seconds, "total": self._now() - self._began}

    def _count(self) -> None:
        assert self._phase is not None
        now = self._now()
        self._seconds[self._phase] = self._seconds.get(self._phase, 0.0) + now - self._since
        self._since = now
