"""API keys: each key gives access to one tenant, with a set of scopes. They are stored in the object store.

A key reads `s2e_<id>_<secret>`; in test mode, `test_<id>_<secret>`. The id is public. The secret has 256 random bits, and only a
digest of the whole key is stored, so read access to the store gives no access to the API. `keys/<id>/key.json` is written once.
`keys/<id>/ended.json` holds the time from which the key is invalid.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal, Protocol, TypeVar, get_args

from s2edit_jobs.records.errors import ArtifactExists, ArtifactMissing, CredentialsInvalid, RecordUnusable
from s2edit_jobs.records.record import Timestamp, tenant_of_test_mode
from s2edit_jobs.records.set_aside import count_aside
from s2edit_jobs.records.stored import damaged, read_number, read_record
from s2edit_jobs.stores.artifacts import ArtifactStore

Scope = Literal["edits:read", "edits:write", "identities", "tokens", "admin"]
SCOPES: Final[frozenset[Scope]] = frozenset(get_args(Scope))
USUAL_SCOPES: Final[frozenset[Scope]] = SCOPES - {"admin"}
PREFIX = "s2e_"
TEST_PREFIX = "test_"
KEYS = "keys/"
UNREADABLE_END = 0.0
"""The end of a key that was ended at a time that can't be read."""
CACHE_S = 2.0
"""Seconds for which a process caches a key, and thus the longest time that a revoked key still works."""
LOOKUP_MARGIN_S = 0.2
"""`is_cached` returns False this many seconds before an entry expires, so that the `find` that follows still hits the cache."""
MAX_CACHED = 4096
MAX_UNKNOWN = 1024
"""Ids without a key that a process remembers."""
Value = TypeVar("Value")
"""Largest number of keys in the cache of one process."""
_KEY = re.compile(rf"(?:{PREFIX}|{TEST_PREFIX})([0-9a-f]{{16}})_[A-Za-z0-9_-]{{43}}")
_ID = re.compile(r"[0-9a-f]{16}")
_TENANT = re.compile(r"[A-Za-z0-9_-]{1,64}")


class KeyNotFound(LookupError):
    """No key has this id."""


class KeyEnded(ValueError):
    """The key was already revoked or rotated."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as stored, without its secret. Times are in seconds since the epoch."""

    id: str
    tenant: str
    scopes: frozenset[Scope]
    digest: str  # SHA-256 of the whole key, in hexadecimal
    created_at: Timestamp
    note: str = ""
    ends_at: float | None = None  # from `ended.json`
    test: bool = False

    @property
    def effective_tenant(self) -> str:
        """The tenant whose data the key gives access to: its own tenant, or that tenant's test tenant for a test key."""
        return tenant_of_test_mode(self.tenant) if self.test else self.tenant

    def is_active(self, now: float) -> bool:
        """Whether the key is valid at `now`: neither revoked nor replaced before."""
        return self.ends_at is None or now < self.ends_at

    def matches(self, text: str) -> bool:
        """Whether `text` is this key. The comparison takes constant time."""
        return hmac.compare_digest(self.digest, _digest(text))

    def to_json(self) -> bytes:
        values = {
            "id": self.id,
            "tenant": self.tenant,
            "scopes": sorted(self.scopes),
            "digest": self.digest,
            "created_at": self.created_at,
            "note": self.note,
            "test": self.test,
        }
        return json.dumps(values, sort_keys=True).encode()


class Keys(Protocol):
    """Where keys are looked up: the store, or a cache in front of it."""

    def find(self, key_id: str) -> ApiKey | None:
        """Return the key, active or not, or None if no key has this id. Raise `ArtifactsUnavailable`."""


class KeyRing:
    """All keys of the service, in the object store. Every method may raise `ArtifactsUnavailable`."""

    def __init__(self, artifacts: ArtifactStore, *, clock: Callable[[], float] = time.time) -> None:
        self._artifacts = artifacts
        self._clock = clock

    def create(
        self, tenant: str, scopes: Iterable[Scope] = USUAL_SCOPES, *, note: str = "", test: bool = False
    ) -> tuple[ApiKey, str]:
        """Create a key. Return it with its text, which is stored nowhere. Raise `ValueError` for a bad tenant name or scope."""
        wanted = frozenset(scopes)
        if not _TENANT.fullmatch(tenant):
            raise ValueError(f"{tenant!r} is not a valid tenant name: use 1 to 64 letters, digits, - and _")
        if not wanted or not wanted <= SCOPES:
            raise ValueError(f"choose one or more of these scopes: {', '.join(sorted(SCOPES))}")
        key_id = secrets.token_hex(8)
        text = f"{TEST_PREFIX if test else PREFIX}{key_id}_{secrets.token_urlsafe(32)}"
        key = ApiKey(key_id, tenant, wanted, _digest(text), self._clock(), note, test=test)
        self._artifacts.put(_key_path(key_id), key.to_json(), media_type="application/json", only_if_absent=True)
        return key, text

    def find(self, key_id: str) -> ApiKey | None:
        """Return the key, or None also for a key that can't be read: it gives no access."""
        try:
            key = self.read(key_id)
        except RecordUnusable as error:
            count_aside("key", key_id, error)
            return None
        if key is not None and key.ends_at == UNREADABLE_END:
            count_aside("end of a key", key_id, damaged("end of a key", "its time can't be read"))
        return key

    def read(self, key_id: str) -> ApiKey | None:
        """Return the key, or None if no key has this id. Raise `RecordDamaged` or `RecordNewer`."""
        if not _ID.fullmatch(key_id):
            return None
        try:
            key = read_record("key", ApiKey, self._artifacts.get(_key_path(key_id)))
        except ArtifactMissing:
            return None
        if key.id != key_id or not _TENANT.fullmatch(key.tenant):
            raise damaged("key", "it belongs to another id or tenant")
        return replace(key, ends_at=self._end_of(key_id))

    def _end_of(self, key_id: str) -> float | None:
        """Return the time from which the key is invalid: `UNREADABLE_END`, which has passed, if it can't be read."""
        try:
            return read_number(self._artifacts.get(_end_path(key_id)), "end of a key")
        except ArtifactMissing:
            return None
        except RecordUnusable:
            return UNREADABLE_END

    def ids(self) -> Iterator[str]:
        """Return the id of every key, in order, also of those that can't be read."""
        return (key_id for key_id in self._artifacts.folders(KEYS) if _ID.fullmatch(key_id))

    def list(self) -> Iterator[ApiKey]:
        """Yield every key that can be read, active or not, in the order of ids."""
        for key_id in self.ids():
            if (key := self.find(key_id)) is not None:
                yield key

    def exist(self) -> bool:
        """Whether a key was ever created. A damaged key counts: it must not open the service to all."""
        return any(self._artifacts.exists(_key_path(key_id)) for key_id in self.ids())

    def any_active(self) -> bool:
        """Whether at least one key is active."""
        return any(key.is_active(self._clock()) for key in self.list())

    def revoke(self, key_id: str) -> ApiKey:
        """Make the key invalid, within `CACHE_S` seconds everywhere. Repeating it is safe. Raise as `rotate`, but `KeyEnded`."""
        key = self._existing(key_id)
        if not key.is_active(self._clock()):
            return key
        now = self._clock()
        self._artifacts.put(_end_path(key_id), json.dumps(now).encode(), media_type="application/json")
        return replace(key, ends_at=now)

    def rotate(self, key_id: str, *, grace_s: float) -> tuple[ApiKey, str]:
        """Replace a key by a new one with the same rights. The old key stays valid for `grace_s` seconds.

        Raise `KeyNotFound` or `KeyEnded`, or `RecordDamaged` or `RecordNewer` for a key that can't be read.
        """
        old = self._existing(key_id)
        if old.ends_at is not None:
            raise KeyEnded(key_id)
        # Create the new key first: an interruption then leaves an extra key that nobody has, instead of no valid key.
        key, text = self.create(old.tenant, old.scopes, note=old.note, test=old.test)
        ends = json.dumps(self._clock() + grace_s).encode()
        try:
            self._artifacts.put(_end_path(key_id), ends, media_type="application/json", only_if_absent=True)
        except ArtifactExists:  # rotated or revoked meanwhile
            self.revoke(key.id)
            raise KeyEnded(key_id) from None
        return key, text

    def _existing(self, key_id: str) -> ApiKey:
        if (key := self.read(key_id)) is None:
            raise KeyNotFound(key_id)
        return key


OPEN_TO: Final = {
    "auto": "every program on this machine, and everybody whose requests a proxy on it forwards",
    "open": "everybody who reaches the port",
}
"""Whom the service answers without a key, by `auth`. With `auto`, only until the first key exists."""


def open_to(auth: str, ring: KeyRing) -> str | None:
    """Return whom a service with this setting answers without a key, or None if nobody. Raise `ArtifactsUnavailable`."""
    return OPEN_TO["open"] if auth == "open" else OPEN_TO["auto"] if auth == "auto" and not ring.exist() else None


class CachedKeys:
    """A cache in front of `keys` with a TTL of `CACHE_S` seconds. Thread-safe. `clock` is monotonic, in seconds."""

    def __init__(self, keys: Keys, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._keys = keys
        self._clock = clock
        self._lock = threading.Lock()
        self._cached: OrderedDict[str, tuple[float, ApiKey]] = OrderedDict()
        self._unknown: OrderedDict[str, float] = OrderedDict()  # apart, so that guesses push out no key
        self._found: OrderedDict[str, None] = OrderedDict()

    def is_cached(self, text: str) -> bool:
        """Whether `find` can answer for the key `text` from the cache, now and for the next `LOOKUP_MARGIN_S` seconds."""
        shape = _KEY.fullmatch(text)
        return shape is not None and self.has_cached(shape[1])

    def has_cached(self, key_id: str) -> bool:
        """Whether `find` can answer for the key with this id from the cache, as `is_cached` says."""
        with self._lock:
            until, _ = self._cached.get(key_id, (self._unknown.get(key_id, 0.0), None))
        return self._clock() + LOOKUP_MARGIN_S < until

    def has_found(self, text: str) -> bool:
        """Whether `find` has found the key with the id in `text` before, or remembers that there is none."""
        shape = _KEY.fullmatch(text)
        return shape is None or shape[1] in self._found or self.has_cached(shape[1])

    def find(self, key_id: str) -> ApiKey | None:
        now = self._clock()
        with self._lock:
            until, key = self._cached.get(key_id, (self._unknown.get(key_id, now), None))
        if now < until:
            return key
        key = self._keys.find(key_id)
        with self._lock:
            if key is None:
                self._cached.pop(key_id, None)
                _remember(self._unknown, key_id, now + CACHE_S, MAX_UNKNOWN)
            else:
                self._unknown.pop(key_id, None)
                _remember(self._cached, key_id, (now + CACHE_S, key), MAX_CACHED)
                _remember(self._found, key_id, None, MAX_CACHED)
        return key


def _remember(cache: OrderedDict[str, Value], key_id: str, value: Value, most: int) -> None:
    """Enter a value as the newest one. Drop the oldest one if there are more than `most`."""
    cache[key_id] = value
    cache.move_to_end(key_id)
    if len(cache) > most:
        cache.popitem(last=False)


def authenticate(keys: Keys, text: str) -> ApiKey:
    """Return the key whose text is `text`. Raise `CredentialsInvalid` if no active key has this text."""
    shape = _KEY.fullmatch(text)
    key = keys.find(shape[1]) if shape else None
    if key is None or not key.matches(text) or not key.is_active(time.time()):
        raise CredentialsInvalid("this API key is unknown, revoked or expired")
    return key


def _digest(text: str) -> str:
    """Return the SHA-256 of a key. No slow password hash is needed, because nobody can guess 256 random bits."""
    return hashlib.sha256(text.encode()).hexdigest()


def _key_path(key_id: str) -> str:
    return f"{KEYS}{key_id}/key.json"


def _end_path(key_id: str) -> str:
    return f"{KEYS}{key_id}/ended.json"
