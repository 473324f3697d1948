"""The operations on jobs that the API and the workers share. The object store holds the truth, the job store a fast view of it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import structlog

from s2edit_jobs.bootstrap import Services
from s2edit_jobs.records.errors import (
    ArtifactExists,
    ArtifactMissing,
    BeingErased,
    JobNotFound,
    QueueFull,
    RecordDamaged,
    RecordNewer,
    ServiceUnavailable,
    TooManyEdits,
)
from s2edit_jobs.records.estimates import seconds_left
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
    recovered_record,
)
from s2edit_jobs.records.set_aside import count_aside, set_aside
from s2edit_jobs.records.stored import damaged, read_values
from s2edit_jobs.records.unreadable import DAMAGED, damaged_outcome, partial_outcome, partial_record
from s2edit_jobs.stores.artifacts import JSON, edit_key
from s2edit_jobs.stores.markers import OUTBOX, PENDING, Place, check_not_erasing, place_of, read_marker

log = structlog.get_logger(__name__)

DEADLINE = "deadline_exceeded"
"""Error code of a job that was unfinished at its deadline."""
RETRY_AFTER_S = 10
"""Value of Retry-After when a user or the whole service has too many unfinished jobs."""
CHECKPOINTS = "checkpoint-"
"""Prefix of the names of learning checkpoints, in the folder of the concept."""


class Jobs:
    """All jobs of the service. Every method may raise `ServiceUnavailable`."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.artifacts = services.artifacts
        self._store = services.store
        self._audit = services.audit.record

    def take_slot(self, owner: Owner, job_id: str) -> None:
        """Take a queue slot for a job that is about to be accepted.

        Raise `TooManyEdits`, `QueueFull`, `BeingErased`, or `ModelFailed` if no worker can load the model. If the job store is
        down, take no slot and raise nothing: then accepting a job needs only the object store.
        """
        check_not_erasing(self.artifacts, owner)
        self._services.watch.check(self.artifacts, self._services.settings.model)
        of_owner, in_all = self._services.settings.max_unfinished_edits_per_user, self._services.settings.max_unfinished_edits
        try:
            load = self._store.admission.take_slot(owner, job_id, of_owner=of_owner, in_all=in_all)
        except ServiceUnavailable:
            return
        if load.of_owner >= of_owner:
            message = f"this user already has {load.of_owner} unfinished edits: wait until one has finished"
            raise TooManyEdits(message, retry_after_s=RETRY_AFTER_S)
        if load.in_all >= in_all:
            raise QueueFull(f"the service already has {load.in_all} unfinished edits: try again later", retry_after_s=RETRY_AFTER_S)

    @contextmanager
    def queue_slot(self, owner: Owner, job_id: str) -> Iterator[None]:
        """Hold a queue slot while the job is accepted. An exception frees the slot. Raise as `take_slot`."""
        self.take_slot(owner, job_id)
        try:
            yield
        except BaseException:
            self.leave_slot(owner, job_id)
            raise

    def leave_slot(self, owner: Owner, job_id: str) -> None:
        """Free the slot that `take_slot` took. If the job store is down, the slot expires by itself."""
        with suppress(ServiceUnavailable):
            self._store.admission.leave_slot(owner, job_id)

    def accept(self, spec: JobSpec, files: Mapping[str, Upload]) -> JobRecord:
        """Accept the job. It is safe once its spec is stored: a queue or job store that is down only delays it.

        Raise `ArtifactsUnavailable` or `BeingErased`. The client should then repeat the request.
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
            log.warning("the job store is down: a reaper will enter the job later", action="job_pending", job_id=spec.id)
            self.artifacts.put(f"{PENDING}{spec.id}", spec_key.encode(), media_type="text/plain")
            pending = True
        self._check_complete(spec, files)
        self._audit("edit.accept", spec.owner, spec.id, "accepted")
        if not pending:
            self._notify(spec.id)
        return record

    def _check_complete(self, spec: JobSpec, files: Mapping[str, Upload]) -> None:
        """Check after all writes that no erasure has begun meanwhile. It may have deleted some objects and missed the others.

        If so, delete the rest and raise `BeingErased`. An erasure that begins after this check finds all objects.
        """
        folder = edit_key(spec.owner, spec.id, "")
        there = set(self.artifacts.list(folder))
        try:
            check_not_erasing(self.artifacts, spec.owner)
            if not there >= {f"{folder}spec.json", *(spec.inputs[name].key for name in files)}:
                raise BeingErased("the user's data was erased while the request was being accepted: repeat it", retry_after_s=1)
        except BeingErased:
            self.drop(spec.owner, spec.id)
            raise

    def drop(self, owner: Owner, job_id: str) -> int:
        """Delete everything of the job in both stores. Return the number of objects.

        `spec.json` is deleted first. A worker checks it after each write, so it notices the erasure and deletes what it wrote.
        """
        folder = edit_key(owner, job_id, "")
        self.artifacts.delete_prefix(f"{folder}spec.json")
        learning = self._store.maintenance.erase(owner, job_id)
        if learning is not None:  # no other job continues from these checkpoints
            self.artifacts.delete_prefix(f"{learning.rpartition('/')[0]}/{CHECKPOINTS}")
        for marker in (OUTBOX, PENDING):
            self.artifacts.delete_prefix(marker + job_id)
        return 1 + self.artifacts.delete_prefix(folder)

    def put_for(self, owner: Owner, job_id: str, key: str, data: bytes, *, media_type: str, only_if_absent: bool = False) -> None:
        """Write an object for a job, then check that the job still exists. If not, delete the object and raise `JobNotFound`.

        So no object survives an erasure, whichever comes first. Also raise what `put` raises.
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
        """Return the job's record. Raise `JobNotFound` if this owner has no such job."""
        try:
            return self._store.records.get(owner, job_id)
        except JobNotFound:
            return self._load(owner, job_id)

    def events(self, owner: Owner, job_id: str, *, after: int) -> tuple[list[JobRecord], bool]:
        """Return the record after each change with a sequence above `after`, oldest first, and whether none is missing.

        If the job is over, return its last record unless `after` is its very sequence.
        """
        try:
            return self._store.events.since(owner, job_id, after=after)
        except JobNotFound:
            record = self._load(owner, job_id)
            seen = record.sequence == after or (record.sequence < after and not record.state.over)
            return [] if seen else [record], seen

    def seconds_left(self, record: JobRecord) -> float | None:
        """Return the estimated seconds until the job's end, or None if it is over or no estimate exists."""
        if record.state.over:
            return None
        try:
            return seconds_left(record, self._store.estimates.outlook(record.owner, record.id))
        except (ServiceUnavailable, JobNotFound):
            return None

    def end_overdue(self) -> int:
        """End the jobs whose deadline has passed. Return their number."""
        late = self._store.records.overdue()
        failure = Failure(DEADLINE, "the edit did not finish before its deadline", retryable=True)
        for record in late:
            outcome = Outcome(state=JobState.FAILED, attempt=record.attempt, finished_at=time.time(), failure=failure)
            with set_aside("overdue job", record.id):
                try:
                    self.finish(record.owner, record.id, outcome)
                except JobNotFound:  # erased meanwhile
                    self._store.maintenance.erase(record.owner, record.id)
        return len(late)

    def cancel(self, owner: Owner, job_id: str) -> JobRecord:
        """Request cancellation. A queued job ends at once, a running one at its next step. A job that is over does not change."""
        self.get(owner, job_id)  # enters the job again if the job store has lost it
        try:
            record = self._store.records.request_cancel(owner, job_id)
        except JobNotFound:
            return self._load(owner, job_id)  # over, and no longer in the job store
        self._audit("edit.cancel", owner, job_id, "wished" if record.state is JobState.RUNNING else record.state)
        if record.state is not JobState.QUEUED:
            return record
        return self.finish(owner, job_id, Outcome(state=JobState.CANCELED, attempt=record.attempt, finished_at=time.time()))

    def finish(self, owner: Owner, job_id: str, outcome: Outcome) -> JobRecord:
        """End the job. If the object store already holds an outcome, that one stands. Raise `JobNotFound` if the job was erased."""
        key = edit_key(owner, job_id, "outcome.json")
        try:
            self.put_for(owner, job_id, key, outcome.to_json(), media_type=JSON, only_if_absent=True)
            self._audit("edit.end", owner, job_id, outcome.failure.code if outcome.failure else outcome.state)
        except ArtifactExists:
            outcome = self.outcome(owner, job_id) or outcome
        try:
            return self._store.records.finish(job_id, owner, outcome)
        except JobNotFound:
            first, _ = self._accepted(owner, job_id)
            return final_record(first, outcome)

    def exists(self, owner: Owner, job_id: str) -> bool:
        """Whether this owner has such a job, even if nobody can read its spec."""
        return JOB_ID.fullmatch(job_id) is not None and self.artifacts.exists(edit_key(owner, job_id, "spec.json"))

    def spec(self, owner: Owner, job_id: str) -> JobSpec:
        """Return what was accepted. Raise `JobNotFound` if this owner has no such job, `RecordDamaged` or `RecordNewer`."""
        return _spec_in(self._spec_bytes(owner, job_id), owner, job_id)

    def outcome(self, owner: Owner, job_id: str) -> Outcome | None:
        """Return how the job ended, or None while it is not over. Of an outcome that can't be read, return what is known."""
        try:
            return self.stored_outcome(owner, job_id)
        except RecordDamaged as error:
            count_aside("outcome", job_id, error)
            return damaged_outcome(job_id)
        except RecordNewer:
            return partial_outcome(job_id, self.artifacts.get(edit_key(owner, job_id, "outcome.json")))

    def stored_outcome(self, owner: Owner, job_id: str) -> Outcome | None:
        """Return how the job ended, or None while it is not over. Raise `RecordDamaged` or `RecordNewer`."""
        folder = edit_key(owner, job_id, "")
        try:
            outcome = Outcome.from_json(self.artifacts.get(f"{folder}outcome.json"))
        except ArtifactMissing:
            return None
        if not all(key.startswith(folder) for key in outcome.artifacts.values()):
            raise damaged("outcome", "it names files of another job")
        return outcome

    def report(self, record: JobRecord) -> dict[str, Any] | None:
        """Return the report of a job. None if it has none, was erased meanwhile or has a report that can't be read."""
        if (key := record.artifacts.get("report")) is None:
            return None
        with suppress(ArtifactMissing), set_aside("report", key):
            try:
                return read_values("report", self.artifacts.get(key))
            except RecordNewer as error:
                count_aside("report", key, error)
        return None

    def rebuild(self) -> int:
        """Enter every unfinished job and undelivered webhook of the object store into the job store. Return the number of jobs."""
        specs: dict[str, str] = {}
        over: set[str] = set()
        for key in self.artifacts.list("t/"):
            folder, _, name = key.rpartition("/")
            if name == "spec.json" and "/edits/" in folder:
                specs[folder] = key
            elif name == "outcome.json":
                over.add(folder)
        for marker in self.artifacts.list(OUTBOX):
            with set_aside("webhook marker", marker), suppress(ArtifactMissing):  # delivered meanwhile
                place = read_marker(self.artifacts, marker)
                if edit_key(place.owner, place.id, "").rstrip("/") in over:
                    self._store.outbox.announce(marker.removeprefix(OUTBOX))
        entered = 0
        for folder, key in specs.items():
            if folder not in over:
                with set_aside("unfinished job", key):
                    entered += self._enter(place_of(key))
        return entered

    def enter_pending(self) -> int:
        """Enter the jobs that were accepted while the job store was down. Return their number."""
        entered = 0
        for marker in self.artifacts.list(PENDING):
            with set_aside("pending job", marker):
                with suppress(ArtifactMissing):  # another reaper has entered it
                    entered += self._enter(read_marker(self.artifacts, marker))
                self.artifacts.delete_prefix(marker)
        return entered

    def _notify(self, job_id: str) -> None:
        try:
            self._services.queue.notify(job_id)
        except ServiceUnavailable:
            log.warning("the queue is down: a reaper will notify the workers later", action="ring_failed", job_id=job_id)

    def _load(self, owner: Owner, job_id: str) -> JobRecord:
        """Return the record of a job that the job store does not have. An unfinished job is entered again.

        An unfinished job with a damaged spec ends here.
        """
        first, is_damaged = self._accepted(owner, job_id)
        if (outcome := self.outcome(owner, job_id)) is not None:
            return final_record(first, outcome)
        record = self._add_again(first)
        if not is_damaged:
            return record
        return self.finish(owner, job_id, Outcome(JobState.FAILED, attempt=0, finished_at=time.time(), failure=DAMAGED))

    def _accepted(self, owner: Owner, job_id: str) -> tuple[JobRecord, bool]:
        """Return the job's first record, and whether its spec is damaged. Raise `JobNotFound`."""
        data = self._spec_bytes(owner, job_id)
        try:
            return first_record(_spec_in(data, owner, job_id)), False
        except RecordDamaged as error:
            count_aside("spec", job_id, error)
            return partial_record(owner, job_id, data), True
        except RecordNewer:
            return partial_record(owner, job_id, data), False

    def _spec_bytes(self, owner: Owner, job_id: str) -> bytes:
        if not JOB_ID.fullmatch(job_id):
            raise JobNotFound(job_id)
        try:
            return self.artifacts.get(edit_key(owner, job_id, "spec.json"))
        except ArtifactMissing:
            raise JobNotFound(job_id) from None

    def _add_again(self, first: JobRecord) -> JobRecord:
        """Enter the job into the job store again. Raise `JobNotFound` if it was erased meanwhile."""
        record = self._store.records.add(recovered_record(first))
        if not self.exists(first.owner, first.id):
            self._store.maintenance.erase(first.owner, first.id)
            raise JobNotFound(first.id)
        return record

    def _enter(self, place: Place) -> bool:
        """Enter a job into the job store again. Return whether it is unfinished."""
        try:
            return not self._load(place.owner, place.id).state.over
        except JobNotFound:  # erased meanwhile
            return False


def _spec_in(data: bytes, owner: Owner, job_id: str) -> JobSpec:
    """Return the spec in `data`. Raise as `Jobs.spec`: also for the spec of another job, which somebody has copied there."""
    spec = JobSpec.from_json(data)
    if (spec.owner, spec.id) != (owner, job_id) or not all(file.key.startswith(owner.prefix) for file in spec.inputs.values()):
        raise damaged("spec", "it belongs to another job or user")
    return spec
