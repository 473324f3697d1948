"""Who is asking, and may they? Every route that belongs to somebody asks here, through `api.deps.get_owner`."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from fastapi.security.utils import get_authorization_scheme_param
from starlette.requests import Request

from api.guard.browsers import Door, is_address
from api.guard.device_tokens import DeviceToken, DeviceTokens, Unit
from s2edit_jobs.access.keys import BELIEVED_S, PREFIX, SCOPES, TEST_PREFIX, KeyRing, KnownKeys, Scope, checked
from s2edit_jobs.bootstrap import NotConfigured, Services
from s2edit_jobs.records.errors import CredentialsInvalid, CredentialsMissing, ScopeMissing, ServiceUnavailable, UserForeign
from s2edit_jobs.records.record import Owner

TENANT = "default"
"""Of everything that is made while the service is open."""
USER = "default"
"""Of requests that name nobody."""
READ_SCOPES: Mapping[str, Scope] = {"edits": "edits:read"}
SCOPES_OF: Mapping[str, Scope] = {
    "edits": "edits:write",
    "masks": "edits:write",
    "uploads": "edits:write",
    "identities": "identities",
    "attributes": "identities",
    "tokens": "tokens",
}
"""By the first part of the path, for reading and else. What is not named here is the administrator's."""
SPENT_BY: Mapping[tuple[str, str], Unit] = {("POST", "/uploads"): "uploads"}
"""Requests that cost a token something as they come. An edit does once it is found in order."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Whoever sends a request."""

    owner: Owner
    scopes: frozenset[Scope]
    key_id: str = ""  # empty where the service is open
    ends_at: float | None = None  # seconds since the epoch; when its key ends
    token: DeviceToken | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request shows of its sender. `user`: whom it names; `local`: it was sent on this machine.

    `host` is what it calls this service, None where it came by no network; `origin` that of the page that sent it, if one did.
    """

    bearer: str | None
    user: str | None
    local: bool
    host: str | None = None
    origin: str | None = None

    @classmethod
    def of(cls, request: Request) -> Asked:
        """By what the headers say, whether or not that can be."""
        scheme, credentials = get_authorization_scheme_param(request.headers.get("authorization"))
        bearer = credentials if scheme.lower() == "bearer" and credentials else None
        return cls.by(request, bearer, request.headers.get("s2edit-user"))

    @classmethod
    def by(cls, request: Request, bearer: str | None, user: str | None) -> Asked:
        client = request.client.host if request.client else None
        forwarded = any(name in request.headers for name in FORWARDED)
        by_network = forwarded or (client is not None and is_address(client))  # a server may believe what is forwarded
        host = request.headers.get("host", "") if by_network else None
        return cls(bearer, user, is_local(client, forwarded=forwarded), host, request.headers.get("origin"))


class Authenticator:
    """`identify` may raise `AccessDenied` and `ServiceUnavailable`: when keys can't be looked up, nobody gets in."""

    def __init__(self, services: Services, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._mode = services.settings.auth
        self._ring = KeyRing(services.artifacts)
        self._keys = KnownKeys(self._ring)
        self._clock = clock
        self._door = Door(services.settings)
        self._no_key_until = 0.0
        self._has_keys = False
        self.tokens = DeviceTokens.from_settings(services.settings, services.artifacts)

    def check_start(self) -> None:
        """Raises `NotConfigured` where keys are asked for and there is none."""
        try:
            if self._mode == "keys" and not self._ring.any_counts():
                raise NotConfigured("there is no API key: make one with `s2edit keys create`")
        except ServiceUnavailable:  # nobody gets in without a key later either
            return

    def known(self, asked: Asked) -> Principal | None:
        """Who sends a request, if that has been looked up a moment ago. None: `identify` must say it. Raises `AccessDenied`."""
        if asked.bearer is not None:
            return self.identify(asked) if self._keys.remember(asked.bearer) else None
        fresh = self._mode == "open" or (not self._has_keys and self._clock() < self._no_key_until)
        return self.identify(asked) if fresh and self._is_open(asked.local) else None

    def identify(self, asked: Asked) -> Principal:
        if asked.bearer is None:
            if not self._is_open(asked.local):
                raise CredentialsMissing("no key and no token")
            if asked.host is not None:
                self._door.check(asked.host, asked.origin)
            return Principal(Owner(TENANT, asked.user or USER), SCOPES)
        if asked.bearer.startswith((PREFIX, TEST_PREFIX)):
            key = checked(self._keys, asked.bearer)
            return Principal(Owner(key.acts_for, asked.user or USER), key.scopes, key.id, key.ends_at)
        return self._by_token(asked, self.tokens.read(asked.bearer))

    def _by_token(self, asked: Asked, token: DeviceToken) -> Principal:
        """A token ends with the key that it was issued to."""
        key = self._keys.find(token.key_id) if token.key_id else None
        if not (key.counts_at(time.time()) if key is not None else not token.key_id and self._is_open(asked.local)):
            raise CredentialsInvalid("the key of this token counts no more")
        if asked.user not in (None, token.owner.user):
            raise UserForeign("the token is another user's")
        self.tokens.check_counts(token)
        scopes = token.scopes & key.scopes if key is not None else token.scopes
        return Principal(token.owner, scopes, token.key_id, token.expires_at, token)

    def admit(self, principal: Principal, method: str, path: str) -> None:
        """Raises `ScopeMissing` or `TokenSpent` if it may not ask that. `path` is the route's."""
        if (scope := scope_of(method, path)) not in principal.scopes:
            raise ScopeMissing(f"{method} {path} needs {scope}", scope=scope)
        if principal.token is not None and (unit := SPENT_BY.get((method, path))) is not None:
            self.tokens.spend(principal.token, unit)

    def still_counts(self, principal: Principal) -> bool:
        """Whether what `principal` was identified by counts now. Raises `ServiceUnavailable`."""
        if principal.token is not None:
            if principal.token.expires_at <= time.time():
                return False
            try:
                self.tokens.check_counts(principal.token)
            except CredentialsInvalid:
                return False
        if not principal.key_id:
            return True
        key = self._keys.find(principal.key_id)
        return key is not None and key.counts_at(time.time())

    def _is_open(self, local: bool) -> bool:
        """Whether nobody needs a key. Once there has been one, there is no way back to that."""
        if self._mode != "auto":
            return self._mode == "open"
        if not local or self._has_keys:
            return False
        if self._clock() >= self._no_key_until:
            self._has_keys = self._ring.exist()
            self._no_key_until = self._clock() + BELIEVED_S
        return not self._has_keys


def scope_of(method: str, path: str) -> Scope:
    """What a key or token must be for."""
    first = path.split("/")[1]
    if method in ("GET", "HEAD") and first in READ_SCOPES:
        return READ_SCOPES[first]
    return SCOPES_OF.get(first, "admin")


FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")
"""Headers by which a proxy betrays that a request comes from elsewhere."""


def is_local(client: str | None, *, forwarded: bool) -> bool:
    """Whether a request comes from this machine itself: `client` is the address that it comes from, if it comes by a network.

    What a proxy has `forwarded` may come from anywhere.
    """
    return not forwarded and (client is None or _is_loopback(client))


@lru_cache(maxsize=1024)  # of the same few, for each request
def _is_loopback(client: str) -> bool:
    try:
        return ipaddress.ip_address(client).is_loopback
    except ValueError:  # no address, so no network
        return True
