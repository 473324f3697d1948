"""Remove what has expired. The settings say how long each kind of object is kept, also for objects that were stored earlier.

The sweep lists the objects of all users once. Names alone show which objects may have expired, because ids of edits and markers of
use contain times. Only those objects are read. Everything here may run at the same time in several processes, and while workers
run: a worker computes a missing inversion again.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

import structlog

from s2edit_core.request.spec import EditRequest
from s2edit_jobs.access.spent_units import TOKENS, is_over
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.library.concepts import CONCEPT, METADATA, Library, identity_expires_at
from s2edit_jobs.library.erased_concepts import ERASED, sweep_erased_concept
from s2edit_jobs.library.erasure import Erasure
from s2edit_jobs.library.last_use import USED, Uses, drop_inversions, used_name
from s2edit_jobs.library.uploads import sweep_upload
from s2edit_jobs.lifecycle.jobs import CANCELLATION, CHECKPOINTS, Jobs
from s2edit_jobs.lifecycle.learnings import LEARNING, drop_unlearned
from s2edit_jobs.lifecycle.request_markers import REQUESTS, sweep_marker
from s2edit_jobs.records.errors import IdentityNotFound, JobNotFound, RecordDamaged, RecordUnusable
from s2edit_jobs.records.record import JOB_ID, Owner
from s2edit_jobs.records.set_aside import set_aside
from s2edit_jobs.records.unreadable import time_of
from s2edit_jobs.stores.user_folders import UserFolder, user_folders

log = structlog.get_logger(__name__)

RECORDS = ("spec.json", "outcome.json", "webhook.json", CANCELLATION)
"""Names in the folder of an edit that remain when its pictures have expired; so does its report."""
REPORT = "report"
FOLDERS = 100
"""Folders after which the sweep reports that it is busy."""
_INVERSION_ID = re.compile(r"i_[0-9a-f]{32}")
_CONCEPT_ID = re.compile(r"[ac]_[0-9a-f]{32}")


class Retention:
    """The sweep over all users. Every method may raise `ServiceUnavailable`. `busy` is called often, to renew a lease."""

    def __init__(
        self, services: Services, *, clock: Callable[[], float] = time.time, busy: Callable[[], None] = lambda: None
    ) -> None:
        self._services = services
        self._settings = services.settings
        self._artifacts = services.artifacts
        self._jobs = Jobs(services)
        self._erasure = Erasure(services)
        self._library = Library(services)
        self._clock = clock
        self._busy = busy
        self._now = 0.0  # at the beginning of the sweep
        self._user: Owner | None = None
        self._inversions: set[str] = set()  # of the current user's identities

    def sweep(self) -> Mapping[str, int]:
        """Remove what has expired. Return the number of removed objects by kind; an edit or identity counts as one."""
        self._now, self._user = self._clock(), None
        sweeps: Mapping[str, Callable[[UserFolder], Iterator[tuple[str, int]]]] = {
            "concepts": self._sweep_concept,
            "edits": self._sweep_edit,
            ERASED: self._sweep_erased,
            "inversions": self._sweep_inversion,
            REQUESTS: self._sweep_request,
            TOKENS: self._sweep_token,
            "uploads": self._sweep_upload,
        }
        gone: Counter[str] = Counter()
        folders = user_folders(self._artifacts, lambda kind, name: kind in sweeps and self._may_expire(kind, name))
        for number, folder in enumerate(folders):
            if number % FOLDERS == 0:
                self._busy()
            if folder.owner != self._user:
                self._user, self._inversions = folder.owner, set()
            with set_aside(f"expiring {folder.kind}", folder.path):
                for kind, number in sweeps[folder.kind](folder):
                    gone[kind] += number
        return {kind: number for kind, number in gone.items() if number}

    def _may_expire(self, kind: str, name: str) -> bool:
        """Return whether a folder must be looked at. Ids of edits and tokens are sorted by time, so all later ones are younger."""
        if kind == TOKENS:
            return is_over(name, self._now)
        if kind != "edits":
            return True
        ttls = [ttl for ttl in (self._settings.edit_ttl_s, self._settings.result_ttl_s) if ttl is not None]
        return bool(ttls) and (JOB_ID.fullmatch(name) is None or self._past(time_of(name), min(ttls)))

    def _past(self, since: float, ttl_s: float | None) -> bool:
        return ttl_s is not None and since + ttl_s <= self._now

    def _sweep_request(self, folder: UserFolder) -> Iterator[tuple[str, int]]:
        before = self._now - self._settings.idempotency_ttl_s
        yield REQUESTS, sweep_marker(self._artifacts, folder.path, before=before)

    def _sweep_token(self, folder: UserFolder) -> Iterator[tuple[str, int]]:
        yield TOKENS, self._artifacts.delete_prefix(f"{folder.path}/")

    def _sweep_erased(self, folder: UserFolder) -> Iterator[tuple[str, int]]:
        if not _CONCEPT_ID.fullmatch(folder.id) or folder.names != ("",):
            return
        before = self._now - self._settings.idempotency_ttl_s
        yield ERASED, sweep_erased_concept(self._artifacts, folder.path, before=before)

    def _sweep_upload(self, folder: UserFolder) -> Iterator[tuple[str, int]]:
        yield "uploads", sweep_upload(self._artifacts, folder, ttl_s=self._settings.upload_ttl_s, now=self._now)

    def _sweep_edit(self, folder: UserFolder) -> Iterator[tuple[str, int]]:
        """Erase an edit that has expired, or only its pictures."""
        pictures = [name for name in folder.names if name not in RECORDS and not name.startswith(REPORT)]
        if JOB_ID.fullmatch(folder.id) is None or "outcome.json" not in folder.names:  # not ours, or not over
            return
        if not pictures and not self._past(time_of(folder.id), self._settings.edit_ttl_s):
            return
        outcome = self._jobs.outcome(folder.owner, folder.id)
        if outcome is None:  # erased meanwhile
            return
        if self._past(outcome.finished_at, self._settings.edit_ttl_s):
            try:
                self._erasure.edit(folder.owner, folder.id, outcome="expired")
            except JobNotFound:  # erased meanwhile
                return
            yield "edits", 1
        elif pictures and self._past(outcome.finished_at, self._settings.result_ttl_s):
            # One by one: unlike `delete`, `delete_prefix` also deletes the versions that a bucket keeps.
            yield "pictures", sum(self._artifacts.delete_prefix(folder.key(name)) for name in pictures)
            self._services.audit.record("edit.erase", folder.owner, folder.id, "pictures_expired")

    def _sweep_concept(self, folder: UserFolder) -> Iterator[tuple[str, int]]:
        """Remove what has expired of a concept or was never completed, or erase an identity that is old or unused."""
        if not _CONCEPT_ID.fullmatch(folder.id):
            return
        uses, idle_ttl_s = Uses.of(folder.names), self._settings.identity_idle_ttl_s
        self._inversions |= uses.inversions
        if all(name.startswith(USED) for name in folder.names):  # nothing is left that it was the time of use of
            yield "markers", self._drop(folder)
            return
        if METADATA["c_"] in folder.names and self._is_old(folder):
            yield "identities", self._erase(folder)
            return
        if idle_ttl_s is not None and METADATA["c_"] in folder.names and self._past(self._used_at(folder, uses), idle_ttl_s):
            yield "identities", self._erase_unused(folder)
            return
        if uses.outdated:
            self._artifacts.delete(folder.key(name) for name in uses.outdated)
        chosen = {*uses.unused_since(self._now - self._settings.inversion_ttl_s)}
        uses.inversions -= chosen
        chosen |= {*uses.beyond(self._settings.max_inversions_per_identity)}
        yield "inversions", drop_inversions(self._artifacts, folder.owner, folder.id, sorted(chosen))
        for inversion_id in {*uses.without_time()} - chosen:
            self._date(folder, inversion_id)
        if CONCEPT not in folder.names:
            yield from self._sweep_unlearned(folder, uses)
        elif any(name.startswith(LEARNING) for name in folder.names):  # a worker died just after it had stored the concept
            yield "checkpoints", self._artifacts.delete_prefix(folder.key(CHECKPOINTS))
            self._artifacts.delete_prefix(folder.key(LEARNING))

    def _is_old(self, folder: UserFolder) -> bool:
        """Return whether an identity has outlived `identity_ttl_s`, which may have been set after it was learned."""
        if self._settings.identity_ttl_s is None:
            return False
        try:
            expires_at = identity_expires_at(self._settings, self._library.identity(folder.owner, folder.id))
        except (IdentityNotFound, RecordUnusable):  # erased meanwhile, or nobody knows how old it is
            return False
        return expires_at is not None and expires_at <= self._now

    def _used_at(self, folder: UserFolder, uses: Uses) -> float:
        """Return when a concept was last used. If nothing says so, as after an earlier release, it counts as used now."""
        if None not in uses.last:
            self._date(folder, None)
        return uses.last.get(None, self._now)

    def _date(self, folder: UserFolder, inversion_id: str | None) -> None:
        """Write a marker of use with the current time, unless the folder was erased meanwhile."""
        key = folder.key(used_name(inversion_id, self._now))
        self._artifacts.put(key, b"", media_type="text/plain")
        if not self._artifacts.exists(folder.key(folder.names[0])):
            self._artifacts.delete_prefix(key)

    def _erase_unused(self, folder: UserFolder) -> int:
        """Erase an identity unless an edit has used it since the listing, or will use it. Return how many were erased.

        An edit records its use before it is over, so the unfinished edits come first: none is missed between the two looks.
        """
        if self._is_awaited(folder):
            return 0
        prefix = f"{folder.path}/"
        names = [key.removeprefix(prefix) for key in self._artifacts.list(prefix)]
        if not self._past(Uses.of(names).last.get(None, self._now), self._settings.identity_idle_ttl_s):
            return 0
        return self._erase(folder)

    def _is_awaited(self, folder: UserFolder) -> bool:
        """Return whether an unfinished edit names the identity. Raise `RecordNewer` if only a newer release can read that."""
        for job_id in self._jobs.unfinished(folder.owner):
            with suppress(JobNotFound, RecordDamaged):  # erased meanwhile, or about to fail
                request = self._jobs.spec(folder.owner, job_id).request
                if isinstance(request, EditRequest) and request.identity == folder.id:
                    return True
        return False

    def _erase(self, folder: UserFolder) -> int:
        """Erase an identity. Return how many were erased."""
        try:
            self._erasure.identity(folder.owner, folder.id, outcome="expired")
        except IdentityNotFound:  # erased meanwhile
            return 0
        return 1

    def _sweep_unlearned(self, folder: UserFolder, uses: Uses) -> Iterator[tuple[str, int]]:
        """Remove what a learning that was never completed has left: at once if its job is erased. A later learning begins anew.

        Metadata without the marker of a learning belongs to an identity or attribute whose concept was lost. It stays.
        """
        started = (name.removeprefix(LEARNING) for name in folder.names if name.startswith(LEARNING))
        learners = [job_id for job_id in started if JOB_ID.fullmatch(job_id)]
        is_erased = bool(learners) and not any(self._jobs.exists(folder.owner, each) for each in learners)
        if not is_erased and not self._past(self._used_at(folder, uses), self._settings.checkpoint_ttl_s):
            return
        if learners:
            yield "unlearned", drop_unlearned(self._artifacts, folder.key(CONCEPT), learners[0])
        elif METADATA[folder.id[:2]] in folder.names:
            yield "checkpoints", self._artifacts.delete_prefix(folder.key(CHECKPOINTS))
        else:
            yield "unlearned", self._drop(folder)

    def _drop(self, folder: UserFolder) -> int:
        """Delete the folder's objects and return their number, unless it has others than when it was listed, some minutes ago.

        Then a job has begun to learn there anew, from the checkpoints, or has finished.
        """
        keys = [*self._artifacts.list(f"{folder.path}/")]
        if keys != [folder.key(name) for name in folder.names]:
            return 0
        self._artifacts.delete(keys)
        return len(keys)

    def _sweep_inversion(self, folder: UserFolder) -> Iterator[tuple[str, int]]:
        """Remove an inversion that belongs to no identity. The identities are known by then, because `concepts` sorts first."""
        if _INVERSION_ID.fullmatch(folder.id) and folder.id not in self._inversions:
            yield "inversions", self._artifacts.delete_prefix(f"{folder.path}/")
