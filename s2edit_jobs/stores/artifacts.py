"""The object store as a port: small, and the same for S3, a folder and memory.

Everything of a user lies under `t/<tenant>/u/<user>/{uploads,concepts,inversions,edits,requests,tokens}/`. Stored objects outlive
releases, so these keys must not change. ARCHITECTURE.md lists them all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from s2edit_jobs.records.record import Owner

_KEY = re.compile(r"[\w-][\w.-]{0,199}(/[\w-][\w.-]{0,199})*", re.ASCII)
JSON = "application/json"
MAX_KEY_LENGTH = 1000  # S3 allows 1024 bytes


def check_key(key: str) -> str:
    """The same key. `ValueError` if it could mean another place on some store: `..`, `//`, a leading `/` or `.`, odd characters."""
    if len(key) > MAX_KEY_LENGTH or not _KEY.fullmatch(key):
        raise ValueError(f"not an object key: {key[:200]!r}")
    return key


def check_folder(prefix: str) -> str:
    """The same prefix. `ValueError` if it is not a folder's: a key and a slash."""
    if not prefix.endswith("/"):
        raise ValueError(f"not a folder: {prefix[:200]!r}")
    return check_key(prefix[:-1]) + "/"


def edit_key(owner: Owner, job_id: str, name: str) -> str:
    return f"{owner.prefix}edits/{job_id}/{name}"


def concept_key(owner: Owner, concept_id: str, name: str) -> str:
    return f"{owner.prefix}concepts/{concept_id}/{name}"


def inversion_key(owner: Owner, inversion_id: str, name: str) -> str:
    return f"{owner.prefix}inversions/{inversion_id}/{name}"


def upload_key(owner: Owner, upload_id: str, name: str) -> str:
    return f"{owner.prefix}uploads/{upload_id}/{name}"


@dataclass(frozen=True, slots=True)
class SignedPut:
    """A PUT that writes one object, once, with exactly these headers; HTTP clients set `Content-Length` by themselves."""

    url: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SignedForm:
    """A POST of `multipart/form-data` that writes one object: these fields in any order, then the part `file`."""

    url: str
    fields: Mapping[str, str]


def put_headers(media_type: str, size_bytes: int) -> Mapping[str, str]:
    """What a presigned PUT is bound to."""
    return {"Content-Type": media_type, "Content-Length": str(size_bytes), "If-None-Match": "*"}


class ArtifactStore(Protocol):
    """Raises `ArtifactsUnavailable` when the store does not answer and `ValueError` for what `check_key` refuses, in every call."""

    def put(self, key: str, data: bytes, *, media_type: str, only_if_absent: bool = False) -> None:
        """Write the whole object at once. With `only_if_absent`, atomically: `ArtifactExists` if the key is taken."""

    def get(self, key: str) -> bytes:
        """The object's bytes; `ArtifactMissing` if there is none."""

    def exists(self, key: str) -> bool: ...

    def size_bytes(self, key: str) -> int:
        """Of the object; `ArtifactMissing` if there is none."""

    def list(self, prefix: str) -> Iterator[str]:
        """Keys that begin with `prefix`, in order."""

    def folders(self, prefix: str) -> Iterator[str]:
        """Names of the folders in `prefix`, which ends with a slash, that hold anything; each once, in order."""

    def delete_prefix(self, prefix: str) -> int:
        """Delete every object whose key begins with `prefix`, which must not be empty; how many there were."""

    def delete(self, keys: Iterable[str]) -> None:
        """Delete these objects; a key without one is no error."""

    def presigned_get(self, key: str, *, expires_s: int, filename: str | None = None) -> str:
        """A URL that serves the object for `expires_s` seconds; as an attachment named `filename` if given."""

    def presigned_put(self, key: str, *, expires_s: int, media_type: str, size_bytes: int) -> SignedPut:
        """A request that writes the object within `expires_s` seconds, if there is none yet, of exactly this type and size."""

    def presigned_post(self, key: str, *, expires_s: int, media_type: str, min_bytes: int, max_bytes: int) -> SignedForm | None:
        """A form for this key and type, of a size within the range, good for `expires_s` seconds; None where the store has no such
        forms or does not hold senders to them. Unlike a PUT it may be sent again and then replaces the object.
        """
