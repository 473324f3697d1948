"""Signatures of the presigned URLs of the store in a folder. An S3 store makes its own."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from functools import cached_property

from itsdangerous import Signer


class UrlSignatures:
    """Signs the parts of URLs with one key. `clock` is in seconds since the epoch.

    A function in place of the key is called for the first signature, and raises what it raises: most processes sign nothing.
    """

    def __init__(self, key: str | Callable[[], str], clock: Callable[[], float]) -> None:
        self._key = key
        self._clock = clock

    @cached_property
    def _signer(self) -> Signer:
        key = self._key if isinstance(self._key, str) else self._key()
        return Signer(key, salt="s2edit.files", key_derivation="hmac", digest_method=hashlib.sha256)

    def of(self, *parts: str | None) -> str:
        """Return the signature of the parts."""
        return self._signer.get_signature(json.dumps(parts)).decode("ascii")  # JSON, because joined parts could be ambiguous

    def check(self, signature: str, expires: str, *parts: str | None) -> None:
        """Raise `PermissionError` unless `signature` is that of the parts and `expires`, one of them, has not passed."""
        # Compare the text, not the decoded bytes: several texts decode to the same signature, but only one was issued.
        if not hmac.compare_digest(self.of(*parts).encode(), signature.encode("utf-8", "surrogatepass")):
            raise PermissionError("this URL has no valid signature: use it exactly as the API returned it")
        if int(expires) <= self._clock():
            raise PermissionError("this URL has expired: get the edit again for a new one")
