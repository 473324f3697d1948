"""How many rows a UNet pass may have. A device out of memory halves the limit for a while."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

RECOVERY_S = 600.0
"""Seconds after which larger passes are tried again, because the memory may be free by then."""

log = logging.getLogger(__name__)
listeners: set[Callable[[], None]] = set()
"""Called whenever the limit is lowered, so that a service can count it."""


class PassLimit:
    """The limit of rows per pass. A lack of memory lowers it for a while; `reductions` counts how often.

    `most` is the limit that was measured for this device, if any: it stays.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.reductions = 0
        self.most: int | None = None
        self._now = now
        self._rows: int | None = None  # None: as many as asked for
        self._until = 0.0

    def rows(self, largest: int) -> int:
        """Return how many rows a pass may have: `largest` or fewer."""
        largest = largest if self.most is None else min(largest, self.most)
        if self._rows is None or self._now() >= self._until:
            self._rows = None
            return largest
        return min(self._rows, largest)

    def reduce(self, rows: int) -> None:
        """Halve the limit, because there was too little memory for `rows` rows."""
        self.reductions += 1
        self._rows = max(1, rows // 2)
        self._until = self._now() + RECOVERY_S
        for listener in listeners:
            listener()
        log.warning("too little memory for a pass of %d rows: %d from now on", rows, self._rows)
