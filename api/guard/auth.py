"""Authentication and scopes. Every route with user data uses it through `api.deps.get_owner`."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

import structlog
from fastapi.security.utils import get_authorization_scheme_param
from starlette.requests import Request

from api.guard.browsers import OriginGuard
from api.guard.device_tokens import DeviceToken, DeviceTokens, Unit
from api.guard.failed_credentials import FailedCredentials
from s2edit_jobs.access.host_names import is_address
from s2edit_jobs.access.keys import CACHE_S, PREFIX, TEST_PREFIX, USUAL_SCOPES, CachedKeys, KeyRing, Scope, authenticate, open_to
from s2edit_jobs.bootstrap import NotConfigured, Services
from s2edit_jobs.records.errors import (
    CredentialsInvalid,
    CredentialsMissing,
    ScopeMissing,
    ServiceUnavailable,
    UserForeign,
    UserMissing,
)
from s2edit_jobs.records.record import Owner

log = structlog.get_logger(__name__)

TENANT = "default"
"""The tenant of requests without a key."""
USER = "default"
"""The user of requests that name none."""
NO_KEY = "none"
"""Counts as no key. OpenAI's SDKs refuse to begin without one, also where none is needed."""
READ_SCOPES: Mapping[str, Scope] = {"edits": "edits:read", "model": "edits:read", "v1": "edits:read"}
SCOPES_OF: Mapping[str, Scope] = {
    "edits": "edits:write",
    "masks": "edits:write",
    "uploads": "edits:write",
    "identities": "identities",
    "attributes": "identities",
    "tokens": "tokens",
    "studio": "edits:write",
    "v1": "edits:write",
}
"""The scope that a path needs, by its first segment: `READ_SCOPES` for GET and HEAD, else `SCOPES_OF`, else `admin`."""
SPENT_BY: Mapping[tuple[str, str], Unit] = {("POST", "/uploads"): "uploads"}
"""Requests that a device token pays for at once. It pays for a job only when the job is accepted (`Budgets`)."""


@dataclass(frozen=True, slots=True)
class Principal:
    """The authenticated caller of a request."""

    owner: Owner
    scopes: frozenset[Scope]
    key_id: str = ""  # empty without a key
    ends_at: float | None = None  # when the key or token expires, in seconds since the epoch
    token: DeviceToken | None = None
    names_user: bool = True


@dataclass(frozen=True, slots=True)
class Sender:
    """What a request says about its sender, not yet verified.

    `user` is the user that it names, `local` whether it comes from this machine. `host` is its `Host` header, None if it did not
    come over a network, and `origin` the origin of the web page that sent it, if any. `address` is that of the client.
    """

    bearer: str | None
    user: str | None
    local: bool
    host: str | None = None
    origin: str | None = None
    address: str | None = None

    @classmethod
    def of(cls, request: Request) -> Sender:
        """Read the headers of `request`."""
        scheme, credentials = get_authorization_scheme_param(request.headers.get("authorization"))
        bearer = credentials if scheme.lower() == "bearer" and credentials else None
        return cls.with_credentials(request, bearer, request.headers.get("s2edit-user"))

    @classmethod
    def with_credentials(cls, request: Request, bearer: str | None, user: str | None) -> Sender:
        """Combine credentials that were read already with the origin of `request`."""
        bearer = None if bearer == NO_KEY else bearer
        client = request.client.host if request.client else None
        forwarded = any(name in request.headers for name in FORWARDED)
        # `forwarded` counts by itself, because a server may already have replaced `client` by a forwarded name.
        by_network = forwarded or (client is not None and is_address(client))
        host = request.headers.get("host", "") if by_network else None
        return cls(bearer, user, is_local(client, forwarded=forwarded), host, request.headers.get("origin"), client)


class Authenticator:
    """Identifies callers by API key, by device token or, until the first key exists, as programs of this machine.

    While keys can't be looked up, nobody gets in. `clock` is monotonic, in seconds.
    """

    def __init__(self, services: Services, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._mode = services.settings.auth
        self._ring = KeyRing(services.artifacts)
        self._keys = CachedKeys(self._ring)
        self._clock = clock
        self._require_user = services.settings.require_user
        self._guesses = FailedCredentials(services.settings.failed_credentials_per_minute)
        self.origins = OriginGuard(services.settings)
        self._no_key_until = 0.0
        self._has_keys = False
        self.tokens = DeviceTokens.from_settings(services.settings, services.artifacts)

    def check_configuration(self) -> None:
        """Raise `NotConfigured` if the settings require keys and there is none."""
        try:
            if self._mode == "keys" and not self._ring.any_active():
                raise NotConfigured("there is no API key: create one with `s2edit keys create`")
        except ServiceUnavailable:  # start anyway: requests are checked when the store is back
            return

    def warn_if_open(self) -> None:
        """Log whom the service answers without a key."""
        with suppress(ServiceUnavailable):
            if (people := open_to(self._mode, self._ring)) is not None:
                log.warning("the API asks for no key", action="api_open", auth=self._mode, open_to=people)

    def identify_cached(self, sender: Sender) -> Principal | None:
        """Return the caller of a request that only reads, if that needs no I/O. Raises `AccessDenied`.

        If it returns None, call `identify` in a thread.
        """
        if sender.bearer is None:
            needs_no_io = self._knows_if_open() and self._is_open(sender.local)
        elif (token := self.tokens.recall(sender.bearer)) is not None:
            knows_key = self._keys.has_cached(token.key_id) if token.key_id else self._knows_if_open()
            needs_no_io = knows_key and self.tokens.is_cached(token)
        else:
            needs_no_io = self._keys.is_cached(sender.bearer)
        return self.identify(sender, reads=True) if needs_no_io else None

    def identify(self, sender: Sender, *, reads: bool = False) -> Principal:
        """Return the caller. Raises `AccessDenied`, `ServiceUnavailable`, or `RateExceeded` after too many failures of the address.

        Only a request that `reads` may come by a device token that was revoked within the last `CACHE_S` seconds.
        """
        if sender.bearer is None:
            if not self._is_open(sender.local):
                raise CredentialsMissing("the request has no key and no token")
            if sender.host is not None:
                self.origins.check(sender.host, sender.origin)
            return Principal(Owner(TENANT, sender.user or USER), USUAL_SCOPES)  # a proxy makes anybody look local: never `admin`
        try:
            return self._by_credentials(sender, sender.bearer, reads=reads)
        except CredentialsInvalid as error:
            if error.guessed:
                self._guesses.check(sender.address)
                self._guesses.count(sender.address)
            raise

    def _by_credentials(self, sender: Sender, bearer: str, *, reads: bool) -> Principal:
        if bearer.startswith((PREFIX, TEST_PREFIX)):
            if not self._keys.has_found(bearer):  # a known key is let through, whoever else shares its address
                self._guesses.check(sender.address)
            key = authenticate(self._keys, bearer)
            owner = Owner(key.effective_tenant, sender.user or USER)
            return Principal(owner, key.scopes, key.id, key.ends_at, names_user=sender.user is not None)
        return self._by_token(sender, self.tokens.read(bearer), reads=reads)

    def _by_token(self, sender: Sender, token: DeviceToken, *, reads: bool) -> Principal:
        """Return the caller with a device token, which ends with the API key that created it."""
        key = self._keys.find(token.key_id) if token.key_id else None
        if not (key.is_active(time.time()) if key is not None else not token.key_id and self._is_open(sender.local)):
            raise CredentialsInvalid("the key of this token has ended")
        if sender.user not in (None, token.owner.user):
            raise UserForeign("the token belongs to another user")
        self.tokens.check_not_revoked(token, cached=reads)
        scopes = token.scopes & key.scopes if key is not None else token.scopes
        return Principal(token.owner, scopes, token.key_id, token.expires_at, token)

    def admit(self, principal: Principal, method: str, path: str) -> None:
        """Raise `CredentialsMissing`, `ScopeMissing`, `UserMissing` or `TokenSpent` if the caller may not do this.

        `path` is the path template of the route.
        """
        if (scope := scope_of(method, path)) not in principal.scopes:
            if not principal.key_id and principal.token is None:
                raise CredentialsMissing(f"{method} {path} needs a key with {scope}")
            raise ScopeMissing(f"{method} {path} needs {scope}", scope=scope)
        if self._require_user and not principal.names_user and scope != "admin":
            raise UserMissing(f"{method} {path} needs S2Edit-User")
        if principal.token is not None and (unit := SPENT_BY.get((method, path))) is not None:
            self.tokens.spend(principal.token, unit)

    def is_valid(self, principal: Principal) -> bool:
        """Return whether the key or token of `principal` is still valid. Raises `ServiceUnavailable`."""
        if principal.token is not None:
            if principal.token.expires_at <= time.time():
                return False
            try:
                self.tokens.check_not_revoked(principal.token, cached=True)
            except CredentialsInvalid:
                return False
        if not principal.key_id:
            return True
        key = self._keys.find(principal.key_id)
        return key is not None and key.is_active(time.time())

    def _knows_if_open(self) -> bool:
        """Whether `_is_open` needs no I/O."""
        return self._mode != "auto" or self._has_keys or self._clock() < self._no_key_until

    def _is_open(self, local: bool) -> bool:
        """Return whether no key is needed. Once there has been a key, one is needed for good."""
        if self._mode != "auto":
            return self._mode == "open"
        if not local or self._has_keys:
            return False
        if self._clock() >= self._no_key_until:
            self._has_keys = self._ring.exist()
            self._no_key_until = self._clock() + CACHE_S
        return not self._has_keys


def scope_of(method: str, path: str) -> Scope:
    """Return the scope that a request needs."""
    first = path.split("/")[1]
    if method in ("GET", "HEAD") and first in READ_SCOPES:
        return READ_SCOPES[first]
    return SCOPES_OF.get(first, "admin")


FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")
"""Headers that show that a proxy forwarded the request."""


def is_local(client: str | None, *, forwarded: bool) -> bool:
    """Return whether a request comes from this machine. A request that a proxy `forwarded` may come from anywhere.

    `client` is the address of the client, None if it did not come over a network.
    """
    return not forwarded and (client is None or _is_loopback(client))


@lru_cache(maxsize=1024)  # called for every request, with few different addresses
def _is_loopback(client: str) -> bool:
    try:
        return ipaddress.ip_address(client).is_loopback
    except ValueError:  # not an IP address, so not over a network
        return True
