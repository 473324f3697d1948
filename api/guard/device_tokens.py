"""Device tokens: credentials for a phone or browser, limited to one user, a short time and a number of edits and uploads.

A token is a JWT (HS256). Each edit or upload that it pays for is a write-once object in the object store. So concurrent requests
can't overspend the budget, and it survives a loss of Redis. A housekeeper removes these objects, from 5 minutes after the token's
expiry (`s2edit_jobs.library.retention`).
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from joserfc import jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import KeySet, OctKey

from s2edit_jobs.access.keys import MAX_CACHED, Scope
from s2edit_jobs.access.revoked_tokens import CLOCK_SKEW_S, CachedEnds, ended_at
from s2edit_jobs.access.spent_units import TOKENS
from s2edit_jobs.bootstrap import service_key
from s2edit_jobs.records.errors import ArtifactExists, ArtifactMissing, CredentialsInvalid, TokenSpent, TokensUnavailable
from s2edit_jobs.records.record import Owner
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.artifacts import ArtifactStore

Unit = Literal["edits", "uploads"]
ALGORITHM = "HS256"
ISSUER = "s2edit"
MAX_BUDGET = 1000
MAX_LENGTH = 4096
"""The longest token that is parsed, in characters."""
DEVICE_SCOPES: frozenset[Scope] = frozenset({"edits:read", "edits:write", "identities"})
"""The scopes that a token can have. It can't create further tokens."""
IAT_LEEWAY_S = 2 * CLOCK_SKEW_S + 1
"""Seconds by which a token may claim to be issued in the future. After a revocation, `issue` dates a token `CLOCK_SKEW_S` seconds
ahead, and the clock of the machine that reads it may be as far behind."""


@dataclass(frozen=True, slots=True)
class DeviceToken:
    """The claims of a token. `expires_at` and `issued_at` are in seconds since the epoch."""

    id: str
    owner: Owner
    scopes: frozenset[Scope]
    expires_at: int
    edits: int
    uploads: int
    key_id: str  # the API key that created it; empty without keys
    issued_at: int = 0

    @property
    def prefix(self) -> str:
        """The folder of its spent units. The name contains the expiry, by which a housekeeper removes it."""
        return f"{self.owner.prefix}{TOKENS}/{self.expires_at}-{self.id}/"


class DeviceTokens:
    """Issues, reads and charges tokens. The first of `keys` signs, all verify. Without keys there are no tokens."""

    def __init__(self, artifacts: ArtifactStore, keys: list[str], *, clock: Callable[[], float] = time.time) -> None:
        self._artifacts = artifacts
        self._clock = clock
        self._ends = CachedEnds(artifacts)
        self._lock = threading.Lock()
        self._read: OrderedDict[str, DeviceToken] = OrderedDict()
        self._keys = [OctKey.import_key(key, {"kid": hashlib.sha256(key.encode()).hexdigest()[:8]}) for key in keys]
        self._key_set = KeySet([*self._keys])
        self._claims = jwt.JWTClaimsRegistry(
            now=lambda: int(clock()),
            leeway=IAT_LEEWAY_S,
            iat={"essential": True},
            iss={"essential": True, "value": ISSUER},
            aud={"essential": True, "value": ISSUER},
            exp={"essential": True},
            sub={"essential": True},
        )

    @classmethod
    def from_settings(cls, settings: Settings, artifacts: ArtifactStore) -> DeviceTokens:
        """Read the signing keys from the settings, or create one in the data folder.

        With an S3 bucket there may be several machines, which must share the key, so it is never created.
        """
        if settings.token_keys is not None:
            keys = settings.token_keys.get_secret_value().split()
        else:
            keys = [] if settings.s3_bucket else [service_key(settings, "token.key")]
        return cls(artifacts, keys)

    def issue(
        self, owner: Owner, *, scopes: frozenset[Scope], expires_in_s: int, edits: int, uploads: int, key_id: str
    ) -> tuple[DeviceToken, str]:
        """Return a new token and its text. Raises `TokensUnavailable` or `ArtifactsUnavailable`."""
        if not self._keys:
            raise TokensUnavailable("there is no key to sign tokens")
        now, ended = int(self._clock()), ended_at(self._artifacts, owner)
        issued_at = now if ended is None else max(now, ended + 1)  # else the revocation would cover the new token too
        expires_at = now + expires_in_s
        token = DeviceToken(secrets.token_hex(16), owner, scopes & DEVICE_SCOPES, expires_at, edits, uploads, key_id, issued_at)
        claims = {
            "iss": ISSUER,
            "aud": ISSUER,
            "sub": owner.user,
            "tenant": owner.tenant,
            "jti": token.id,
            "iat": issued_at,
            "exp": expires_at,
            "scope": " ".join(sorted(token.scopes)),
            "edits": edits,
            "uploads": uploads,
            "key": key_id,
        }
        header = {"alg": ALGORITHM, "kid": self._keys[0].kid}
        return token, jwt.encode(header, claims, self._keys[0], algorithms=[ALGORITHM])

    def read(self, text: str) -> DeviceToken:
        """Verify and parse a token. Raises `CredentialsInvalid` if it was not issued here or has expired."""
        if (known := self.recall(text)) is not None:
            return known
        token = self._parse(text)
        with self._lock:
            self._read[text] = token
            if len(self._read) > MAX_CACHED:
                self._read.popitem(last=False)
        return token

    def recall(self, text: str) -> DeviceToken | None:
        """Return a token that this process has verified and that has not expired, or None."""
        with self._lock:
            token = self._read.get(text)
        return token if token is not None and self._clock() < token.expires_at else None

    def _parse(self, text: str) -> DeviceToken:
        if not self._keys or len(text) > MAX_LENGTH:
            raise CredentialsInvalid("not a token of this service")
        try:
            claims = jwt.decode(text, self._key_set, algorithms=[ALGORITHM]).claims
            self._claims.validate(claims)
            if claims["exp"] <= self._clock():  # the leeway is for `iat` only
                raise ExpiredTokenError("exp")
            return DeviceToken(
                id=claims["jti"],
                owner=Owner(claims["tenant"], claims["sub"]),
                scopes=frozenset(claims["scope"].split()),
                expires_at=claims["exp"],
                edits=claims["edits"],
                uploads=claims["uploads"],
                key_id=claims["key"],
                issued_at=claims["iat"],
            )
        except ExpiredTokenError:  # its signature is right. Phones behind one address may send many of these, which cost no I/O
            raise CredentialsInvalid("the token has expired", guessed=False) from None
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise CredentialsInvalid(f"not a token of this service: {type(error).__name__}") from None

    def forget(self) -> None:
        """See a revocation by this process at once."""
        self._ends.forget()

    def is_cached(self, token: DeviceToken) -> bool:
        """Whether `check_not_revoked` with `cached` needs no I/O."""
        return self._ends.is_cached(token.owner)

    def check_not_revoked(self, token: DeviceToken, *, cached: bool = False) -> None:
        """Raise `CredentialsInvalid` if the token was issued before its user's tokens were revoked.

        With `cached`, a revocation of the last `CACHE_S` seconds may be overlooked. That is for requests that only read.
        """
        ended = self._ends.find(token.owner) if cached else ended_at(self._artifacts, token.owner)
        if ended is not None and token.issued_at <= ended:
            raise CredentialsInvalid("the user of this token was erased")

    def spend(self, token: DeviceToken, unit: Unit, *, key: str = "") -> None:
        """Spend one `unit` of the budget, once for all requests with this `key`. Of two that race for the last one, one succeeds.

        The places of a unit are tried in an order that follows from the key. So of simultaneous requests with one key, all but one
        come to the place that the first one has taken. Places that others have taken cost such a request a read each.

        Raises `TokenSpent`, or `CredentialsInvalid` if the token was revoked meanwhile.
        """
        spent, budget = f"{token.prefix}{unit}-", self._budget(token, unit)
        taken, seed = set(self._artifacts.list(spent)), key or secrets.token_hex(8)
        for number in sorted(range(budget), key=lambda number: hashlib.sha256(f"{number} {seed}".encode()).digest()):
            place = f"{spent}{number}"
            if place not in taken:
                with suppress(ArtifactExists):  # taken meanwhile
                    self._artifacts.put(place, key.encode(), media_type="text/plain", only_if_absent=True)
                    self._confirm(token, place)
                    return
            if key and self._is_for(place, key):
                return
        raise TokenSpent(f"all {budget} {unit} of the token are used up")

    def _confirm(self, token: DeviceToken, place: str) -> None:
        """Take back what was spent, and raise `CredentialsInvalid`, if the token was revoked meanwhile."""
        try:
            self.check_not_revoked(token)
        except CredentialsInvalid:
            self._artifacts.delete_prefix(place)
            raise

    def _is_for(self, place: str, key: str) -> bool:
        try:
            return self._artifacts.get(place) == key.encode()
        except ArtifactMissing:  # erased meanwhile
            return False

    def check_left(self, token: DeviceToken, unit: Unit) -> None:
        """Raise `TokenSpent` if nothing is left of the budget."""
        budget, spent = self._budget(token, unit), f"{token.prefix}{unit}-"
        if sum(key.removeprefix(spent).isdecimal() for key in self._artifacts.list(spent)) >= budget:
            raise TokenSpent(f"all {budget} {unit} of the token are used up")

    def _budget(self, token: DeviceToken, unit: Unit) -> int:
        return token.edits if unit == "edits" else token.uploads
