"""Tokens that a phone or a browser may hold: for one user, for minutes, for so many edits and uploads.

A token is a JWT (HS256). What it has used up lies in the object store as one object per edit or upload, each written once: so a
budget holds exactly, whatever happens at the same moment, and also after Redis was emptied.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OctKey

from s2edit_jobs.access.ended_tokens import end_tokens, ended_at
from s2edit_jobs.access.keys import Scope
from s2edit_jobs.bootstrap import kept_key
from s2edit_jobs.records.errors import ArtifactExists, CredentialsInvalid, TokenSpent, TokensUnavailable
from s2edit_jobs.records.record import Owner
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.artifacts import ArtifactStore

Unit = Literal["edits", "uploads"]
ALGORITHM = "HS256"
ISSUER = "s2edit"
MAX_BUDGET = 1000
MAX_LENGTH = 4096
"""Characters of a token that is looked at at all."""
DEVICE_SCOPES: frozenset[Scope] = frozenset({"edits:read", "edits:write", "identities"})
"""What a token may be for. A token can't get another token."""
SWEEP_AFTER_S = 300
"""How long after a token's end its objects are removed: clocks may differ."""


@dataclass(frozen=True, slots=True)
class DeviceToken:
    """What a token says. `expires_at` is in seconds since the epoch."""

    id: str
    owner: Owner
    scopes: frozenset[Scope]
    expires_at: int
    edits: int
    uploads: int
    key_id: str  # the API key that it was issued to; empty where the service is open
    issued_at: int = 0

    @property
    def prefix(self) -> str:
        """Where its spent units lie; the moment of its end is told by the name."""
        return f"{self.owner.prefix}tokens/{self.expires_at}-{self.id}/"


class DeviceTokens:
    """Issues, reads and counts tokens. `keys` sign them: the first signs, all count; none, no tokens."""

    def __init__(self, artifacts: ArtifactStore, keys: list[str], *, clock: Callable[[], float] = time.time) -> None:
        self._artifacts = artifacts
        self._clock = clock
        self._keys = [OctKey.import_key(key, {"kid": hashlib.sha256(key.encode()).hexdigest()[:8]}) for key in keys]
        self._key_set = KeySet([*self._keys])
        self._claims = jwt.JWTClaimsRegistry(
            now=lambda: int(clock()),
            leeway=0,
            iat={"essential": True},
            iss={"essential": True, "value": ISSUER},
            aud={"essential": True, "value": ISSUER},
            exp={"essential": True},
            sub={"essential": True},
        )

    @classmethod
    def from_settings(cls, settings: Settings, artifacts: ArtifactStore) -> DeviceTokens:
        """With a bucket there may be several machines, and a key that is made on one is unknown to the others: it must be given."""
        if settings.token_keys is not None:
            keys = settings.token_keys.get_secret_value().split()
        else:
            keys = [] if settings.s3_bucket else [kept_key(settings.data_dir / "token.key")]
        return cls(artifacts, keys)

    def issue(
        self, owner: Owner, *, scopes: frozenset[Scope], expires_in_s: int, edits: int, uploads: int, key_id: str
    ) -> tuple[DeviceToken, str]:
        """A new token, and its text. Raises `TokensUnavailable` or `ArtifactsUnavailable`."""
        if not self._keys:
            raise TokensUnavailable("no key is set that signs tokens")
        self._sweep(owner)
        now = int(self._clock())
        token = DeviceToken(secrets.token_hex(16), owner, scopes & DEVICE_SCOPES, now + expires_in_s, edits, uploads, key_id, now)
        claims = {
            "iss": ISSUER,
            "aud": ISSUER,
            "sub": owner.user,
            "tenant": owner.tenant,
            "jti": token.id,
            "iat": now,
            "exp": token.expires_at,
            "scope": " ".join(sorted(token.scopes)),
            "edits": edits,
            "uploads": uploads,
            "key": key_id,
        }
        header = {"alg": ALGORITHM, "kid": self._keys[0].kid}
        return token, jwt.encode(header, claims, self._keys[0], algorithms=[ALGORITHM])

    def read(self, text: str) -> DeviceToken:
        """Raises `CredentialsInvalid` for whatever was not issued here, or has expired."""
        if not self._keys or len(text) > MAX_LENGTH:
            raise CredentialsInvalid("not a token of ours")
        try:
            claims = jwt.decode(text, self._key_set, algorithms=[ALGORITHM]).claims
            self._claims.validate(claims)
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
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise CredentialsInvalid(f"not a token of ours: {type(error).__name__}") from None

    def end_all(self, owner: Owner) -> None:
        """End every token that this user has until now: before its spent units are erased, else it would have them anew."""
        end_tokens(self._artifacts, owner, now=self._clock())

    def check_counts(self, token: DeviceToken) -> None:
        """Raises `CredentialsInvalid` for a token from before its user's tokens were ended, in whole seconds."""
        ended = ended_at(self._artifacts, token.owner)
        if ended is not None and token.issued_at <= ended:
            raise CredentialsInvalid("the user of this token was erased")

    def spend(self, token: DeviceToken, unit: Unit) -> None:
        """Take one of the token's `unit`; of two that take the last at the same moment, one.

        Raises `TokenSpent`, or `CredentialsInvalid` if the token was ended meanwhile.
        """
        budget = token.edits if unit == "edits" else token.uploads
        used = sum(1 for _ in self._artifacts.list(f"{token.prefix}{unit}-"))
        for number in range(used, budget):
            place = f"{token.prefix}{unit}-{number}"
            try:
                self._artifacts.put(place, b"", media_type="text/plain", only_if_absent=True)
            except ArtifactExists:  # another request was first
                continue
            try:
                self.check_counts(token)
            except CredentialsInvalid:
                self._artifacts.delete_prefix(place)
                raise
            return
        raise TokenSpent(f"all {budget} {unit} of the token are used")

    def _sweep(self, owner: Owner) -> None:
        """Remove what expired tokens of this user have left."""
        folder = f"{owner.prefix}tokens/"
        over = {name for key in self._artifacts.list(folder) if self._is_over(name := key.removeprefix(folder).partition("/")[0])}
        for name in over:
            self._artifacts.delete_prefix(f"{folder}{name}/")

    def _is_over(self, name: str) -> bool:
        return int(name.partition("-")[0]) + SWEEP_AFTER_S < self._clock()
