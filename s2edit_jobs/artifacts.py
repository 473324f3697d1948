"""The object store as a port: small, and the same for S3, a folder and memory.

Keys (contract, DESIGN §4): everything of a user lies under `t/<tenant>/u/<user>/{uploads,concepts,inversions,edits}/<id>/`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from s2edit_jobs.record import Owner


def edit_key(owner: Owner, job_id: str, name: str) -> str:
    return f"{owner.prefix}edits/{job_id}/{name}"


def concept_key(owner: Owner, concept_id: str, name: str) -> str:
    return f"{owner.prefix}concepts/{concept_id}/{name}"


def inversion_key(owner: Owner, inversion_id: str, name: str) -> str:
    return f"{owner.prefix}inversions/{inversion_id}/{name}"


class ArtifactStore(Protocol):
    """Raises `ArtifactsUnavailable` when the store does not answer, in every call."""

    def put(self, key: str, data: bytes, *, media_type: str, only_if_absent: bool = False) -> None:
        """Write the whole object at once. With `only_if_absent`, atomically: `ArtifactExists` if the key is taken."""

    def get(self, key: str) -> bytes:
        """The object's bytes; `ArtifactMissing` if there is none."""

    def exists(self, key: str) -> bool: ...

    def list(self, prefix: str) -> Iterator[str]:
        """Keys under `prefix`, in order."""

    def delete_prefix(self, prefix: str) -> int:
        """Delete every object under `prefix` (which must not be empty); how many there were."""

    def presigned_get(self, key: str, *, expires_s: int, filename: str | None = None) -> str:
        """A URL that serves the object for `expires_s` seconds; as an attachment named `filename` if given."""
