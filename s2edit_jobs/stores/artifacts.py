"""The port of the object store, and the keys of its objects. There are adapters for S3, a folder and memory.

All objects of a user have keys in `t/<tenant>/u/<user>/{uploads,concepts,inversions,edits,index,requests,tokens,erased}/`. Stored
objects outlive releases, so these keys must not change. `s2edit_jobs.records.stored` lists them all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from s2edit_jobs.records.record import OBJECT_KEY, Owner

_KEY = re.compile(OBJECT_KEY)
JSON = "application/json"
MAX_KEY_LENGTH = 1000  # S3 allows 1024 bytes


def check_key(key: str) -> str:
    """Return `key`, or raise `ValueError` if some store could interpret it as another key.

    Rejected are `..`, `//`, a leading `/` or `.`, and characters other than letters, digits, `_`, `-` and `.`.
    """
    if not is_key(key):
        raise ValueError(f"not a valid object key: {key[:200]!r}")
    return key


def is_key(text: str) -> bool:
    """Return whether `text` may be a key of ours. A foreign file in the store's folder, such as `.DS_Store` or `a.txt~`, is not."""
    return len(text) <= MAX_KEY_LENGTH and _KEY.fullmatch(text) is not None


def check_folder(prefix: str) -> str:
    """Return `prefix`, or raise `ValueError` if it is not a key followed by a slash."""
    if not prefix.endswith("/"):
        raise ValueError(f"not a folder, it must end with a slash: {prefix[:200]!r}")
    return check_key(prefix[:-1]) + "/"


def edit_key(owner: Owner, job_id: str, name: str) -> str:
    return f"{owner.prefix}edits/{job_id}/{name}"


def concept_key(owner: Owner, concept_id: str, name: str) -> str:
    return f"{owner.prefix}concepts/{concept_id}/{name}"


def inversion_key(owner: Owner, inversion_id: str, name: str) -> str:
    return f"{owner.prefix}inversions/{inversion_id}/{name}"


TAG = "s2edit"
"""Name of the tag of objects that may be removed without harm: a cache is filled again, and an edit does without its pictures."""


def tag_of(key: str) -> str | None:
    """Return the value of the tag `TAG`: `inversion`, `checkpoint` or `picture`. None for all other objects."""
    match key.split("/"):
        case ["t", _, "u", _, "inversions", _, _]:
            return "inversion"
        case ["t", _, "u", _, "concepts", _, name] if name.startswith("checkpoint-"):
            return "checkpoint"
        case ["t", _, "u", _, "edits", _, name] if not name.endswith(".json"):
            return "picture"
    return None


def upload_key(owner: Owner, upload_id: str, name: str) -> str:
    return f"{owner.prefix}uploads/{upload_id}/{name}"


def path_in_user(key: str) -> str:
    """Return the part of a key after the user's prefix, such as `edits/<id>/spec.json`, or "" if it is under no user.

    A folder must not be searched for in the whole key: users may be named `edits` or `uploads`.
    """
    parts = key.split("/", 4)
    return parts[4] if len(parts) == 5 and (parts[0], parts[2]) == ("t", "u") else ""


@dataclass(frozen=True, slots=True)
class SignedPut:
    """A presigned PUT that writes one object, once, with exactly these headers. HTTP clients set `Content-Length` themselves."""

    url: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SignedForm:
    """A POST of `multipart/form-data` that writes one object: these fields in any order, then the part `file`."""

    url: str
    fields: Mapping[str, str]


def put_headers(media_type: str, size_bytes: int) -> Mapping[str, str]:
    """Return the headers that a presigned PUT is bound to."""
    return {"Content-Type": media_type, "Content-Length": str(size_bytes), "If-None-Match": "*"}


class ArtifactStore(Protocol):
    """An object store. Every method raises `ArtifactsUnavailable` if the store does not answer, `ValueError` for an invalid key."""

    def put(self, key: str, data: bytes, *, media_type: str, only_if_absent: bool = False) -> None:
        """Write an object. Readers see all of it or nothing.

        With `only_if_absent`, raise `ArtifactExists` if the object exists. Check and write are one atomic operation.
        """

    def replace(self, key: str, data: bytes, *, media_type: str) -> None:
        """Write an object, and delete the older versions that a bucket keeps of it. There is an object at all times."""

    def delete_older_versions(self, prefix: str) -> None:
        """Delete the older versions that a bucket keeps of the objects below `prefix`, which must be at most a few hundred."""

    def get(self, key: str) -> bytes:
        """Return the object's bytes. Raise `ArtifactMissing`."""

    def exists(self, key: str) -> bool: ...

    def size_bytes(self, key: str) -> int:
        """Return the object's size in bytes. Raise `ArtifactMissing`."""

    def total_bytes(self, prefix: str) -> int:
        """Return the size of all objects whose keys begin with `prefix`. It costs a listing of them."""

    def list(self, prefix: str, *, after: str | None = None, expected: int | None = None) -> Iterator[str]:
        """Yield the keys that begin with `prefix` and sort after `after`, sorted.

        The cost grows with the keys that are taken, not with those that exist: close the iterator, or take a few. `expected` is a
        hint: how many keys the caller will take, so that a store need not send many more.
        """

    def folders(self, prefix: str) -> Iterator[str]:
        """Yield the names of the folders directly under `prefix`, which ends with a slash. Sorted, without empty folders."""

    def delete_prefix(self, prefix: str) -> int:
        """Delete every object whose key begins with `prefix` and return their number. The prefix must not be empty."""

    def delete(self, keys: Iterable[str]) -> None:
        """Delete these objects. Missing ones are ignored."""

    def presigned_get(self, key: str, *, expires_s: int, filename: str | None = None) -> str:
        """Return a URL that serves the object for `expires_s` seconds, as an attachment named `filename` if given."""

    def presigned_put(self, key: str, *, expires_s: int, media_type: str, size_bytes: int) -> SignedPut:
        """Return a PUT that writes the object, of exactly this type and size. It is valid once, for `expires_s` seconds."""

    def presigned_post(self, key: str, *, expires_s: int, media_type: str, min_bytes: int, max_bytes: int) -> SignedForm | None:
        """Return a form that writes the object, of this type and a size in the range, valid for `expires_s` seconds.

        Unlike a PUT, it can be sent again and then replaces the object. Return None if the store cannot enforce such forms.
        """
