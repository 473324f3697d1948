"""Walk the whole object store and write what it lacks; and `rebuild_if_lost`, which fills a Redis that has lost its jobs.

A survey writes missing markers of unfinished jobs and missing index entries of finished ones. It runs after an upgrade from a
release that wrote neither, and a few times a day, because processes of such a release may still run. It also removes the remains of
requests that were never accepted, and of erasures whose process died. Its cost grows with the number of all jobs, so nothing waits
for it. A rebuild needs no survey: `unfinished` reads the markers of unfinished jobs alone.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from s2edit_jobs.bootstrap import Services
from s2edit_jobs.lifecycle.history import ALL, entry_of
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.lifecycle.unfinished import LEASE_S, Unfinished, run_alone
from s2edit_jobs.records.errors import ArtifactMissing, JobNotFound
from s2edit_jobs.records.record import JOB_ID, Owner
from s2edit_jobs.records.set_aside import set_aside
from s2edit_jobs.records.unreadable import time_of
from s2edit_jobs.stores.artifacts import JSON, edit_key
from s2edit_jobs.stores.markers import OUTBOX, PENDING, UNFINISHED, job_of, markers, read_marker
from s2edit_jobs.stores.object_store.layout import CURRENT, LAYOUT

log = structlog.get_logger(__name__)

ABANDONED_S = 24 * 3600.0
"""Age in seconds from which objects of a job that was never accepted are removed. No request takes that long."""
KEYS = 1000
"""Keys between two calls of `busy`."""


@dataclass(slots=True)
class _Found:
    """The jobs of one owner, by which of their objects exist."""

    jobs: set[str] = field(default_factory=set)
    specs: set[str] = field(default_factory=set)
    over: set[str] = field(default_factory=set)
    indexed: set[str] = field(default_factory=set)

    def add(self, parts: list[str], key: str) -> None:
        """Note a key that was split into the owner's folder, the name of a folder in it, and the rest."""
        if parts[4] == "edits" and len(parts) == 7 and JOB_ID.fullmatch(parts[5]):
            self.jobs.add(parts[5])
            if parts[6] == "spec.json":
                self.specs.add(parts[5])
            elif parts[6] == "outcome.json":
                self.over.add(parts[5])
        elif parts[4] == "index" and parts[5] == ALL and (entry := entry_of(key)) is not None:
            self.indexed.add(entry.id)


class Survey:
    """One walk. Every method may raise `ServiceUnavailable` and is safe to repeat. `busy` is called often, to renew a lease."""

    def __init__(self, services: Services, *, busy: Callable[[], None] = lambda: None) -> None:
        self._services = services
        self._artifacts = services.artifacts
        self._jobs = Jobs(services)
        self._busy = busy
        self._marked: set[str] = set()

    def mark_unfinished(self) -> None:
        """Write the missing markers of unfinished jobs, and nothing else. So a rebuild need not wait for the whole survey."""
        for owner, found in self._owners():
            self._mark(owner, found.specs - found.over)

    def complete(self) -> int:
        """Write missing markers and entries, remove remains, and mark the layout as current. Return the number of new entries."""
        written = 0
        for owner, found in self._owners():
            self._mark(owner, found.specs - found.over - found.indexed)
            written += self._index(owner, (found.specs & found.over) - found.indexed)
            self._remove_entries(owner, found.indexed - found.specs)
            self._remove_remains(owner, found.jobs - found.specs)
        self._remove_outbox()
        self._artifacts.put(LAYOUT, json.dumps({"version": CURRENT}).encode(), media_type=JSON)
        return written

    def _owners(self) -> Iterator[tuple[Owner, _Found]]:
        self._marked = {job_of(marker) for folder in (UNFINISHED, PENDING) for marker in markers(self._artifacts, folder)}
        split = (key.split("/", 6) for key in self._each(self._artifacts.list("t/")))
        of_users = (parts for parts in split if len(parts) > 5 and parts[2] == "u")
        for (tenant, user), keys in itertools.groupby(of_users, key=lambda parts: (parts[1], parts[3])):
            found = _Found()
            for parts in keys:
                found.add(parts, "/".join(parts))
            yield Owner(tenant, user), found

    def _mark(self, owner: Owner, job_ids: Iterable[str]) -> None:
        for job_id in self._each(sorted(set(job_ids) - self._marked)):
            with set_aside("unmarked job", edit_key(owner, job_id, "")), suppress(JobNotFound):
                by_marker = self._jobs.accepted(owner, job_id).by_marker
                if not by_marker or job_id in self._services.store.records.find([job_id]):
                    self._jobs.mark(owner, job_id)
                elif _is_abandoned(job_id) and not self._jobs.is_marked(job_id):
                    self._drop(owner, job_id)

    def _index(self, owner: Owner, job_ids: Iterable[str]) -> int:
        written = 0
        for job_id in self._each(sorted(job_ids)):
            with set_aside("job without an entry", edit_key(owner, job_id, "")):
                self._jobs.enter_into_history(owner, job_id)
                written += 1
        return written

    def _remove_entries(self, owner: Owner, job_ids: Iterable[str]) -> None:
        """Remove the entries of erased jobs. A job may have been accepted and finished since the walk has passed its folder."""
        for job_id in self._each(sorted(job_ids)):
            if not self._jobs.exists(owner, job_id):
                self._jobs.history.remove(self._jobs.history.possible_places(owner, job_id))

    def _remove_remains(self, owner: Owner, job_ids: Iterable[str]) -> None:
        """Remove what remains of requests and erasures whose process died."""
        for job_id in self._each(sorted(job_ids)):
            if _is_abandoned(job_id) and not self._jobs.exists(owner, job_id):
                self._drop(owner, job_id)

    def _remove_outbox(self) -> None:
        """Remove the webhook markers of jobs that do not exist. Such a marker may be all that is left of a job."""
        for marker in self._each(markers(self._artifacts, OUTBOX)):
            if _is_abandoned(job_of(marker)):
                with set_aside("webhook marker", marker), suppress(ArtifactMissing):  # sent meanwhile
                    place = read_marker(self._artifacts, marker)
                    if not self._jobs.exists(place.owner, place.id):
                        self._artifacts.delete_prefix(marker)

    def _drop(self, owner: Owner, job_id: str) -> None:
        log.info("removing what is left of a job that was never accepted, or was erased", action="remains_removed", job_id=job_id)
        self._jobs.drop(owner, job_id)

    def _each(self, items: Iterable[str]) -> Iterator[str]:
        for number, item in enumerate(items):
            if number % KEYS == 0:
                self._busy()
            yield item


def rebuild(services: Services, *, busy: Callable[[], None] = lambda: None) -> int:
    """Enter every unfinished job and unsent webhook into a job store that has lost them. Return the number of jobs."""
    if not services.layout.is_current(services.artifacts):
        Survey(services, busy=busy).mark_unfinished()
    return Unfinished(services, busy=busy).rebuild()


def rebuild_if_lost(services: Services) -> int | None:
    """Rebuild the job store if it has lost its jobs, in one process. Return the number of entered jobs, or None."""
    recovery = services.store.recovery
    if (generation := recovery.lost()) is None:
        return None

    def work(busy: Callable[[], None]) -> int:
        for record in recovery.settle(generation):  # what it still has is then compared with the object store
            busy()
            with set_aside("cancellation", record.id):
                Jobs(services).recall_cancellation(record)
        entered = rebuild(services, busy=busy)
        recovery.restored(generation)
        return entered

    return run_alone(services, f"rebuild:{generation}", 0.0, work)


def survey_if_outdated(services: Services) -> int | None:
    """Complete the layout of a store of an earlier release, in one process. Return the number of entries written, or None."""
    if services.layout.is_current(services.artifacts):
        return None
    return run_alone(services, "survey", LEASE_S, lambda busy: Survey(services, busy=busy).complete())


def _is_abandoned(job_id: str) -> bool:
    return time.time() - time_of(job_id) > ABANDONED_S
