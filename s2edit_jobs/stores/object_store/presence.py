"""Prove that the object store is the service's own before a missing object counts as absent.

A folder that is not mounted looks like an empty store, and so does a bucket named by mistake: every job would count as erased,
every key as unknown. So the first process that uses a store writes a marker object with a random id into it. A missing object
counts as absent only while the marker is there. Three places hold the id: the marker, each process that has read it, and Redis, for
processes that start later. A process writes the marker only if it and Redis hold no id. Otherwise a store without the marker is
unavailable.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from copy import copy
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

import structlog

from s2edit_jobs.records.errors import (
    ArtifactExists,
    ArtifactMissing,
    ArtifactsUnavailable,
    RecordDamaged,
    ServiceUnavailable,
    StoreUnproven,
)
from s2edit_jobs.stores.artifacts import JSON, check_folder, check_key, is_key

log = structlog.get_logger(__name__)

MARKER = "s2edit-store.json"
"""Key of the marker. Lists omit it. A backup of the store must contain it."""
RECALL_S = 5.0
"""Seconds after which a process asks again which store Redis remembers. So Redis learns it again after it was emptied."""
RETRY_S = 1.0
"""Seconds after which it asks again a Redis that did not answer."""
ADOPT = "if this store is the right one, run `s2edit doctor --adopt`"
Found = TypeVar("Found")


class StoreMemory(Protocol):
    """Remembers the id of the store, outside the store and longer than a process. Every method may raise `ServiceUnavailable`."""

    def recall(self) -> str | None:
        """Return the id of the service's store, or None if none is remembered."""

    def has_served(self) -> bool:
        """Whether a worker of any release has ever used this memory."""

    def remember(self, store_id: str) -> str:
        """Remember the id unless there is one. Return the id that is now remembered."""

    def replace(self, store_id: str) -> None:
        """Remember this id instead of another."""


class NoMemory:
    """Remembers nothing: for programs without Redis. A process still remembers the store that it has seen."""

    def recall(self) -> str | None:
        return None

    def has_served(self) -> bool:
        return False

    def remember(self, store_id: str) -> str:
        return store_id

    def replace(self, store_id: str) -> None:
        pass


@dataclass(frozen=True, slots=True)
class _Proven:
    """The store that this process uses."""

    store_id: str
    marker: bytes
    recall_at: float  # when to compare it with the memory again, on the monotonic clock


class ProvenStore(ABC):
    """The base of every object store: it verifies that a missing object is absent. A driver implements the underscored methods.

    A method raises `ArtifactsUnavailable` unless the store's marker is there. An object is absent after a miss, a proof of the
    store, and another miss. One miss is not enough, because a folder may come back between the miss and the proof, or go away after
    it.
    """

    proof_s = 0.0
    """Seconds for which a proof stands. 0 means that every missing object is followed by a proof."""

    def __init__(self, memory: StoreMemory | None = None) -> None:
        self._memory = memory or NoMemory()
        self._proven: _Proven | None = None
        self._proof_ends = float("-inf")  # on the monotonic clock
        self._away = False
        self._identifying = threading.Lock()
        self.on_put: Callable[[str, int], None] | None = None  # called with key and size after each write

    # --- the port ----------------------------------------------------------------------------------------------

    def put(self, key: str, data: bytes, *, media_type: str, only_if_absent: bool = False) -> None:
        check_key(key)
        self.prove()
        self._put(key, data, media_type, only_if_absent)
        if self.on_put is not None:
            self.on_put(key, len(data))

    def replace(self, key: str, data: bytes, *, media_type: str) -> None:
        self.put(key, data, media_type=media_type)
        self._delete_older_versions(key, exactly=True)

    def delete_older_versions(self, prefix: str) -> None:
        self.prove()
        self._delete_older_versions(prefix, exactly=False)

    def get(self, key: str) -> bytes:
        check_key(key)
        return self._looked_for(lambda: self._get(key))

    def size_bytes(self, key: str) -> int:
        check_key(key)
        return self._looked_for(lambda: self._size_bytes(key))

    def exists(self, key: str) -> bool:
        try:
            self.size_bytes(key)
        except ArtifactMissing:
            return False
        return True

    def total_bytes(self, prefix: str) -> int:
        self.prove()
        size = self._total_bytes(prefix)
        self.prove()
        return size

    def list(self, prefix: str, *, after: str | None = None, expected: int | None = None) -> Iterator[str]:
        return self._proved(lambda: (key for key in self._keys(prefix, after or "", expected) if is_key(key) and key != MARKER))

    def folders(self, prefix: str) -> Iterator[str]:
        check_folder(prefix)
        return self._proved(lambda: (name for name in self._folders(prefix) if is_key(name)))

    def delete_prefix(self, prefix: str) -> int:
        if not prefix:
            raise ValueError("an empty prefix would delete everything")
        self.prove()
        deleted = self._delete_prefix(prefix)
        self.prove()
        return deleted

    def delete(self, keys: Iterable[str]) -> None:
        chosen = [check_key(key) for key in keys]
        self.prove()
        self._delete(chosen)
        self.prove()

    # --- the proof ---------------------------------------------------------------------------------------------

    def prove(self) -> bool:
        """Return whether a new proof was made, or False if the last one still stands. Raise `ArtifactsUnavailable`."""
        now = time.monotonic()
        if now < self._proof_ends:
            return False
        try:
            known = self._proven
            if known is None or now >= known.recall_at or self._marker() != known.marker:
                with self._identifying:
                    self._identify(now)
        except ArtifactsUnavailable as error:
            if not self._away:
                away = "may be new" if isinstance(error, StoreUnproven) else "is unavailable, or is not the service's"
                log.error(f"the object store {away}", action="store_away", reason=str(error))
            self._away = True
            raise
        if self._away:
            log.info("the object store is back", action="store_back")
        self._away, self._proof_ends = False, now + self.proof_s
        return True

    def inspect(self) -> str | None:
        """Return the id of the store, or None if it is new. Write nothing. For operators.

        Raise `ServiceUnavailable`: if the store is away, if it is another one, or if Redis does not answer.
        """
        remembered, marker = self._memory.recall(), self._marker()
        if marker is None:
            self._check_new(remembered)
            return None
        if remembered not in (None, _id_of(marker)):
            raise _foreign(_id_of(marker), remembered)
        return _id_of(marker)

    def trusting(self) -> Self:
        """Return this store without its proofs, to check a store that cannot give one. A miss counts as absence there."""
        other = copy(self)
        other.prove = lambda: False  # type: ignore[method-assign]
        return other

    def adopt(self) -> str:
        """Make this the service's store, whatever the memory says, and return its id. For operators. Raise `ServiceUnavailable`."""
        self._proven = None
        marker = self._marker() or self._mark()
        self._memory.replace(_id_of(marker))
        return _id_of(marker)

    def _identify(self, now: float) -> None:
        """Compare the marker with what this process and Redis know. Redis decides, because the operator may have changed it.

        Redis is asked first: whatever it remembers was marked before, so the marker must then be found.
        """
        seen, reachable, remembered = self._proven, True, None
        try:
            remembered = self._memory.recall()
        except ServiceUnavailable:
            reachable = False
        marker = self._marker()
        expected = remembered or (seen.store_id if seen else None)
        if marker is None:
            if expected is None and not reachable:
                raise _unknown()
            self._check_new(expected)
            marker = self._mark()
        found = _id_of(marker)
        if reachable and remembered is None and expected in (None, found):
            expected = self._memory.remember(found)
        if expected not in (None, found):
            raise _foreign(found, expected)
        self._proven = _Proven(found, marker, now + (RECALL_S if reachable else RETRY_S))

    def _check_new(self, expected: str | None) -> None:
        """Raise `ArtifactsUnavailable` unless a store without a marker is new, or was filled by a release that wrote no markers."""
        if expected is not None:
            raise ArtifactsUnavailable(f"the object store {expected} is not there: {MARKER} is missing; {ADOPT}")
        if self._memory.has_served() and not any(True for folder in ("t/", "keys/", "models/") for _ in self._keys(folder, "")):
            raise ArtifactsUnavailable(f"the object store is empty, but Redis has served workers before; {ADOPT}")

    def _mark(self) -> bytes:
        """Write the marker, and return the one that stands if several processes do."""
        content = json.dumps({"store": secrets.token_hex(8), "created_at": time.time()}).encode()
        self._create()
        try:
            self._put(MARKER, content, JSON, only_if_absent=True)
        except ArtifactExists:
            content = self._get(MARKER)
        return content

    def _marker(self) -> bytes | None:
        try:
            return self._get(MARKER)
        except ArtifactMissing:
            return None
        except RecordDamaged as error:
            raise ArtifactsUnavailable(str(error)) from error

    def _looked_for(self, look: Callable[[], Found]) -> Found:
        """Return what `look` finds. Raise `ArtifactMissing` only in a store that has proved to be there."""
        if self._proven is None:
            self.prove()
        try:
            return look()
        except (ArtifactMissing, RecordDamaged):
            if not self.prove():
                raise
        return look()

    def _proved(self, look: Callable[[], Iterator[str]]) -> Iterator[str]:
        """Yield what `look` yields. The end of a list is an absence too."""
        self.prove()
        some = False
        for name in look():
            some = True
            yield name
        if self.prove() and not some:
            yield from look()

    # --- the driver --------------------------------------------------------------------------------------------

    @abstractmethod
    def _create(self) -> None:
        """Make an empty store, if the driver can. Called only before the marker is written."""

    @abstractmethod
    def _put(self, key: str, data: bytes, media_type: str, only_if_absent: bool) -> None: ...

    @abstractmethod
    def _delete_older_versions(self, prefix: str, *, exactly: bool) -> None: ...

    @abstractmethod
    def _get(self, key: str) -> bytes: ...

    @abstractmethod
    def _size_bytes(self, key: str) -> int: ...

    @abstractmethod
    def _total_bytes(self, prefix: str) -> int: ...

    @abstractmethod
    def _keys(self, prefix: str, after: str, expected: int | None = None) -> Iterator[str]: ...

    @abstractmethod
    def _folders(self, prefix: str) -> Iterator[str]: ...

    @abstractmethod
    def _delete_prefix(self, prefix: str) -> int: ...

    @abstractmethod
    def _delete(self, keys: Iterable[str]) -> None: ...


def _foreign(found: str, expected: str | None) -> ArtifactsUnavailable:
    return ArtifactsUnavailable(f"this is the object store {found}, but the service uses {expected}; {ADOPT}")


def _unknown() -> StoreUnproven:
    return StoreUnproven(f"{MARKER} is missing, and Redis does not answer, which knows whether the store is new")


def _id_of(marker: bytes) -> str:
    try:
        return str(json.loads(marker)["store"])
    except (ValueError, TypeError, KeyError):
        raise ArtifactsUnavailable(f"{MARKER} is damaged: restore it from a backup, or delete it; then {ADOPT}") from None
