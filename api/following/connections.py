"""Connections that stay open: event streams and long polls. Their number is bounded per user, per tenant and in all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from s2edit_jobs.records.errors import StreamsFull, TooManyStreams
from s2edit_jobs.records.record import Owner
from s2edit_jobs.settings import Settings

RETRY_AFTER_S = 10


class Connections:
    """The open connections of this process. Use it on the thread of the event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._open: Counter[str] = Counter()

    @contextmanager
    def held(self, owner: Owner) -> Iterator[None]:
        """Count one more connection meanwhile. Raises `TooManyStreams` or `StreamsFull`."""
        self.check(owner)
        names = ("", owner.tenant, owner.name)
        self._open.update(names)
        try:
            yield
        finally:
            self._open.subtract(names)
            for name in names:
                if not self._open[name]:
                    del self._open[name]

    def has_room(self, owner: Owner) -> bool:
        """Return whether `held` would count one more."""
        try:
            self.check(owner)
        except (TooManyStreams, StreamsFull):
            return False
        return True

    def check(self, owner: Owner) -> None:
        """Raise `TooManyStreams` or `StreamsFull` if there is no room for one more."""
        most = self._settings
        if self._open[owner.name] >= most.max_streams_per_user:
            raise TooManyStreams("this user has too many open streams and long polls", retry_after_s=RETRY_AFTER_S)
        if self._open[owner.tenant] >= most.max_streams_per_tenant:
            raise TooManyStreams("this tenant has too many open streams and long polls", retry_after_s=RETRY_AFTER_S)
        if self._open[""] >= most.max_streams:
            raise StreamsFull("too many streams and long polls are open", retry_after_s=RETRY_AFTER_S)
