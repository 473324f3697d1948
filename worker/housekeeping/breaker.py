"""Which receivers of webhooks do not answer, so that messages to them wait without holding a sender.

A receiver is a host as one tenant uses it. Tenants may share a host, such as a relay, and choose paths on it that never answer: one
tenant's failures must not hold back another's messages. Paths do not count, because many apps put the id of the job into theirs.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

FAILURES = 3
"""Exchanges in a row without an answer, after which a receiver rests."""
REST_S = 60.0
"""Seconds for which a receiver rests. Then one message tries it."""
MAX_RECEIVERS = 10_000
"""The number of failing receivers that one process remembers."""


class Receiver(NamedTuple):
    """The host and port of a URL, and the tenant whose messages go there."""

    tenant: str
    host: str


@dataclass
class _Failing:
    failures: int = 0
    rests_until: float = 0.0


class Breaker:
    """Counts exchanges without an answer by receiver. Thread-safe. `clock` is monotonic, in seconds."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._receivers: OrderedDict[Receiver, _Failing] = OrderedDict()

    def wait_s(self, receiver: Receiver) -> float:
        """Return the seconds for which the receiver rests, 0 if it may be tried now. Of several callers then, one gets 0."""
        with self._lock:
            known = self._receivers.get(receiver)
            if known is None or known.failures < FAILURES:
                return 0.0
            now = self._clock()
            if now < known.rests_until:
                return known.rests_until - now
            known.rests_until = now + REST_S
            return 0.0

    def record(self, receiver: Receiver, *, answered: bool) -> bool:
        """Remember the end of an exchange with the receiver. Return whether it rests from now on and did not before."""
        with self._lock:
            if answered:
                self._receivers.pop(receiver, None)
                return False
            known = self._receivers.setdefault(receiver, _Failing())
            self._receivers.move_to_end(receiver)
            known.failures += 1
            if known.failures >= FAILURES:
                known.rests_until = self._clock() + REST_S
            if len(self._receivers) > MAX_RECEIVERS:
                self._receivers.popitem(last=False)
            return known.failures == FAILURES
