"""API keys: who may call for which tenant, and what for. They lie in the object store, which is the truth about them too.

A key reads `s2e_<id>_<secret>`, one for test mode `test_<id>_<secret>`. The id is its visible part; of the secret, 256 random bits,
only a digest is kept, so that nobody who reads the store can call the API. `keys/<id>/key.json` is written once,
`keys/<id>/ended.json` says from when the key is void.
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
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, Protocol, get_args

from s2edit_jobs.records.errors import ArtifactExists, ArtifactMissing, CredentialsInvalid
from s2edit_jobs.records.record import twin
from s2edit_jobs.stores.artifacts import ArtifactStore

Scope = Literal["edits:read", "edits:write", "identities", "tokens", "admin"]
SCOPES: Final[frozenset[Scope]] = frozenset(get_args(Scope))
USUAL_SCOPES: Final[frozenset[Scope]] = SCOPES - {"admin"}
PREFIX = "s2e_"
TEST_PREFIX = "test_"
FOLDER = "keys/"
BELIEVED_S = 2.0
"""How long a key that was looked up is believed: so long may a revoked one still be used."""
MOMENT_S = 0.2
"""How long before a key must be looked up again it counts as not remembered, so that nobody who asked first is surprised."""
MAX_KNOWN = 4096
"""Keys that one process remembers at most."""
_KEY = re.compile(rf"(?:{PREFIX}|{TEST_PREFIX})([0-9a-f]{{16}})_[A-Za-z0-9_-]{{43}}")
_ID = re.compile(r"[0-9a-f]{16}")
_TENANT = re.compile(r"[A-Za-z0-9_-]{1,64}")


class KeyNotFound(LookupError):
    """There is no key of that id."""


class KeyEnded(ValueError):
    """The key counts no more, or will soon not: it was revoked or rotated before."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is kept of a key. Moments are seconds since the epoch."""

    id: str
    tenant: str
    scopes: frozenset[Scope]
    digest: str  # SHA-256 of the whole key, in hexadecimal
    created_at: float
    note: str = ""
    ends_at: float | None = None
    test: bool = False

    @property
    def acts_for(self) -> str:
        """The tenant whose things it opens: its own, or for a test key that one's twin."""
        return twin(self.tenant) if self.test else self.tenant

    def counts_at(self, now: float) -> bool:
        return self.ends_at is None or now < self.ends_at

    def is_that_of(self, text: str) -> bool:
        """In constant time."""
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

    @classmethod
    def from_json(cls, data: bytes) -> ApiKey:
        values: dict[str, Any] = json.loads(data)
        return cls(**{**values, "scopes": frozenset(values["scopes"])})


class Keys(Protocol):
    """Where keys are looked up."""

    def find(self, key_id: str) -> ApiKey | None:
        """The key as it stands now, also one that counts no more; None if there is none. Raises `ArtifactsUnavailable`."""


class KeyRing:
    """All keys of the service. Every call may raise `ArtifactsUnavailable`."""

    def __init__(self, artifacts: ArtifactStore, *, clock: Callable[[], float] = time.time) -> None:
        self._artifacts = artifacts
        self._clock = clock

    def create(
        self, tenant: str, scopes: Iterable[Scope] = USUAL_SCOPES, *, note: str = "", test: bool = False
    ) -> tuple[ApiKey, str]:
        """A new key, and its text, which is known from now on to nobody but the caller. `ValueError` says what can't be."""
        wanted = frozenset(scopes)
        if not _TENANT.fullmatch(tenant):
            raise ValueError(f"{tenant!r} can't name a tenant: take 1 to 64 letters, digits, - and _")
        if not wanted or not wanted <= SCOPES:
            raise ValueError(f"scopes are some of {', '.join(sorted(SCOPES))}")
        key_id = secrets.token_hex(8)
        text = f"{TEST_PREFIX if test else PREFIX}{key_id}_{secrets.token_urlsafe(32)}"
        key = ApiKey(key_id, tenant, wanted, _digest(text), self._clock(), note, test=test)
        self._artifacts.put(_place(key_id), key.to_json(), media_type="application/json", only_if_absent=True)
        return key, text

    def find(self, key_id: str) -> ApiKey | None:
        if not _ID.fullmatch(key_id):
            return None
        try:
            key = ApiKey.from_json(self._artifacts.get(_place(key_id)))
        except ArtifactMissing:
            return None
        with suppress(ArtifactMissing):
            key = replace(key, ends_at=float(json.loads(self._artifacts.get(_end_place(key_id)))))
        return key

    def list(self) -> Iterator[ApiKey]:
        """Every key, also those that count no more, by id."""
        for place in self._artifacts.list(FOLDER):
            if place.endswith("/key.json") and (key := self.find(place.split("/")[1])) is not None:
                yield key

    def exist(self) -> bool:
        """Whether there has ever been a key."""
        return next(iter(self._artifacts.list(FOLDER)), None) is not None

    def any_counts(self) -> bool:
        """Whether some key can be used now."""
        return any(key.counts_at(self._clock()) for key in self.list())

    def revoke(self, key_id: str) -> ApiKey:
        """It counts no more, at the latest `BELIEVED_S` seconds from now. Safe to repeat. Raises `KeyNotFound`."""
        key = self._known(key_id)
        if not key.counts_at(self._clock()):
            return key
        now = self._clock()
        self._artifacts.put(_end_place(key_id), json.dumps(now).encode(), media_type="application/json")
        return replace(key, ends_at=now)

    def rotate(self, key_id: str, *, grace_s: float) -> tuple[ApiKey, str]:
        """A new key for the same; the old one counts for `grace_s` seconds more. Raises `KeyNotFound` or `KeyEnded`."""
        old = self._known(key_id)
        if old.ends_at is not None:
            raise KeyEnded(key_id)
        # The new one first: cut short in between, there is a key too many that nobody has, and not one too few.
        key, text = self.create(old.tenant, old.scopes, note=old.note, test=old.test)
        ends = json.dumps(self._clock() + grace_s).encode()
        try:
            self._artifacts.put(_end_place(key_id), ends, media_type="application/json", only_if_absent=True)
        except ArtifactExists:  # rotated or revoked meanwhile
            self.revoke(key.id)
            raise KeyEnded(key_id) from None
        return key, text

    def _known(self, key_id: str) -> ApiKey:
        if (key := self.find(key_id)) is None:
            raise KeyNotFound(key_id)
        return key


class KnownKeys:
    """`keys`, remembered for `BELIEVED_S` seconds. May be shared by threads. `clock` is monotonic, in seconds."""

    def __init__(self, keys: Keys, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._keys = keys
        self._clock = clock
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[float, ApiKey | None]] = OrderedDict()

    def remember(self, text: str) -> bool:
        """Whether `find`, for the key that `text` would be, needs no look within the next moment."""
        shape = _KEY.fullmatch(text)
        with self._lock:
            until, _ = self._known.get(shape[1] if shape else "", (0.0, None))
        return self._clock() + MOMENT_S < until

    def find(self, key_id: str) -> ApiKey | None:
        now = self._clock()
        with self._lock:
            until, key = self._known.get(key_id, (now, None))
        if now < until:
            return key
        key = self._keys.find(key_id)
        with self._lock:
            self._known[key_id] = (now + BELIEVED_S, key)
            self._known.move_to_end(key_id)
            if len(self._known) > MAX_KNOWN:
                self._known.popitem(last=False)
        return key


def checked(keys: Keys, text: str) -> ApiKey:
    """The key that `text` is. Raises `CredentialsInvalid` if it is none, or counts no more."""
    shape = _KEY.fullmatch(text)
    key = keys.find(shape[1]) if shape else None
    if key is None or not key.is_that_of(text) or not key.counts_at(time.time()):
        raise CredentialsInvalid("this key is unknown, or counts no more")
    return key


def _digest(text: str) -> str:
    """A plain hash is enough: nobody guesses 256 bits."""
    return hashlib.sha256(text.encode()).hexdigest()


def _place(key_id: str) -> str:
    return f"{FOLDER}{key_id}/key.json"


def _end_place(key_id: str) -> str:
    return f"{FOLDER}{key_id}/ended.json"
