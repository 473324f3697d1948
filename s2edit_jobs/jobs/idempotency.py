"""The same request, sent again with the same key, is one job: the note that says so lies in the object store, like the job itself.

A note is written once, before anything of the job, and names the job's id and moment. So whoever finds a note without a job (its
writer died, or is at it) can write what the first one would have written, to the trace of its own. A note counts until it is
swept up.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

from s2edit_core.request.plan import digest
from s2edit_jobs.jobs.jobs import Jobs
from s2edit_jobs.records.errors import ArtifactExists, ArtifactMissing, BeingErased, JobNotFound, KeyReused, RequestInFlight
from s2edit_jobs.records.files import Upload
from s2edit_jobs.records.record import JobRecord, JobSpec, Owner
from s2edit_jobs.stores.artifacts import JSON, ArtifactStore

IN_FLIGHT_S = 2.0
"""How long the first request with a key is believed to be still at it."""


@dataclass(frozen=True, slots=True)
class Note:
    job_id: str
    created_at: float  # seconds since the epoch
    request: str  # digest of what was asked


def sweep_notes(artifacts: ArtifactStore, *, older_than_s: float) -> int:
    """Remove the notes of keys that came so long ago, and those that nobody can read; how many. Raises `ArtifactsUnavailable`.

    One at a time should do this: else a note that has just been written for a key may be taken for the one before.
    """
    before, gone = time.time() - older_than_s, 0
    for place in artifacts.list("t/"):
        if "/requests/" not in place:
            continue
        try:
            created_at = float(json.loads(artifacts.get(place))["created_at"])
        except ArtifactMissing:
            continue
        except (ValueError, TypeError, KeyError):
            created_at = 0.0
        if created_at < before:
            gone += artifacts.delete_prefix(place)
    return gone


def request_digest(values: Mapping[str, object], files: Mapping[str, Upload]) -> str:
    """Of everything that was asked; `values` as JSON knows them."""
    contents = {name: upload.as_sent for name, upload in files.items()}
    return digest(json.dumps([values, contents], sort_keys=True, ensure_ascii=False).encode())


class Idempotency:
    """One key of one owner, come with the request of digest `request`. Every call may raise `ServiceUnavailable`."""

    def __init__(self, jobs: Jobs, owner: Owner, key: str, request: str) -> None:
        self._jobs = jobs
        self._owner = owner
        self._request = request
        self._place = f"{owner.prefix}requests/{digest(key.encode())}.json"

    def earlier(self) -> JobRecord | None:
        """The job that this request has led to before, as it stands now; None for a new one, or one that was cut short.

        Raises `KeyReused` if the key came with another request, `RequestInFlight` if the first is still being taken on.
        """
        note = self._note()
        if note is None:
            return None
        try:
            return self._jobs.get(self._owner, note.job_id)
        except JobNotFound:
            if time.time() - note.created_at < IN_FLIGHT_S:
                raise RequestInFlight("the same request is being taken on", retry_after_s=1) from None
            return None

    def begin(self, spec: JobSpec) -> Note:
        """Write the note for `spec`, or answer the one that a request which was cut short has left. Raises as `earlier`."""
        note = Note(spec.id, spec.created_at, self._request)
        try:
            self._jobs.artifacts.put(self._place, json.dumps(asdict(note)).encode(), media_type=JSON, only_if_absent=True)
        except ArtifactExists:
            if self.earlier() is not None:
                raise RequestInFlight("the same request has just been taken on", retry_after_s=1) from None
            return self._note() or note
        return note

    def take_back(self, note: Note) -> None:
        """For a user who is being erased: remove the note that `begin` has written or found."""
        if self._note() == note:
            self._jobs.artifacts.delete_prefix(self._place)

    def _note(self) -> Note | None:
        try:
            note = Note(**json.loads(self._jobs.artifacts.get(self._place)))
        except ArtifactMissing:
            return None
        if note.request != self._request:
            raise KeyReused("this key came with another request before")
        return note


def accept_once(
    jobs: Jobs,
    spec: JobSpec,
    files: Mapping[str, Upload],
    once: Idempotency | None,
    *,
    draft: Callable[[Note], JobSpec],
    charge: Callable[[], None],
) -> JobRecord:
    """Take a place in the queue, `charge` for it, and accept `spec`.

    Goes on where a request with the same key was cut short, with the spec that `draft` makes of its note. The note comes before
    the place: however often a request is sent, it takes one place and is charged by one.
    """
    if once is None:
        with jobs.place(spec.owner, spec.id):
            charge()
            return jobs.accept(spec, files)
    note = once.begin(spec)
    if note.job_id != spec.id:
        spec = draft(note)
    try:
        return accept_once(jobs, spec, files, None, draft=draft, charge=charge)
    except BeingErased:
        once.take_back(note)
        raise
