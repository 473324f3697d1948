"""A limit on failed credentials per address. Each unknown key costs a look into the object store."""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from s2edit_jobs.records.errors import RateExceeded

WINDOW_S = 60.0
MAX_ADDRESSES = 10_000
"""Addresses whose failures a process remembers. The one that failed longest ago is forgotten first."""


class FailedCredentials:
    """Counts failures per address in fixed windows. Thread-safe. `most` of 0 is no limit; `clock` is monotonic, in seconds."""

    def __init__(self, most: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: OrderedDict[str, tuple[float, int]] = OrderedDict()  # end of the window, number

    def check(self, address: str | None) -> None:
        """Raise `RateExceeded` if the address has failed too often within the last minute."""
        ends_at, count = self._failures.get(_network_of(address), (0.0, 0))
        left_s = ends_at - self._clock()
        if self._most and count >= self._most and left_s > 0:
            raise RateExceeded("too many invalid keys and tokens came from this address", retry_after_s=int(left_s) + 1)

    def count(self, address: str | None) -> None:
        """Count a failure."""
        network, now = _network_of(address), self._clock()
        with self._lock:
            ends_at, count = self._failures.get(network, (0.0, 0))
            self._failures[network] = (ends_at, count + 1) if now < ends_at else (now + WINDOW_S, 1)
            self._failures.move_to_end(network)
            if len(self._failures) > MAX_ADDRESSES:
                self._failures.popitem(last=False)


def _network_of(address: str | None) -> str:
    """Return the address, or of an IPv6 address its /64, which one sender usually has to itself."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return address or ""
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    return str(parsed.ipv4_mapped or ipaddress.ip_network((parsed, 64), strict=False))
