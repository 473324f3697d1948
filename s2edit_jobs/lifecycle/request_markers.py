"""The markers of Idempotency-Keys, and what stays of them when an edit or a user is erased.

A marker is `requests/<digest of the key>.json` in the user's folder. It names the job that the key has led to. The erasure of a job
replaces the marker by one that says so, without the digest of the request. The erasure of a user removes all markers, and first
writes digests of their names to `erased/<digest of the user>`. So a repeated request never brings back what was erased, and what
stays are digests and times, for as long as keys are remembered.

An erasure remembers before it deletes. Whoever finds a marker without its job looks at the marker again before it concludes that
the first request was interrupted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

from s2edit_core.request.plan import digest
from s2edit_jobs.records.errors import ArtifactMissing, JobErased, RecordDamaged, RecordUnusable
from s2edit_jobs.records.record import Owner, Timestamp
from s2edit_jobs.records.set_aside import count_aside, set_aside
from s2edit_jobs.records.stored import VERSIONS, read_record
from s2edit_jobs.stores.artifacts import JSON, ArtifactStore, edit_key, path_in_user
from s2edit_jobs.stores.markers import erasing_keys, owner_mark

REQUESTS = "requests"
"""Folder of the markers, in that of the user."""
ERASED = "erased/"
"""Key prefix of the memory of erased users. Each object is named by a digest of the user."""
_ERASED_NAME = re.compile(r"[0-9a-f]{32}")
_KEY = re.compile(rf"{REQUESTS}/([0-9a-f]{{32,64}})\.json")


@dataclass(frozen=True, slots=True)
class Marker:
    """The content of a marker object. If it is erased, `request` is empty."""

    job_id: str
    created_at: Timestamp
    request: str  # digest of the request
    erased_at: Timestamp | None = None

    def to_json(self) -> bytes:
        """Return the stored bytes. Only an erased marker has a version: a release that ignored the erasure would repeat the job."""
        values = asdict(self)
        if self.erased_at is None:
            del values["erased_at"]
        else:
            values["version"] = VERSIONS["idempotency marker"]
        return json.dumps(values).encode()


@dataclass(frozen=True, slots=True)
class ErasedKeys:
    """The content of an object in `ERASED`: when the keys of a user were erased, by digests of the names of their markers."""

    keys: Mapping[str, Timestamp]


def marker_name(key: str) -> str:
    """Return the name of the marker of an Idempotency-Key."""
    return digest(key.encode())


class RequestMarkers:
    """The markers of one user. Every method may raise `ArtifactsUnavailable`."""

    def __init__(self, artifacts: ArtifactStore, owner: Owner) -> None:
        self._artifacts = artifacts
        self._owner = owner
        self._folder = f"{owner.prefix}{REQUESTS}/"
        self._erased = ERASED + owner_mark(owner)

    def read(self, name: str) -> Marker | None:
        """Return the marker, or None. Raise `RecordDamaged` or `RecordNewer`."""
        try:
            return read_record("idempotency marker", Marker, self._artifacts.get(self.key(name)))
        except ArtifactMissing:
            return None

    def key(self, name: str) -> str:
        return f"{self._folder}{name}.json"

    def add(self, name: str, marker: Marker) -> None:
        """Write a marker. Raise `ArtifactExists` if the key has one, `JobErased` if it had one before its user was erased."""
        self._artifacts.put(self.key(name), marker.to_json(), media_type=JSON, only_if_absent=True)
        if self._is_erased(name):
            self.remove(name)
            raise _erased()

    def remove(self, name: str) -> None:
        self._artifacts.delete_prefix(self.key(name))

    def check_not_erased(self, name: str) -> Marker | None:
        """Return the marker, or None. Raise `JobErased` if what the key has led to was erased. Else raise as `read`."""
        marker = self.read(name)
        if (marker is None and self._is_erased(name)) or (marker is not None and marker.erased_at is not None):
            raise _erased()
        return marker

    def erase(self, job_id: str, name: str | None, *, now: float) -> None:
        """Remember that the job is erased, before that happens. From now on, a repeated request raises `JobErased`.

        `name` is that of the job's marker, "" if the job has none. Without it, look for the marker among all of the user.
        """
        for each in self._names_for(job_id) if name is None else [name] if name else []:
            marker = self._readable(each)
            if marker is None or marker.job_id != job_id:
                continue
            kept = Marker(job_id, marker.created_at, "", marker.erased_at or now)
            self._artifacts.replace(self.key(each), kept.to_json(), media_type=JSON)
            if not self._artifacts.exists(edit_key(self._owner, job_id, "spec.json")) and self._is_erased(each):
                self.remove(each)  # its user was erased meanwhile

    def erase_all(self, *, now: float, ttl_s: float) -> None:
        """Remember all keys of the user, before their markers are deleted. Forget those of erasures over `ttl_s` seconds ago."""
        names = [found[1] for key in self._artifacts.list(self._folder) if (found := _KEY.fullmatch(path_in_user(key)))]
        if not names:
            return
        earlier = {name: at for name, at in self._erased_keys().items() if at + ttl_s > now}
        kept = ErasedKeys(earlier | dict.fromkeys(map(self._digest, names), now))
        self._artifacts.replace(self._erased, json.dumps(asdict(kept)).encode(), media_type=JSON)

    def _is_erased(self, name: str) -> bool:
        return self._digest(name) in self._erased_keys()

    def _erased_keys(self) -> Mapping[str, float]:
        try:
            return read_record("erased keys", ErasedKeys, self._artifacts.get(self._erased)).keys
        except ArtifactMissing:
            return {}
        except RecordDamaged as error:
            count_aside("erased keys", self._erased, error)
            return {}

    def _digest(self, name: str) -> str:
        """Return what stays of a marker's name when its user is erased. Only who knows user and key can compute it."""
        return digest(f"{self._owner.prefix}{name}".encode())[:32]

    def _names_for(self, job_id: str) -> Iterator[str]:
        for key in list(self._artifacts.list(self._folder)):
            found = _KEY.fullmatch(path_in_user(key))
            if found and (marker := self._readable(found[1])) is not None and marker.job_id == job_id:
                yield found[1]

    def _readable(self, name: str) -> Marker | None:
        try:
            return self.read(name)
        except RecordUnusable:
            return None


def sweep_marker(artifacts: ArtifactStore, key: str, *, before: float) -> int:
    """Remove the marker `key` if it is from before `before` (seconds since the epoch) or damaged. Return the number of objects.

    Run only one sweep at a time. Otherwise one sweep may remove a marker that was written after the other removed its predecessor.
    """
    if not _KEY.fullmatch(path_in_user(key)):
        return 0
    try:
        created_at = read_record("idempotency marker", Marker, artifacts.get(key)).created_at
    except ArtifactMissing:  # erased meanwhile
        return 0
    except RecordDamaged as error:  # it stands for no job
        count_aside("idempotency marker", key, error)
        created_at = 0.0
    return artifacts.delete_prefix(key) if created_at < before else 0


def sweep_erased_keys(artifacts: ArtifactStore, *, before: float) -> int:
    """Remove the memory of users that were last erased before `before`, or that is damaged. Return the number of objects.

    That of a user who is being erased now stays: the erasure may have added keys.
    """
    gone = 0
    for key in [key for key in artifacts.list(ERASED) if _ERASED_NAME.fullmatch(key, len(ERASED))]:
        with set_aside("erased keys", key):
            try:
                erased_at = max(read_record("erased keys", ErasedKeys, artifacts.get(key)).keys.values(), default=0.0)
            except ArtifactMissing:
                continue
            except RecordDamaged as error:
                count_aside("erased keys", key, error)
                erased_at = 0.0
            is_old = erased_at < before and not erasing_keys(artifacts, key.removeprefix(ERASED))
            gone += artifacts.delete_prefix(key) if is_old else 0
    return gone


def _erased() -> JobErased:
    return JobErased("what this Idempotency-Key has led to was erased: send a new request with a new key")
