"""Signed receipts: proof of what the service erased, and when, that anyone can verify without asking the service."""

from __future__ import annotations

import time
import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from pydantic import BaseModel, Field

from s2edit_jobs.bootstrap import NotConfigured, service_key
from s2edit_jobs.settings import Settings

ALGORITHM = "ES256"
TYPE = "s2edit-receipt+jwt"
"""The `typ` header. It keeps other tokens of this service from passing as receipts, and receipts from passing as tokens."""


Kind = Literal["user", "edit", "identity", "attribute", "upload"]


class Receipt(BaseModel):
    """Confirmation of an erasure."""

    erased: Annotated[Kind, Field(description="The kind of thing that was erased.")]
    id: Annotated[str, Field(description="The id, or the name of the user.")]
    objects: Annotated[int, Field(description="The number of stored objects that were deleted.")]
    erased_at: Annotated[datetime, Field(description="When the erasure was complete.")]
    receipt: Annotated[
        str,
        Field(
            description="The same facts as a JWT, signed with ES256. Verify it with the keys of `GET /receipts/keys`.",
            examples=["eyJhbGciOiJFUzI1NiIsInR5cCI6InMyZWRpdC1yZWNlaXB0K2p3dCJ9.eyJlcmFzZWQi….…"],
        ),
    ]


class KeySet(BaseModel):
    """A JWK Set (RFC 7517)."""

    keys: Annotated[list[dict[str, Any]], Field(description="The public keys, as JSON Web Keys.")]


class Receipts:
    """Signs receipts with one P-256 key. `issuer` is the public URL of the service."""

    def __init__(self, key: ECKey, issuer: str) -> None:
        self._key = key
        self._issuer = issuer

    @classmethod
    def from_settings(cls, settings: Settings) -> Receipts:
        """Read the key from the settings or the data folder, where it is created if missing. Raises `NotConfigured`."""
        if settings.receipt_key is None:
            return cls(_read(service_key(settings, "receipt.key", _new_key, _read)), settings.public_url)
        try:
            return cls(_read(settings.receipt_key.get_secret_value().replace("\\n", "\n")), settings.public_url)
        except ValueError as error:
            raise NotConfigured(f"S2EDIT_RECEIPT_KEY: {error}") from error

    @property
    def public_keys(self) -> dict[str, Any]:
        """The public key as a JWK Set (RFC 7517)."""
        return {"keys": [{**self._key.as_dict(private=False), "kid": self._key.thumbprint(), "use": "sig", "alg": ALGORITHM}]}

    def sign(self, claims: dict[str, Any]) -> str:
        """Return `claims` with issuer, time and a unique id as a compact JWS (RFC 7515)."""
        header = {"alg": ALGORITHM, "kid": self._key.thumbprint(), "typ": TYPE}
        stamped = {"iss": self._issuer, "iat": int(time.time()), "jti": uuid.uuid4().hex, **claims}
        return jwt.encode(header, stamped, self._key)


def _read(text: str) -> ECKey:
    """Return the key in `text`. Raise `ValueError` if it can't sign receipts."""
    try:
        key = ECKey.import_key(text)
        key.check_key_op("sign")
    except (JoseError, ValueError) as error:
        raise ValueError("it must be a private EC key in PEM") from error
    if key.curve_name != "P-256":
        raise ValueError("it must be a key on the curve P-256")
    return key


def _new_key() -> str:
    return ECKey.generate_key("P-256").as_pem(private=True).decode()
