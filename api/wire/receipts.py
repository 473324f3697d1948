"""Signed receipts: whoever holds one can prove, without asking us, that we have said what was erased and when."""

from __future__ import annotations

import time
import uuid
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from s2edit_jobs.bootstrap import NotConfigured, kept_key
from s2edit_jobs.settings import Settings

ALGORITHM = "ES256"
TYPE = "s2edit-receipt+jwt"
"""In the header, so that no other token of ours can pass for a receipt, nor a receipt for another token."""


class Receipts:
    """One signing key, of the curve P-256. `issuer` is the service's public address."""

    def __init__(self, key: ECKey, issuer: str) -> None:
        self._key = key
        self._issuer = issuer

    @classmethod
    def from_settings(cls, settings: Settings) -> Receipts:
        """Raises `NotConfigured` for a key that is none."""
        given = settings.receipt_key.get_secret_value() if settings.receipt_key else None
        text = given or kept_key(settings.data_dir / "receipt.key", _new_key)
        try:
            key = ECKey.import_key(text)
            key.check_key_op("sign")
            if key.curve_name != "P-256":
                raise NotConfigured("S2EDIT_RECEIPT_KEY must be of the curve P-256")
        except (JoseError, ValueError) as error:
            raise NotConfigured("S2EDIT_RECEIPT_KEY must be a private EC key in PEM") from error
        return cls(key, settings.public_url)

    @property
    def public_keys(self) -> dict[str, Any]:
        """As a JWK Set (RFC 7517)."""
        return {"keys": [{**self._key.as_dict(private=False), "kid": self._key.thumbprint(), "use": "sig", "alg": ALGORITHM}]}

    def sign(self, claims: dict[str, Any]) -> str:
        """A compact JWS (RFC 7515) of `claims`, the moment, and a number of its own."""
        header = {"alg": ALGORITHM, "kid": self._key.thumbprint(), "typ": TYPE}
        stamped = {"iss": self._issuer, "iat": int(time.time()), "jti": uuid.uuid4().hex, **claims}
        return jwt.encode(header, stamped, self._key)


def _new_key() -> str:
    return ECKey.generate_key("P-256").as_pem(private=True).decode()
