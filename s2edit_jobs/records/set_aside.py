"""Loops over stored items: an item that cannot be handled is set aside, so that it never stops the others.

    for key in artifacts.list(EXPIRING):
        with set_aside("expiring identity", key):
            ...

What is stored outlives releases, disks and editors, so one item may be damaged, of a newer release, or not ours at all.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import structlog

from s2edit_jobs.records.errors import ServiceUnavailable

log = structlog.get_logger(__name__)

_counts: Counter[str] = Counter()
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
    except Exception:
        with _lock:
            _counts[kind] += 1
        log.exception("a stored item cannot be handled and is set aside", action="set_aside", kind=kind, key=key)


def set_aside_counts() -> Mapping[str, int]:
    """Return how many items this process has set aside, by kind."""
    with _lock:
        return dict(_counts)
