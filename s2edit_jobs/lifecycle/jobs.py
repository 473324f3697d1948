"""The operations on jobs that the API and the workers share. The object store holds the truth, the job store a fast view of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

from s2edit_core.request.texts import counted
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.lifecycle.attempt_files import drop_unnamed
from s2edit_jobs.lifecycle.delayed import delaying_only
from s2edit_jobs.lifecycle.history import History, places_of
from s2edit_jobs.lifecycle.learnings import drop_unlearned
from s2edit_jobs.lifecycle.stored_jobs import StoredJobs
from s2edit_jobs.records.errors import (
    ArtifactExists,
    BeingErased,
    JobErased,
    JobNotFound,
    PreviewMissing,
    QueueFull,
    RecordUnusable,
    ServiceUnavailable,
    TenantQueueFull,
    TooManyEdits,
)
from s2edit_jobs.records.estimates import seconds_left
from s2edit_jobs.records.files import Upload
from s2edit_jobs.records.record import (
    Failure,
    JobRecord,
    JobSpec,
    JobState,
    Outcome,
    Owner,
    Preview,
    final_record,
    first_record,
    recovered_record,
)
from s2edit_jobs.records.set_aside import set_aside
from s2edit_jobs.records.unreadable import DAMAGED
from s2edit_jobs.stores.artifacts import JSON, edit_key
from s2edit_jobs.stores.markers import OUTBOX, PENDING, UNFINISHED, check_not_erasing, unfinished_key
from s2edit_jobs.stores.stored_bytes import check_stored

DEADLINE = "deadline_exceeded"
"""Error code of a job that was unfinished at its deadline."""
RETRY_AFTER_S = 10
"""Value of Retry-After when a user or the whole service has too many unfinished jobs."""
RECENT_S = 300.0
"""Seconds after a job's end in which another process may still act on what it has read before. Clocks differ by less."""
CANCELLATION = "cancellation.json"
"""Name of an empty record in the folder of a job: its cancellation was requested while it was unfinished."""
CHECKPOINTS = "checkpoint-"
"""Prefix of the names of learning checkpoints, in the folder of the concept."""


class Jobs(StoredJobs):
    """All jobs of the service. Every method may raise `ServiceUnavailable`."""

    def __init__(self, services: Services) -> None:
        super().__init__(services.artifacts)
        self._services = services
        self._store = services.store
        self._audit = services.audit.record
        self.history = History(services.artifacts)

    def take_slot(self, owner: Owner, job_id: str) -> None:
        """Take a queue slot for a job that is about to be accepted.

        Raise `StorageFull`, `TooManyEdits`, `TenantQueueFull`, `QueueFull`, `BeingErased`, or `ModelFailed` if no worker can load
        the model. If the job store is down, take no slot and raise nothing: then accepting a job needs only the object store.
        """
        check_not_erasing(self.artifacts, owner)
        check_stored(self._store.usage, owner.tenant, bound=self._services.settings.max_stored_bytes_per_tenant)
        if not owner.test:  # test mode needs no model
            self._services.watch.check(self.artifacts, self._services.settings.model)
        limits = self._services.settings
        of_owner, of_tenant = limits.max_unfinished_edits_per_user, limits.max_unfinished_edits_per_tenant
        in_all = limits.max_unfinished_edits
        try:
            load = self._store.admission.take_slot(owner, job_id, of_owner=of_owner, of_tenant=of_tenant, in_all=in_all)
        except ServiceUnavailable:
            return
        if load.of_owner >= of_owner:
            message = f"this user already has {counted(load.of_owner, 'unfinished edit')}: wait until one has finished"
            raise TooManyEdits(message, retry_after_s=RETRY_AFTER_S)
        if load.of_tenant >= of_tenant:
            message = f"this tenant already has {counted(load.of_tenant, 'unfinished edit')}: wait until one has finished"
            raise TenantQueueFull(message, retry_after_s=RETRY_AFTER_S)
        if load.in_all >= in_all:
            raise QueueFull(
                f"the service already has {counted(load.in_all, 'unfinished edit')}: try again later", retry_after_s=RETRY_AFTER_S
            )

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

    def accept(self, spec: JobSpec, files: Mapping[str, Upload], *, check: Callable[[], object] | None = None) -> JobRecord:
        """Accept the job. Writing its marker in `unfinished/` decides: before, nothing runs the job; afterwards, nothing loses it.

        So an exception means that the job is not accepted and never will run. After the marker, a part that is down only delays
        the job. `check` belongs to an Idempotency-Key, with which another request may be accepting the same job at the same time.
        It is called before the marker is written, and raises `JobErased` if that request was accepted and its job erased.

        Raise `BeingErased`, what `check` raises, or what the object store raises. The client should then repeat the request.
        """
        marker = unfinished_key(spec.id)
        try:
            self._store_inputs(spec, files)
            self._check_complete(spec, files, check)
            self.artifacts.put(marker, edit_key(spec.owner, spec.id, "spec.json").encode(), media_type="text/plain")
        except Exception:
            self._withdraw(spec, marker, repeated=check is not None)
            raise
        record = first_record(spec)
        with delaying_only("entering the job", spec.id):
            record = self._store.records.add(record)
        self._check_not_erased(spec)
        with delaying_only("the audit log", spec.id):
            self._audit("edit.accept", spec.owner, spec.id, "accepted")
        if not spec.owner.test:  # housekeepers, which run test jobs, see every change; no worker takes one
            with delaying_only("the notification", spec.id):
                self._services.queue.notify(spec.id)
        return record

    def _store_inputs(self, spec: JobSpec, files: Mapping[str, Upload]) -> None:
        for name, upload in files.items():
            self.artifacts.put(spec.inputs[name].key, upload.data, media_type=upload.media_type)
        spec_key = edit_key(spec.owner, spec.id, "spec.json")
        self.artifacts.put(spec_key, spec.to_json(), media_type=JSON)
        if spec.webhook_url is not None:  # after the spec, by which erasures and surveys find the job and this marker
            self.artifacts.put(OUTBOX + spec.id, spec_key.encode(), media_type="text/plain")

    def _withdraw(self, spec: JobSpec, marker: str, *, repeated: bool) -> None:
        """Undo a failed `accept`. Its last write may have had its effect, and the reaper may have entered the job since.

        If another request may have accepted the same job, withdraw only the own marker. What is left then, and what cannot be
        deleted, is left to `survey`.
        """
        with delaying_only("cleaning up after a refused request", spec.id):
            self.artifacts.delete_prefix(marker)
            if not repeated:
                self.drop(spec.owner, spec.id)
            elif not self.is_marked(spec.id):
                self._store.erasure.erase(spec.owner, spec.id)

    def mark(self, owner: Owner, job_id: str) -> None:
        """Write one more marker for an unfinished job. Raise `JobNotFound` if it was erased."""
        spec_key = edit_key(owner, job_id, "spec.json")
        self.put_for(owner, job_id, unfinished_key(job_id), spec_key.encode(), media_type="text/plain")

    def _check_not_erased(self, spec: JobSpec) -> None:
        """Raise `BeingErased` if an erasure has deleted the spec since `_check_complete`. It may have missed the marker."""
        erased = False
        with delaying_only("the check for an erasure", spec.id):
            erased = not self.artifacts.exists(edit_key(spec.owner, spec.id, "spec.json"))
        if erased:
            self.drop(spec.owner, spec.id)
            raise _erased_meanwhile()

    def _check_complete(self, spec: JobSpec, files: Mapping[str, Upload], check: Callable[[], object] | None) -> None:
        """Check after these writes that no erasure has begun meanwhile. It may have deleted some objects and missed the others.

        If so, delete the rest and raise `BeingErased` or what `check` raises. An erasure that begins later finds all these objects.
        """
        folder = edit_key(spec.owner, spec.id, "")
        there = set(self.artifacts.list(folder))
        try:
            if check is not None:
                check()
            check_not_erasing(self.artifacts, spec.owner)
            if not there >= {f"{folder}spec.json", *(spec.inputs[name].key for name in files)}:
                raise _erased_meanwhile()
        except (BeingErased, JobErased):
            self.drop(spec.owner, spec.id)
            raise

    def drop(self, owner: Owner, job_id: str) -> int:
        """Delete everything of the job in both stores. Return the number of objects.

        `spec.json` is deleted first. A worker checks it after each write, so it notices the erasure and deletes what it wrote.
        """
        folder = edit_key(owner, job_id, "")
        places = self._places_in_history(owner, job_id)
        self.artifacts.delete_prefix(f"{folder}spec.json")
        if (learning := self._store.erasure.learning(owner, job_id)) is not None:  # before another job may learn the concept
            drop_unlearned(self.artifacts, learning, job_id)
            self.artifacts.delete_prefix(f"{learning.rpartition('/')[0]}/{CHECKPOINTS}")
        self._store.erasure.erase(owner, job_id)
        for marker in (OUTBOX, UNFINISHED, PENDING):
            self.artifacts.delete_prefix(marker + job_id)
        return 1 + self.history.remove(places) + self.artifacts.delete_prefix(folder)

    def _places_in_history(self, owner: Owner, job_id: str) -> list[str]:
        """Return where entries of the job may be: by its records, or every possible place if these can't be read."""
        try:
            outcome = self.stored_outcome(owner, job_id)
            return [] if outcome is None else places_of(final_record(first_record(self.spec(owner, job_id)), outcome))
        except (JobNotFound, RecordUnusable):
            return self.history.possible_places(owner, job_id)

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
            return self.load(owner, job_id)

    def preview(self, owner: Owner, job_id: str) -> Preview:
        """Return the latest preview of the job. Raise `PreviewMissing`, and `JobNotFound` as `get`."""
        found = self._store.events.preview(owner, job_id)
        if found is None:
            raise PreviewMissing(f"the edit is {self.get(owner, job_id).state}")
        return found

    def events(self, owner: Owner, job_id: str, *, after: int) -> tuple[list[JobRecord], bool]:
        """Return the record after each change with a sequence above `after`, oldest first, and whether none is missing.

        If the job is over, return its last record unless `after` is its very sequence.
        """
        try:
            return self._store.events.since(owner, job_id, after=after)
        except JobNotFound:
            record = self.load(owner, job_id)
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
                    self.drop(record.owner, record.id)
        return len(late)

    def cancel(self, owner: Owner, job_id: str) -> JobRecord:
        """Request cancellation. A queued job ends at once, a running one at its next step. A job that is over does not change.

        The record of it comes first, so that a job store that loses the request gets it back with the job.
        """
        if not self.get(owner, job_id).state.over:  # enters the job again if the job store has lost it
            with suppress(ArtifactExists):
                self.put_for(owner, job_id, edit_key(owner, job_id, CANCELLATION), b"{}", media_type=JSON, only_if_absent=True)
        try:
            record = self._store.records.request_cancel(owner, job_id)
        except JobNotFound:
            return self.load(owner, job_id)  # no longer in the job store: over, or lost just now
        self._audit("edit.cancel", owner, job_id, "requested" if record.state is JobState.RUNNING else record.state)
        if record.state is not JobState.QUEUED:
            return record
        return self.end_canceled(record)

    def recall_cancellation(self, record: JobRecord) -> JobRecord:
        """Request the cancellation of an unfinished job again if the job store has lost the request."""
        place = record.owner, record.id
        if record.state.over or record.cancel_requested or not self.artifacts.exists(edit_key(*place, CANCELLATION)):
            return record
        with suppress(JobNotFound):  # the job is lost again, or erased
            record = self._store.records.request_cancel(*place)
            return self.end_canceled(record) if record.state is JobState.QUEUED else record
        return record

    def end_canceled(self, record: JobRecord) -> JobRecord:
        """End a job that no worker runs."""
        outcome = Outcome(state=JobState.CANCELED, attempt=record.attempt, finished_at=time.time())
        return self.finish(record.owner, record.id, outcome)

    def finish(self, owner: Owner, job_id: str, outcome: Outcome) -> JobRecord:
        """End the job. If the object store already holds an outcome, that one stands. Raise `JobNotFound` if the job was erased."""
        key = edit_key(owner, job_id, "outcome.json")
        try:
            self.put_for(owner, job_id, key, outcome.to_json(), media_type=JSON, only_if_absent=True)
            self._audit("edit.end", owner, job_id, outcome.failure.code if outcome.failure else outcome.state)
        except ArtifactExists:
            outcome = self.outcome(owner, job_id) or outcome
        # The entry comes before Redis forgets the job as unfinished, so no list misses it. The marker goes last: until then, the
        # reconciliation repeats what a crash has left undone.
        entered = False
        with set_aside("entry of the index", key):
            self.enter_into_history(owner, job_id)
            entered = True
        try:
            record = self._store.records.finish(job_id, owner, outcome)
        except JobNotFound:
            record = self._enter_end(final_record(self.accepted(owner, job_id).first, outcome), outcome)
        if entered:
            with delaying_only("removing the files of other attempts, and the marker", job_id):
                drop_unnamed(self, owner, job_id, outcome)
                self.artifacts.delete_prefix(UNFINISHED + job_id)
        return record

    def enter_into_history(self, owner: Owner, job_id: str) -> None:
        """Enter a finished job into the index from which lists are read. Do nothing if it was erased meanwhile."""
        with suppress(JobNotFound):
            if (record := self.ended(owner, job_id)) is not None:
                self.history.add(record)

    def load(self, owner: Owner, job_id: str, *, marked: bool = False) -> JobRecord:
        """Return the record of a job that the job store does not have. An unfinished job is entered again.

        An unfinished job with a damaged spec ends here. Raise `JobNotFound` also for a job that was not accepted: its request has
        failed, or is still in progress. `marked` says that the caller has seen the marker that accepts it.
        """
        accepted = self.accepted(owner, job_id)
        if (outcome := self.outcome(owner, job_id)) is not None:
            record = final_record(accepted.first, outcome)
            if time.time() - outcome.finished_at < RECENT_S:
                with suppress(ServiceUnavailable):  # a Redis that takes no writes
                    return self._enter_end(record, outcome)
            return record
        if accepted.by_marker and not marked and not self._was_marked(owner, job_id):
            raise JobNotFound(job_id)
        record = self._add_again(accepted.first)
        if not accepted.damaged:
            return self.recall_cancellation(record)
        return self.finish(owner, job_id, Outcome(JobState.FAILED, attempt=0, finished_at=time.time(), failure=DAMAGED))

    def _was_marked(self, owner: Owner, job_id: str) -> bool:
        """Whether the job has a marker, or has ended once: its outcome may be lost."""
        return self.is_marked(job_id) or self.history.holds(owner, job_id)

    def _enter_end(self, record: JobRecord, outcome: Outcome) -> JobRecord:
        """Enter the end of a job that the job store has lost, so that all see its changes in one order.

        Another process may have looked for the outcome just before it was written, and enter the job as unfinished. If it was
        first, the job ends now. Otherwise nobody would see the job unfinished after its end.
        """
        known = self._add(record)
        if known.state.over:
            return known
        with suppress(JobNotFound):  # lost again
            return self._store.records.finish(record.id, record.owner, outcome)
        return record

    def _add_again(self, first: JobRecord) -> JobRecord:
        """Enter an unfinished job into the job store again. Raise `JobNotFound` if it was erased meanwhile."""
        return self._add(recovered_record(first))

    def _add(self, record: JobRecord) -> JobRecord:
        """Enter the job unless the job store knows it. Return what it knows. Raise `JobNotFound` if it was erased meanwhile."""
        known = self._store.records.add(record)
        if not self.exists(record.owner, record.id):
            self._store.erasure.erase(record.owner, record.id)
            raise JobNotFound(record.id)
        return known


def _erased_meanwhile() -> BeingErased:
    return BeingErased("the user's data was erased while the request was being accepted: repeat it", retry_after_s=1)
