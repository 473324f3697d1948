"""Revocation of all device tokens of a user.

Erasing a user also erases the record of what each token has spent. So every token issued before the erasure must be rejected. A
marker object outside the user's own prefix stores the time of the erasure. The sweeper removes it once no older token can be valid.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from itertools import islice

from s2edit_core.request.plan import digest
from s2edit_jobs.access.keys import CACHE_S, LOOKUP_MARGIN_S, MAX_CACHED
from s2edit_jobs.records.errors import ArtifactMissing, RecordDamaged, RecordUnusable
from s2edit_jobs.records.record import Owner
from s2edit_jobs.records.set_aside import count_aside, set_aside
from s2edit_jobs.records.stored import read_number
from s2edit_jobs.stores.artifacts import ArtifactStore

ENDED = "ended/"
"""Key prefix of the markers. Each holds a time in whole seconds since the epoch."""
_NAME = re.compile(r"[0-9a-f]{32}")
MARKER_TTL_S = 2 * 86_400
"""Seconds that a marker is kept: longer than the longest lifetime of a token (`token_max_ttl_s`, at most one day)."""


MAX_LISTED = 1000
"""Markers that `CachedEnds` lists: one page of an object store. If there are more, it looks at the marker of each user."""
CLOCK_SKEW_S = 5
"""Seconds by which the clocks of two API machines may differ. A machine whose clock is ahead issues tokens from the future."""


def _marker_key(owner: Owner) -> str:
    """Return the marker's key, which contains a digest instead of the user's name."""
    return f"{ENDED}{digest(owner.prefix.encode())[:32]}"


def end_tokens(artifacts: ArtifactStore, owner: Owner, *, now: float) -> None:
    """Revoke every token issued to this user up to `now`, also on machines whose clock is ahead. Raise `ArtifactsUnavailable`.

    The marker names the last second in which such a token can claim to be issued.
    """
    artifacts.put(_marker_key(owner), json.dumps(int(now) + CLOCK_SKEW_S).encode(), media_type="application/json")


def ended_at(artifacts: ArtifactStore, owner: Owner) -> int | None:
    """Return the last `iat` of this user's revoked tokens, in seconds since the epoch, or None. Raise `ArtifactsUnavailable`.

    A time that can't be read is now: then every token issued so far is revoked.
    """
    key = _marker_key(owner)
    try:
        return int(read_number(artifacts.get(key), "end of tokens"))
    except ArtifactMissing:
        return None
    except RecordUnusable as error:
        count_aside("end of tokens", key, error)
        return int(time.time())


class CachedEnds:
    """A cache in front of `ended_at` with a TTL of `CACHE_S` seconds. Thread-safe. `clock` is monotonic, in seconds.

    It lists the markers, of which there are few, so the cost does not depend on the number of users. It reads the marker only of a
    user who has one.
    """

    def __init__(self, artifacts: ArtifactStore, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._artifacts = artifacts
        self._clock = clock
        self._lock = threading.Lock()
        self._until = float("-inf")
        self._marked: frozenset[str] | None = frozenset()  # None: more than `MAX_LISTED`
        self._ends: OrderedDict[str, int | None] = OrderedDict()

    def is_cached(self, owner: Owner) -> bool:
        """Whether `find` can answer from the cache, now and for the next `LOOKUP_MARGIN_S` seconds."""
        with self._lock:
            key = _marker_key(owner)
            return self._clock() + LOOKUP_MARGIN_S < self._until and (key in self._ends or self._has_none(key))

    def forget(self) -> None:
        """Let the next `find` look again."""
        with self._lock:
            self._until = float("-inf")

    def find(self, owner: Owner) -> int | None:
        """Return what `ended_at` returned at most `CACHE_S` seconds ago. Raise `ArtifactsUnavailable`."""
        key = _marker_key(owner)
        with self._lock:  # so that callers that come at the same time list the markers once
            if (now := self._clock()) >= self._until:
                listed = list(islice(self._artifacts.list(ENDED), MAX_LISTED + 1))
                self._marked = frozenset(listed) if len(listed) <= MAX_LISTED else None
                self._ends.clear()
                self._until = now + CACHE_S
            if self._has_none(key):
                return None
            if key in self._ends:
                return self._ends[key]
            until = self._until
        ended = ended_at(self._artifacts, owner)
        with self._lock:
            if self._until == until:
                self._ends[key] = ended
                if len(self._ends) > MAX_CACHED:
                    self._ends.popitem(last=False)
        return ended

    def _has_none(self, key: str) -> bool:
        return self._marked is not None and key not in self._marked


def sweep_ended(artifacts: ArtifactStore, *, now: float) -> int:
    """Remove the markers older than `MARKER_TTL_S` and return their number. Raise `ArtifactsUnavailable`.

    A damaged marker is written anew with the present time, so that the user can get tokens again.
    """
    gone = 0
    for key in list(artifacts.list(ENDED)):
        if not _NAME.fullmatch(key, len(ENDED)):
            continue
        with set_aside("end of tokens", key), suppress(ArtifactMissing):
            try:
                ended = read_number(artifacts.get(key), "end of tokens")
            except RecordDamaged as error:
                count_aside("end of tokens", key, error)
                artifacts.put(key, json.dumps(int(now)).encode(), media_type="application/json")
                continue
            gone += artifacts.delete_prefix(key) if ended + MARKER_TTL_S < now else 0
    return gone
