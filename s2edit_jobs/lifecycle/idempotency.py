"""Idempotency keys: a request that is repeated with the same Idempotency-Key leads to the same job.

A marker object in the object store ties the key to a job. It is written once, before any object of the job, and holds the job's id
and creation time. If the first process dies, the repeated request finds the marker without a job. It then creates the job that the
first request would have created, in its own trace. A key is forgotten when the sweeper removes its marker.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

from s2edit_core.request.plan import digest
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.records.errors import (
    ArtifactExists,
    ArtifactMissing,
    BeingErased,
    JobNotFound,
    KeyReused,
    RecordDamaged,
    RequestInFlight,
)
from s2edit_jobs.records.files import Upload
from s2edit_jobs.records.record import JobRecord, JobSpec, Owner, Timestamp
from s2edit_jobs.records.set_aside import count_aside
from s2edit_jobs.records.stored import read_record
from s2edit_jobs.stores.artifacts import JSON, ArtifactStore, path_in_user

_MARKER = re.compile(r"requests/[0-9a-f]{32,64}\.json")
IN_FLIGHT_S = 2.0
"""Seconds after which a marker without a job means that its first request was interrupted, rather than still running."""


@dataclass(frozen=True, slots=True)
class Marker:
    """The content of a marker object."""

    job_id: str
    created_at: Timestamp
    request: str  # digest of the request


def sweep_idempotency_marker(artifacts: ArtifactStore, key: str, *, before: float) -> int:
    """Remove the marker `key` if it is from before `before` (seconds since the epoch) or damaged. Return the number of objects.

    Run only one sweep at a time. Otherwise one sweep may remove a marker that was written after the other removed its predecessor.
    """
    if not _MARKER.fullmatch(path_in_user(key)):
        return 0
    try:
        created_at = read_record("idempotency marker", Marker, artifacts.get(key)).created_at
    except ArtifactMissing:  # erased meanwhile
        return 0
    except RecordDamaged as error:  # it stands for no job
        count_aside("idempotency marker", key, error)
        created_at = 0.0
    return artifacts.delete_prefix(key) if created_at < before else 0


def request_digest(values: Mapping[str, object], files: Mapping[str, Upload]) -> str:
    """Return the digest of a whole request. `values` must be JSON values."""
    contents = {name: upload.as_sent for name, upload in files.items()}
    return digest(json.dumps([values, contents], sort_keys=True, ensure_ascii=False).encode())


class Idempotency:
    """One Idempotency-Key of one owner, sent with the request of digest `request`. Every method may raise `ServiceUnavailable`."""

    def __init__(self, jobs: Jobs, owner: Owner, key: str, request: str) -> None:
        self._jobs = jobs
        self._owner = owner
        self._request = request
        self._key = f"{owner.prefix}requests/{digest(key.encode())}.json"

    def earlier(self) -> JobRecord | None:
        """Return the job that this key already led to, or None if the request is new or was interrupted.

        Raise `KeyReused` if the key came with another request or its marker is damaged, `RequestInFlight` if the first request is
        still being accepted.
        """
        marker = self._marker()
        if marker is None:
            return None
        try:
            record = self._jobs.get(self._owner, marker.job_id)
            if not record.state.over:  # the first request may still fail, and then withdraws its own marker
                self._jobs.mark(self._owner, marker.job_id)
            return record
        except JobNotFound:
            if time.time() - marker.created_at < IN_FLIGHT_S:
                raise RequestInFlight("the first request with this Idempotency-Key is still in progress", retry_after_s=1) from None
            return None

    def begin(self, spec: JobSpec) -> Marker:
        """Write the marker for `spec`, or return the marker that an interrupted request left. Raise as `earlier`."""
        marker = Marker(spec.id, spec.created_at, self._request)
        try:
            self._jobs.artifacts.put(self._key, json.dumps(asdict(marker)).encode(), media_type=JSON, only_if_absent=True)
        except ArtifactExists:
            if self.earlier() is not None:
                raise RequestInFlight("another request with this Idempotency-Key was just accepted", retry_after_s=1) from None
            return self._marker() or marker
        return marker

    def withdraw(self, marker: Marker) -> None:
        """Remove the marker that `begin` returned: the user is being erased."""
        if self._marker() == marker:
            self._jobs.artifacts.delete_prefix(self._key)

    def _marker(self) -> Marker | None:
        try:
            marker = read_record("idempotency marker", Marker, self._jobs.artifacts.get(self._key))
        except ArtifactMissing:
            return None
        except RecordDamaged as error:
            count_aside("idempotency marker", self._key, error)
            raise KeyReused("nobody can tell which request this Idempotency-Key was used for: use a new key") from None
        if marker.request != self._request:
            raise KeyReused("this Idempotency-Key was used for a different request: use a new key for each request")
        return marker


def accept_once(
    jobs: Jobs,
    spec: JobSpec,
    files: Mapping[str, Upload],
    once: Idempotency | None,
    *,
    draft: Callable[[Marker], JobSpec],
    charge: Callable[[], None],
) -> JobRecord:
    """Take a queue slot, call `charge`, and accept `spec`.

    If an earlier request with the same key was interrupted, continue it with the spec that `draft` builds from its marker. The
    marker is written before the slot is taken, so a repeated request takes one slot and is charged once.
    """
    marker = None if once is None else once.begin(spec)
    if marker is not None and marker.job_id != spec.id:
        spec = draft(marker)
    try:
        with jobs.queue_slot(spec.owner, spec.id):
            charge()
            return jobs.accept(spec, files, repeated=marker is not None)
    except BeingErased:
        if once is not None and marker is not None:
            once.withdraw(marker)
        raise
