"""Compare the markers of unfinished jobs with the job store and repair the differences, so that no job is lost.

A job that only the object store knows is entered into the job store. A job that is over gets its missing last steps. A job that was
erased is removed. A job without a marker, which an earlier release accepted, gets one. The cost grows with the number of unfinished
jobs, not with that of all jobs.

One process does this for all. It may die at any point, and a second one at the same time does no harm.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress

from s2edit_jobs.bootstrap import Services
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.records.errors import ArtifactMissing, JobNotFound, ServiceUnavailable
from s2edit_jobs.records.record import JobRecord, JobState
from s2edit_jobs.records.set_aside import set_aside
from s2edit_jobs.stores.artifacts import edit_key
from s2edit_jobs.stores.markers import OUTBOX, PENDING, UNFINISHED, job_of, markers, read_marker

PAGE = 500
"""Jobs that are compared with the job store in one call."""
LEASE_S = 30.0
"""Seconds after which another process takes over the work of one that has died. A page takes less."""


class Unfinished:
    """The unfinished jobs of all owners. Every method may raise `ServiceUnavailable` and is safe to repeat.

    `busy` is called before each page: the caller's lease is renewed there.
    """

    def __init__(self, services: Services, *, busy: Callable[[], None] = lambda: None) -> None:
        self._artifacts = services.artifacts
        self._store = services.store
        self._jobs = Jobs(services)
        self._busy = busy

    def rebuild(self) -> int:
        """Enter every unfinished job and unsent webhook into a job store that has lost them. Return the number of jobs."""
        entered = self.reconcile()
        self.announce_webhooks()
        return entered

    def announce_webhooks(self) -> None:
        """Enter every unsent webhook of a job that is over. One that the job store knows stays as it is."""
        for page in self._pages(markers(self._artifacts, OUTBOX)):
            for marker in page:
                with set_aside("webhook marker", marker), suppress(ArtifactMissing):  # sent meanwhile
                    place = read_marker(self._artifacts, marker)
                    if self._artifacts.exists(edit_key(place.owner, place.id, "outcome.json")):
                        self._store.outbox.announce(marker.removeprefix(OUTBOX), place.owner.tenant)

    def reconcile(self) -> int:
        """Make markers and job store agree. Return the number of jobs that were entered."""
        entered, marked, due = 0, set[str](), set(self._store.recovery.unfinished())
        for page in self._pages(itertools.chain(markers(self._artifacts, UNFINISHED), markers(self._artifacts, PENDING))):
            known = self._store.records.find([job_of(marker) for marker in page])
            for marker in page:
                job_id = job_of(marker)
                with set_aside("unfinished job", marker):
                    if job_id in marked and marker.startswith(PENDING):
                        self._artifacts.delete_prefix(marker)
                    elif job_id not in marked:
                        entered += self._look_at(marker, known.get(job_id), has_place=job_id in due)
                marked.add(job_id)
        for job_ids in self._pages(sorted(due - marked)):
            for record in self._store.records.find(job_ids).values():
                with set_aside("job without a marker", record.id):
                    self._mark(record)
        return entered

    def _look_at(self, marker: str, record: JobRecord | None, *, has_place: bool) -> bool:
        """Do the remaining steps for a marked job. Return whether it was entered into the job store."""
        if record is None or record.state.over:
            return self._enter_or_finish(marker)
        if marker.startswith(PENDING):
            self._mark(record)
            self._artifacts.delete_prefix(marker)
        if not has_place:
            self._store.records.add(record)  # it regains its place in the queue
        if record.cancel_requested and record.state is JobState.QUEUED:  # the cancellation has died half-way
            self._jobs.end_canceled(record)
        return False

    def _enter_or_finish(self, marker: str) -> bool:
        try:
            place = read_marker(self._artifacts, marker)
        except ArtifactMissing:  # finished or erased meanwhile
            return False
        try:
            record = self._jobs.load(place.owner, place.id, marked=True)
            if record.state.over and (outcome := self._jobs.outcome(place.owner, place.id)) is not None:
                self._jobs.finish(place.owner, place.id, outcome)
            return not record.state.over
        except JobNotFound:  # erased
            self._artifacts.delete_prefix(marker)
            return False

    def _mark(self, record: JobRecord) -> None:
        """Write the marker of a job that the job store calls unfinished, if it has none."""
        owner, job_id = record.owner, record.id
        if record.state.over or self._jobs.is_marked(job_id):
            return
        try:
            if (outcome := self._jobs.outcome(owner, job_id)) is not None:
                self._jobs.finish(owner, job_id, outcome)
            else:
                self._jobs.mark(owner, job_id)
        except JobNotFound:  # erased
            self._store.erasure.erase(owner, job_id)

    def _pages(self, items: Iterable[str]) -> Iterator[Sequence[str]]:
        rest = iter(items)
        while page := list(itertools.islice(rest, PAGE)):
            self._busy()
            yield page


def reconcile_if_due(services: Services, *, every_s: float) -> int | None:
    """Reconcile unless another process has done so within `every_s` seconds. Return the number of entered jobs, or None."""
    return run_alone(services, "reconcile", every_s, lambda busy: Unfinished(services, busy=busy).reconcile())


def run_alone(
    services: Services,
    task: str,
    every_s: float,
    work: Callable[[Callable[[], None]], int],
    *,
    lease_s: float = LEASE_S,
    retry_s: float = 0.0,
) -> int | None:
    """Run the task if it is due. It is due again `every_s` seconds after its end, or `retry_s` after an error.

    `work` receives a function that renews the lease. If the process dies, another one begins the work after `lease_s` seconds.
    """
    tasks = services.store.tasks
    if not tasks.take_task(task, every_s=lease_s):
        return None
    wait_s = retry_s
    try:
        done = work(lambda: tasks.hold_task(task, for_s=lease_s))
        wait_s = every_s
    finally:
        with suppress(ServiceUnavailable):
            tasks.hold_task(task, for_s=wait_s)
    return done
