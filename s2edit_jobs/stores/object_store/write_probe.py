"""Check that the object store accepts writes. Reads do not reveal a full disk or a missing right."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from s2edit_jobs.records.errors import ServiceUnavailable
from s2edit_jobs.stores.artifacts import ArtifactStore

PROBES = "probes/"
"""Folder of the probe. The sweeper empties it, because a bucket with versioning keeps every probe."""
KEY = f"{PROBES}readiness"
CACHE_S = 15.0
"""Seconds for which a write that succeeded counts. Amazon charges about one dollar a month for one write per 15 s."""
RETRY_S = 2.0
"""Seconds until the next try after a write that failed, so that readiness comes back soon."""


class WriteProbe:
    """Writes a small object, at most as often as `CACHE_S` says, however often it is asked. `clock` is monotonic."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._until = float("-inf")
        self._ok = False

    def succeeds(self, artifacts: ArtifactStore) -> bool:
        """Return whether the store accepted the last probe."""
        with self._lock:
            if self._clock() < self._until:
                return self._ok
            try:
                artifacts.put(KEY, b"ready", media_type="text/plain")
            except ServiceUnavailable:
                self._ok = False
            else:
                self._ok = True
            self._until = self._clock() + (CACHE_S if self._ok else RETRY_S)
            return self._ok
