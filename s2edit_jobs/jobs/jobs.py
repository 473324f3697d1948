"""What the API and the workers do with jobs. The object store is the truth; the job store is its quick view."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

import structlog

from s2edit_jobs.bootstrap import Services
from s2edit_jobs.records.errors import (
    ArtifactExists,
    ArtifactMissing,
    BeingErased,
    JobNotFound,
    QueueFull,
    ServiceUnavailable,
    TooManyEdits,
)
from s2edit_jobs.records.files import Upload
from s2edit_jobs.records.record import (
    JOB_ID,
    Failure,
    JobRecord,
    JobSpec,
    JobState,
    Outcome,
    Owner,
    final_record,
    first_record,
    known_again,
    seconds_left,
)
from s2edit_jobs.stores.artifacts import JSON, edit_key
from s2edit_jobs.stores.markers import OUTBOX, PENDING, check_not_erasing

log = structlog.get_logger(__name__)

DEADLINE = "deadline_exceeded"
"""Code of a job that was not done when its deadline passed."""
BUSY_S = 10
"""What an owner with too many unfinished jobs is told to wait."""
CHECKPOINTS = "checkpoint-"
"""Beside an identity that is being learned: the beginning of the names of its states."""


class Jobs:
    """Every call may raise `ServiceUnavailable`."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.artifacts = services.artifacts
        self._store = services.store
        self._audit = services.audit.record

    def admit(self, owner: Owner, job_id: str) -> None:
        """Take a place in the queue for a job that is to be accepted. Raises `TooManyEdits`, `QueueFull` or `BeingErased`,
        and `ModelFailed` while no worker can load the model: nobody would take the job.

        While the job store is down nobody is refused: then accepting waits for nothing but the object store.
        """
        check_not_erasing(self.artifacts, owner)
        self._services.watch.check(self.artifacts, self._services.settings.model)
        of_owner, in_all = self._services.settings.max_unfinished_edits_per_user, self._services.settings.max_unfinished_edits
        try:
            load = self._store.admission.take_slot(owner, job_id, of_owner=of_owner, in_all=in_all)
        except ServiceUnavailable:
            return
        if load.of_owner >= of_owner:
            raise TooManyEdits(f"{load.of_owner} edits of this user are not done yet", retry_after_s=BUSY_S)
        if load.in_all >= in_all:
            raise QueueFull(f"{load.in_all} edits are not done yet", retry_after_s=BUSY_S)

    @contextmanager
    def place(self, owner: Owner, job_id: str) -> Iterator[None]:
        """A place in the queue, to accept the job in; given back if that does not come about. Raises as `admit`."""
        self.admit(owner, job_id)
        try:
            yield
        except BaseException:
            self.leave(owner, job_id)
            raise

    def leave(self, owner: Owner, job_id: str) -> None:
        """Give the place back that `admit` took. A job store that is down forgets it by itself."""
        with suppress(ServiceUnavailable):
            self._store.admission.leave_slot(owner, job_id)

    def accept(self, spec: JobSpec, files: Mapping[str, Upload]) -> JobRecord:
        """Take the job on. Once its spec is stored it can't be lost: a queue or job store that is down only delays it.

        Raises `ArtifactsUnavailable` or `BeingErased`; then the app should ask again.
        """
        for name, upload in files.items():
            self.artifacts.put(spec.inputs[name].key, upload.data, media_type=upload.media_type)
        spec_key = edit_key(spec.owner, spec.id, "spec.json")
        if spec.webhook_url is not None:
            self.artifacts.put(OUTBOX + spec.id, spec_key.encode(), media_type="text/plain")
        self.artifacts.put(spec_key, spec.to_json(), media_type=JSON)
        record, pending = first_record(spec), False
        try:
            record = self._store.records.add(record)
        except ServiceUnavailable:
            log.warning("the job store is down: the job is entered later", action="job_pending", job_id=spec.id)
            self.artifacts.put(f"{PENDING}{spec.id}", spec_key.encode(), media_type="text/plain")
            pending = True
        self._check_whole(spec, files)
        self._audit("edit.accept", spec.owner, spec.id, "accepted")
        if not pending:
            self._ring(spec.id)
        return record

    def _check_whole(self, spec: JobSpec, files: Mapping[str, Upload]) -> None:
        """Look again, after all was written: an erasure that began meanwhile may have taken some of it and missed the rest.

        Raises `BeingErased`, and takes the rest back. One that begins only now finds everything in its place.
        """
        folder = edit_key(spec.owner, spec.id, "")
        there = set(self.artifacts.list(folder))
        try:
            check_not_erasing(self.artifacts, spec.owner)
            if not there >= {f"{folder}spec.json", *(spec.inputs[name].key for name in files)}:
                raise BeingErased("a part of the request was erased before it was taken on", retry_after_s=1)
        except BeingErased:
            self.drop(spec.owner, spec.id)
            raise

    def drop(self, owner: Owner, job_id: str) -> int:
        """Remove all there is of the job, in both stores; how many objects. Who works on it notices, and writes nothing more.

        The spec goes first: by it the worker sees, after each write, whether the job still is.
        """
        folder = edit_key(owner, job_id, "")
        self.artifacts.delete_prefix(f"{folder}spec.json")
        learning = self._store.maintenance.erase(owner, job_id)
        if learning is not None:  # nobody goes on with that
            self.artifacts.delete_prefix(f"{learning.rpartition('/')[0]}/{CHECKPOINTS}")
        for note in (OUTBOX, PENDING):
            self.artifacts.delete_prefix(note + job_id)
        return 1 + self.artifacts.delete_prefix(folder)

    def put_for(self, owner: Owner, job_id: str, key: str, data: bytes, *, media_type: str, only_if_absent: bool = False) -> None:
        """Write something that the job has made, then look whether the job still is: if not, the write is taken back.

        So, whichever comes first, of a write and an erasure nothing is left. Raises `JobNotFound`, and what `put` raises.
        """
        taken = False
        try:
            self.artifacts.put(key, data, media_type=media_type, only_if_absent=only_if_absent)
        except ArtifactExists:
            taken = True
        if not self.artifacts.exists(edit_key(owner, job_id, "spec.json")):
            if not taken:
                self.artifacts.delete_prefix(key)
            raise JobNotFound(job_id)
        if taken:
            raise ArtifactExists(key)

    def get(self, owner: Owner, job_id: str) -> JobRecord:
        """Where the job stands. `JobNotFound` if this owner has none of that id."""
        try:
            return self._store.records.get(owner, job_id)
        except JobNotFound:
            return self._recall(owner, job_id)

    def events(self, owner: Owner, job_id: str, *, after: int) -> tuple[list[JobRecord], bool]:
        """How the job stood after each change above sequence `after`, oldest first; and whether none is missing."""
        try:
            return self._store.events.since(owner, job_id, after=after)
        except JobNotFound:
            record = self._recall(owner, job_id)
            return [record] if record.sequence > after else [], record.sequence <= after

    def seconds_left(self, record: JobRecord) -> float | None:
        """As far as the job store knows."""
        if record.state.over:
            return None
        try:
            return seconds_left(record, self._store.estimates.outlook(record.owner, record.id))
        except (ServiceUnavailable, JobNotFound):
            return None

    def end_overdue(self) -> int:
        """End the jobs whose deadline has passed; how many there were."""
        late = self._store.records.overdue()
        failure = Failure(DEADLINE, "the edit's deadline passed before it was done", retryable=True)
        for record in late:
            outcome = Outcome(state=JobState.FAILED, attempt=record.attempt, finished_at=time.time(), failure=failure)
            try:
                self.spec(record.owner, record.id)
                self.finish(record.owner, record.id, outcome)
            except JobNotFound:  # erased: nothing is written for it any more
                self._store.maintenance.erase(record.owner, record.id)
        return len(late)

    def cancel(self, owner: Owner, job_id: str) -> JobRecord:
        """Wish the job to end: at once if it waits, within a step if it runs. Nothing changes once it is over."""
        self.get(owner, job_id)  # enters it again if the job store lost it
        try:
            record = self._store.records.request_cancel(owner, job_id)
        except JobNotFound:
            return self._recall(owner, job_id)  # over, and no longer in the job store
        self._audit("edit.cancel", owner, job_id, "wished" if record.state is JobState.RUNNING else record.state)
        if record.state is not JobState.QUEUED:
            return record
        return self.finish(owner, job_id, Outcome(state=JobState.CANCELED, attempt=record.attempt, finished_at=time.time()))

    def finish(self, owner: Owner, job_id: str, outcome: Outcome) -> JobRecord:
        """End the job. The first outcome that reaches the object store is the one that stands, whoever asks.

        `JobNotFound` if it was erased.
        """
        key = edit_key(owner, job_id, "outcome.json")
        try:
            self.put_for(owner, job_id, key, outcome.to_json(), media_type=JSON, only_if_absent=True)
            self._audit("edit.end", owner, job_id, outcome.failure.code if outcome.failure else outcome.state)
        except ArtifactExists:
            outcome = Outcome.from_json(self.artifacts.get(key))
        try:
            return self._store.records.finish(job_id, owner, outcome)
        except JobNotFound:
            return final_record(self.spec(owner, job_id), outcome)

    def spec(self, owner: Owner, job_id: str) -> JobSpec:
        """`JobNotFound` if this owner has no such job."""
        if not JOB_ID.fullmatch(job_id):
            raise JobNotFound(job_id)
        try:
            return JobSpec.from_json(self.artifacts.get(edit_key(owner, job_id, "spec.json")))
        except ArtifactMissing:
            raise JobNotFound(job_id) from None

    def outcome(self, owner: Owner, job_id: str) -> Outcome | None:
        """None as long as the job is not over."""
        try:
            return Outcome.from_json(self.artifacts.get(edit_key(owner, job_id, "outcome.json")))
        except ArtifactMissing:
            return None

    def rebuild(self) -> int:
        """Enter every unfinished job of the object store into the job store again, and what is still to be told; how many jobs."""
        specs: dict[str, str] = {}
        over: set[str] = set()
        for key in self.artifacts.list("t/"):
            folder, _, name = key.rpartition("/")
            if name == "spec.json" and "/edits/" in folder:
                specs[folder] = key
            elif name == "outcome.json":
                over.add(folder)
        for note in self.artifacts.list(OUTBOX):
            with suppress(ArtifactMissing):  # told meanwhile
                if self.artifacts.get(note).decode().rpartition("/")[0] in over:
                    self._store.outbox.announce(note.removeprefix(OUTBOX))
        return sum(self._enter(key) for folder, key in specs.items() if folder not in over)

    def enter_pending(self) -> int:
        """Enter the jobs that were accepted while the job store was down; how many there were."""
        entered = 0
        for note in self.artifacts.list(PENDING):
            with suppress(ArtifactMissing):  # erased meanwhile
                entered += self._enter(self.artifacts.get(note).decode())
            self.artifacts.delete_prefix(note)
        return entered

    def _ring(self, job_id: str) -> None:
        try:
            self._services.queue.ring(job_id)
        except ServiceUnavailable:
            log.warning("the queue is down: a reaper will ring", action="ring_failed", job_id=job_id)

    def _recall(self, owner: Owner, job_id: str) -> JobRecord:
        """What the object store knows of a job that the job store does not."""
        spec = self.spec(owner, job_id)
        outcome = self.outcome(owner, job_id)
        if outcome is not None:
            return final_record(spec, outcome)
        return self._add_again(spec)

    def _add_again(self, spec: JobSpec) -> JobRecord:
        """`JobNotFound` if it was erased meanwhile."""
        record = self._store.records.add(known_again(spec))
        if not self.artifacts.exists(edit_key(spec.owner, spec.id, "spec.json")):
            self._store.maintenance.erase(spec.owner, spec.id)
            raise JobNotFound(spec.id)
        return record

    def _enter(self, spec_key: str) -> bool:
        try:
            self._add_again(JobSpec.from_json(self.artifacts.get(spec_key)))
        except (ArtifactMissing, JobNotFound):  # erased meanwhile
            return False
        return True
