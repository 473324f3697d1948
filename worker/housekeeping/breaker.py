"""Which receivers of webhooks do not answer, so that messages to them wait without holding a sender."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

FAILURES = 3
"""Exchanges in a row without an answer, after which a host rests."""
REST_S = 60.0
"""Seconds for which a host rests. Then one message tries it."""
MAX_HOSTS = 10_000
"""The number of failing hosts that one process remembers."""


@dataclass
class _Host:
    failures: int = 0
    rests_until: float = 0.0


class Breaker:
    """Counts exchanges without an answer by host. Thread-safe. `clock` is monotonic, in seconds."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._hosts: OrderedDict[str, _Host] = OrderedDict()

    def wait_s(self, host: str) -> float:
        """Return the seconds for which the host rests, 0 if it may be tried now. Of several callers then, one gets 0."""
        with self._lock:
            known = self._hosts.get(host)
            if known is None or known.failures < FAILURES:
                return 0.0
            now = self._clock()
            if now < known.rests_until:
                return known.rests_until - now
            known.rests_until = now + REST_S
            return 0.0

    def record(self, host: str, *, answered: bool) -> bool:
        """Remember the end of an exchange with the host. Return whether it rests from now on and did not before."""
        with self._lock:
            if answered:
                self._hosts.pop(host, None)
                return False
            known = self._hosts.setdefault(host, _Host())
            self._hosts.move_to_end(host)
            known.failures += 1
            if known.failures >= FAILURES:
                known.rests_until = self._clock() + REST_S
            if len(self._hosts) > MAX_HOSTS:
                self._hosts.popitem(last=False)
            return known.failures == FAILURES
