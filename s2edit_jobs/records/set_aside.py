"""Loops over stored items: an item that cannot be handled is set aside, so that it never stops the others.

    for key in artifacts.list(EXPIRING):
        with set_aside("expiring identity", key):
            ...

Stored items outlive releases, so one may be damaged, written by a newer release, or foreign.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import structlog

from s2edit_jobs.records.errors import ServiceUnavailable

log = structlog.get_logger(__name__)

LOG_AGAIN_S = 3600.0
"""Seconds until the same item is logged again. Some loops come by every few seconds, for as long as the item is there."""
MAX_LOGGED = 1000
"""The number of items whose last log line is remembered."""
_counts: Counter[str] = Counter()
_logged: OrderedDict[tuple[str, str], float] = OrderedDict()
_lock = threading.Lock()


@contextmanager
def set_aside(kind: str, key: str) -> Iterator[None]:
    """Log and count an error about the stored item `key`, then continue after the block.

    `kind` says what the item is, such as "webhook"; it becomes a label of a metric, so it must not contain an id.
    `ServiceUnavailable` passes: a service that is down concerns every item.
    """
    try:
        yield
    except ServiceUnavailable:
        raise
    except Exception as error:
        count_aside(kind, key, error)


def count_aside(kind: str, key: str, error: Exception) -> None:
    """Count the item `key`, and log `error` unless it was logged within the last `LOG_AGAIN_S` seconds."""
    now = time.monotonic()
    with _lock:
        _counts[kind] += 1
        is_known = now < _logged.get((kind, key), 0.0)
        if not is_known:
            _logged[kind, key] = now + LOG_AGAIN_S
            _logged.move_to_end((kind, key))
            if len(_logged) > MAX_LOGGED:
                _logged.popitem(last=False)
    if not is_known:
        log.error("a stored item cannot be handled and is set aside", action="set_aside", kind=kind, key=key, exc_info=error)


def set_aside_counts() -> Mapping[str, int]:
    """Return how many items this process has set aside, by kind."""
    with _lock:
        return dict(_counts)
