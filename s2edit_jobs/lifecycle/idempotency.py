"""Idempotency keys: a request that is repeated with the same Idempotency-Key leads to the same job.

A marker object in the object store ties the key to a job (`request_markers`). It is written once, before any object of the job,
and holds the job's id and creation time. If the first process dies, the repeated request finds the marker without a job. It then
creates the job that the first request would have created, in its own trace. If the job was erased, the marker says so, and a
repeated request creates nothing. A key is forgotten when the sweeper removes its marker.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping

from s2edit_core.request.plan import digest
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.lifecycle.request_markers import Marker, RequestMarkers, marker_name
from s2edit_jobs.records.errors import ArtifactExists, BeingErased, JobNotFound, KeyReused, RecordDamaged, RequestInFlight
from s2edit_jobs.records.files import Upload
from s2edit_jobs.records.record import JobRecord, JobSpec, Owner
from s2edit_jobs.records.set_aside import count_aside
from s2edit_jobs.stores.markers import check_not_erasing

IN_FLIGHT_S = 2.0
"""Seconds after which a marker without a job means that its first request was interrupted, rather than still running."""


def request_digest(values: Mapping[str, object], files: Mapping[str, Upload]) -> str:
    """Return the digest of a whole request. `values` must be JSON values."""
    contents = {name: upload.as_sent for name, upload in files.items()}
    return digest(json.dumps([values, contents], sort_keys=True, ensure_ascii=False).encode())


class Idempotency:
    """One Idempotency-Key of one owner. Every method may raise `ServiceUnavailable`.

    `name` is that of the key's marker. `request` is the digest of the request, which may be set after `check_not_erased`.
    """

    def __init__(self, jobs: Jobs, owner: Owner, key: str, request: str = "") -> None:
        self.name = marker_name(key)
        self.request = request
        self._jobs = jobs
        self._owner = owner
        self._markers = RequestMarkers(jobs.artifacts, owner)

    def check_not_erased(self) -> Marker | None:
        """Return the key's marker, or None. Raise `JobErased` if what it has led to was erased, `KeyReused` if it is damaged."""
        try:
            return self._markers.check_not_erased(self.name)
        except RecordDamaged as error:
            count_aside("idempotency marker", self._markers.key(self.name), error)
            raise KeyReused("nobody can tell which request this Idempotency-Key was used for: use a new key") from None

    def earlier(self, marker: Marker | None) -> JobRecord | None:
        """Return the job that this key already led to, or None if the request is new or was interrupted.

        `marker` is what `check_not_erased` has returned. Raise as it, `KeyReused` also if the key came with another request,
        `BeingErased` if the user is being erased, `RequestInFlight` if the first request is still being accepted.
        """
        if marker is None:
            return None
        if marker.request != self.request:
            raise KeyReused("this Idempotency-Key was used for a different request: use a new key for each request")
        try:
            record = self._jobs.get(self._owner, marker.job_id)
            if not record.state.over:  # the first request may still fail, and then withdraws its own marker
                self._jobs.mark(self._owner, marker.job_id)
            return record
        except JobNotFound:
            self.check_not_erased()  # the erasure may have begun since
            check_not_erasing(self._jobs.artifacts, self._owner)
            if time.time() - marker.created_at < IN_FLIGHT_S:
                raise RequestInFlight("the first request with this Idempotency-Key is still in progress", retry_after_s=1) from None
            return None

    def begin(self, spec: JobSpec) -> Marker:
        """Write the marker for `spec`, or return the marker that an interrupted request left. Raise as `earlier`."""
        marker = Marker(spec.id, spec.created_at, self.request)
        try:
            self._markers.add(self.name, marker)
        except ArtifactExists:
            found = self.check_not_erased()
            if self.earlier(found) is not None:
                raise RequestInFlight("another request with this Idempotency-Key was just accepted", retry_after_s=1) from None
            return found or marker
        return marker

    def withdraw(self, marker: Marker) -> None:
        """Remove the marker that `begin` returned: the user is being erased. That of an accepted job is left to the erasure.

        Raise as `check_not_erased`: perhaps only the job was erased.
        """
        if not self._jobs.exists(self._owner, marker.job_id) and self.check_not_erased() == marker:
            self._markers.remove(self.name)


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
    marker is written before the slot is taken, so a repeated request takes one slot. The earlier request may have been charged, and
    may still go on, so `charge` must count all requests with the key as one.
    """
    marker = None if once is None else once.begin(spec)
    if marker is not None and marker.job_id != spec.id:
        spec = draft(marker)
    try:
        with jobs.queue_slot(spec.owner, spec.id):
            charge()
            return jobs.accept(spec, files, check=None if once is None else once.check_not_erased)
    except BeingErased:
        if once is not None and marker is not None:
            once.withdraw(marker)
        raise
