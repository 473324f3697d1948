"""Erase one edit, identity or attribute, or everything of a user, without stopping the workers.

Code that writes for a job checks afterwards whether the job's spec still exists, and deletes its write if not (`Jobs.put_for`). An
erasure deletes the spec first. So it finds every earlier write itself, and later writes are deleted by their writers.

A worker may die between its write and its check. Therefore a user is swept twice, the second time after all leases of the first
sweep have expired. Between the sweeps, a marker in `erasing/` makes the API reject the user's requests. If the erasing process
dies, the reaper finds the marker and completes the erasure (`library.erasure_markers`).

Idempotency-Keys are remembered as erased (`lifecycle.request_markers`) before anything is deleted. So a request that is repeated
meanwhile or later does not bring back what was erased.

A Redis that is restored from an old snapshot brings nothing back: `lifecycle.unfinished` removes jobs without a spec.

On a full disk, an erasure deletes pictures before it writes its markers. If the store permits no deletion, or not of object
versions, the request is answered 500 `deletion_refused`, without a receipt. The marker in `erasing/` stays, so the user's requests
are answered 409 `being_erased`, and the reaper repeats the erasure until it succeeds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

import structlog

from s2edit_jobs.access.revoked_tokens import end_tokens
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.library.concepts import ATTRIBUTE_ID, CONCEPT, IDENTITY_ID, METADATA, Library
from s2edit_jobs.library.erased_concepts import remember_erased
from s2edit_jobs.library.erasure_markers import ErasureMarkers
from s2edit_jobs.library.last_use import INVERSIONS, Uses
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.lifecycle.request_markers import REQUESTS, RequestMarkers
from s2edit_jobs.records.errors import (
    ArtifactMissing,
    ArtifactsUnavailable,
    AttributeNotFound,
    BeingErased,
    IdentityNotFound,
    JobNotFound,
    RecordUnusable,
)
from s2edit_jobs.records.record import Owner
from s2edit_jobs.records.set_aside import set_aside
from s2edit_jobs.records.unreadable import time_of
from s2edit_jobs.stores.artifacts import concept_key, edit_key, inversion_key, tag_of
from s2edit_jobs.stores.markers import (
    ERASE_S,
    ERASING,
    EXPIRING,
    OUTBOX,
    PENDING,
    UNFINISHED,
    Place,
    erasing_key,
    expiring_key,
    job_of,
    markers,
    owner_mark,
    read_marker,
)

log = structlog.get_logger(__name__)

MAX_WAIT_S = 30.0
"""Longest wait between the two sweeps, even for longer leases: a live worker notices within a second that its job was erased."""
FORGOTTEN_S = 86_400.0
"""Seconds after its time at which the marker of a key is certainly swept. A sweep comes every few hours."""


@dataclass(frozen=True, slots=True)
class Erased:
    """The result of erasing a user."""

    owner: Owner
    marker: str  # in `erasing/`
    began_at: float  # seconds since the epoch
    ended_at: float
    objects: int
    edits: int
    identities: int
    attributes: int
    disk_rewritten: bool  # whether Redis rewrote its files at once; if not permitted, it does so on its own schedule


class Erasure:
    """Erases data in both stores. Every method may raise `ServiceUnavailable` and is safe to repeat."""

    def __init__(self, services: Services, *, clock: Callable[[], float] = time.time) -> None:
        self._services = services
        self._artifacts = services.artifacts
        self._jobs = Jobs(services)
        self._library = Library(services)
        self._markers = ErasureMarkers(services)
        self._clock = clock

    def edit(self, owner: Owner, edit_id: str, *, outcome: str = "erased") -> int:
        """Erase one job, but keep what it has learned. Return the number of objects. Raise `JobNotFound`.

        The job's Idempotency-Key is remembered as erased first, so an interrupted call can be repeated.
        """
        if not self._jobs.exists(owner, edit_id):
            raise JobNotFound(edit_id)
        objects = self._remember_key_of(owner, edit_id) + self._jobs.drop(owner, edit_id)
        self._services.audit.record("edit.erase", owner, edit_id, outcome)
        return objects

    def _remember_key_of(self, owner: Owner, edit_id: str) -> int:
        """Remember the key of a job that will be erased. Return the number of objects that had to be deleted for that."""
        try:
            name = self._jobs.spec(owner, edit_id).key_marker
        except RecordUnusable:
            name = None
        if name is None and time_of(edit_id) + self._services.settings.idempotency_ttl_s + FORGOTTEN_S < self._clock():
            return 0  # its key is forgotten, so do not look for a marker among all of the user
        markers_of_owner = RequestMarkers(self._artifacts, owner)
        try:
            markers_of_owner.erase(edit_id, name, now=self._clock())
            return 0
        except ArtifactsUnavailable:  # the disk may be full: deleting needs no space, and makes some for the marker
            pictures = [key for key in self._artifacts.list(edit_key(owner, edit_id, "")) if tag_of(key) == "picture"]
            deleted = sum(self._artifacts.delete_prefix(key) for key in pictures)
            markers_of_owner.erase(edit_id, name, now=self._clock())
            return deleted

    def identity(self, owner: Owner, identity_id: str, *, outcome: str = "erased") -> int:
        """Erase an identity, its photo and its inversions. Return the number of objects. Raise `IdentityNotFound`.

        Finished edits that used it stay; unfinished ones that would use it fail, unless it has only expired. The concept file is
        deleted last, so an interrupted call can be repeated.
        """
        concept = concept_key(owner, identity_id, CONCEPT)
        expiring = self._expiring_markers(owner, identity_id, concept)
        remembered = outcome != "erased" or self._remembers_concept(owner, identity_id)
        for marker in expiring:
            self._artifacts.delete_prefix(marker)
        # Delete the metadata first. A worker that stores an inversion now either notices that, or its marker is found below.
        objects = self._artifacts.delete_prefix(concept_key(owner, identity_id, METADATA["c_"]))
        folder = concept_key(owner, identity_id, "")
        inversions = Uses.of(key.removeprefix(folder) for key in self._artifacts.list(folder + INVERSIONS)).inversions
        objects += sum(self._artifacts.delete_prefix(inversion_key(owner, each, "")) for each in sorted(inversions))
        rest = [key for key in self._artifacts.list(concept_key(owner, identity_id, "")) if key != concept]
        self._artifacts.delete(rest)
        if not remembered:
            self._remember_concept(owner, identity_id)
        objects += len(rest) + self._artifacts.delete_prefix(concept_key(owner, identity_id, ""))
        self._artifacts.delete_prefix(concept_key(owner, identity_id, METADATA["c_"]))  # a renaming may just have written it again
        self._services.audit.record("identity.erase", owner, identity_id, outcome)
        return objects

    def _remembers_concept(self, owner: Owner, concept_id: str) -> bool:
        """Remember that a concept is erased. Return False if that is not possible yet: the disk may be full."""
        try:
            self._remember_concept(owner, concept_id)
        except ArtifactsUnavailable:
            return False
        return True

    def _remember_concept(self, owner: Owner, concept_id: str) -> None:
        remember_erased(self._artifacts, owner, concept_id, jobs=self._jobs.unfinished(owner), now=self._clock())

    def _expiring_markers(self, owner: Owner, identity_id: str, concept: str) -> list[str]:
        """Return the markers of the identity's expiry. Raise `IdentityNotFound`."""
        try:
            expires_at = self._library.identity(owner, identity_id).expires_at
        except IdentityNotFound:
            if not IDENTITY_ID.fullmatch(identity_id) or not self._artifacts.exists(concept):
                raise
            return []
        except RecordUnusable:  # erase what nobody can read, too
            mine = f"-{owner_mark(owner)}-{identity_id}"
            return [marker for marker in self._artifacts.list(EXPIRING) if marker.endswith(mine)]
        return [] if expires_at is None else [expiring_key(owner, identity_id, expires_at)]

    def attribute(self, owner: Owner, attribute_id: str) -> int:
        """Erase an attribute. Return the number of objects. Raise `AttributeNotFound`.

        The job that learned it keeps its photo. Finished edits that used it stay; unfinished jobs that name or would learn it fail.
        """
        try:
            self._library.attribute(owner, attribute_id)
        except AttributeNotFound:
            if not ATTRIBUTE_ID.fullmatch(attribute_id) or not self._artifacts.exists(concept_key(owner, attribute_id, CONCEPT)):
                raise
        except RecordUnusable:  # erase what nobody can read, too
            pass
        remembered = self._remembers_concept(owner, attribute_id)
        # Delete the metadata first, so that a worker that is storing the concept now notices.
        objects = self._artifacts.delete_prefix(concept_key(owner, attribute_id, METADATA["a_"]))
        if not remembered:
            self._remember_concept(owner, attribute_id)
        objects += self._artifacts.delete_prefix(concept_key(owner, attribute_id, ""))
        self._artifacts.delete_prefix(concept_key(owner, attribute_id, METADATA["a_"]))  # a name may just have been added
        self._services.audit.record("attribute.erase", owner, attribute_id, "erased")
        return objects

    def erase_expired(self) -> int:
        """Erase the identities that have expired. Return their number."""
        done = 0
        for marker in markers(self._artifacts, EXPIRING):
            with set_aside("expiring identity", marker):
                if int(marker.removeprefix(EXPIRING).partition("-")[0]) > self._clock():
                    break  # the markers are sorted by time
                done += self._erase_expired(marker)
        return done

    def _erase_expired(self, marker: str) -> bool:
        """Erase the identity of an expired marker. Return False if it was erased meanwhile, or the marker is not its own."""
        erased = False
        with suppress(ArtifactMissing, IdentityNotFound):
            place = read_marker(self._artifacts, marker)
            if self._is_outdated(marker, place):
                raise IdentityNotFound(place.id)
            self.identity(place.owner, place.id, outcome="expired")
            log.info("an expired identity was erased", action="identity_expired", identity=place.id)
            erased = True
        self._artifacts.delete_prefix(marker)
        return erased

    def _is_outdated(self, marker: str, place: Place) -> bool:
        """Return whether an identity has another expiry than its marker: a learning that was never completed wrote that one."""
        try:
            expires_at = self._library.identity(place.owner, place.id).expires_at
        except (IdentityNotFound, RecordUnusable):  # erase what is left, and what nobody can read
            return False
        return expires_at is None or expiring_key(place.owner, place.id, expires_at) != marker

    def begin(self, owner: Owner) -> tuple[Erased, float]:
        """Run the first sweep. Return its counts and the seconds to wait before `complete`."""
        began_at, running = self._clock(), 0
        wait_s = min(self._services.settings.lease_s, MAX_WAIT_S)
        erased = Erased(owner, erasing_key(owner), began_at, began_at, 0, 0, 0, 0, disk_rewritten=False)
        with self._markers.beginning(erased.marker, wait_s=wait_s):
            try:
                self._mark(erased)
            except ArtifactsUnavailable:  # the disk may be full: deleting needs no space, and makes some for the markers
                erased, running = self._sweep(erased)
                self._mark(erased)
            others = self._markers.others(owner, erased.marker)  # whose sweeps may have removed jobs that still run
            erased, still_running = self._sweep(erased)
        return erased, wait_s if running + still_running + len(others) else 0.0

    def _mark(self, erased: Erased) -> None:
        """Stop the user's requests, then end the user's device tokens: the sweep refills their budgets."""
        self._markers.write(erased.owner, erased.marker, began_at=erased.began_at)
        end_tokens(self._artifacts, erased.owner, now=self._clock())

    def complete(self, erased: Erased) -> Erased:
        """Run the second sweep and remove the marker. From then on, the API accepts requests of the user again.

        While another erasure of the user is under way, it does not. If the process was taken for dead, another one has completed
        the erasure. Then nothing is swept, because the user may have started anew. Raise `BeingErased` if that one is still at it.
        """
        if not self._markers.take(erased.marker) and self._markers.exists(erased.marker):
            raise BeingErased("another process completes the erasure of this user: repeat it", retry_after_s=ERASE_S)
        return self._complete(erased)

    def _complete(self, erased: Erased) -> Erased:
        with self._markers.completing(erased.marker):
            if self._markers.exists(erased.marker):
                self._markers.take_over_others(erased.owner, erased.marker)
                erased, _ = self._sweep(erased)
            disk_rewritten = self._services.store.erasure.compact()
            self._markers.remove(erased.marker)
        self._services.audit.record("user.erase", erased.owner, None, "erased")
        log.info("everything of a user was erased", action="user_erased", objects=erased.objects, disk_rewritten=disk_rewritten)
        return replace(erased, ended_at=self._clock(), disk_rewritten=disk_rewritten)

    def resume(self) -> int:
        """Complete the erasures whose processes have died. Return their number."""
        done = 0
        for marker in list(markers(self._artifacts, ERASING)):
            with set_aside("erasure", marker), suppress(ArtifactMissing):  # completed meanwhile
                owner, began_at = self._markers.read(marker)
                if self._markers.take_over(marker):
                    end_tokens(self._artifacts, owner, now=self._clock())  # the process may have died before it did so
                    self._complete(Erased(owner, marker, began_at, 0.0, 0, 0, 0, 0, disk_rewritten=False))
                    done += 1
        return done

    def _sweep(self, erased: Erased) -> tuple[Erased, int]:
        """Delete everything of the user. Return the counts added to those in `erased`, and the number of running jobs."""
        owner = erased.owner
        keys = list(self._artifacts.list(owner.prefix))
        specs = [key for key in keys if key.endswith("/spec.json")]
        remembered = True
        try:
            self._remember_keys(owner)
        except ArtifactsUnavailable:
            remembered = False
        self._artifacts.delete(specs)
        running = self._services.store.erasure.erase_owner(owner)
        job_ids = {key.split("/")[5] for key in keys if key.startswith(f"{owner.prefix}edits/")}
        for folder in (OUTBOX, UNFINISHED, PENDING):
            for marker in list(markers(self._artifacts, folder)):
                if job_of(marker) in job_ids:
                    self._artifacts.delete_prefix(marker)
        expiring = f"-{owner_mark(owner)}-"
        for marker in [marker for marker in markers(self._artifacts, EXPIRING) if expiring in marker]:
            self._artifacts.delete_prefix(marker)
        if not remembered:  # the disk may be full: deleting needs no space, and has made some
            for name in [name for name in self._artifacts.folders(owner.prefix) if name != REQUESTS]:
                self._artifacts.delete_prefix(f"{owner.prefix}{name}/")
            self._remember_keys(owner)
        self._artifacts.delete_prefix(owner.prefix)
        identities, attributes = (sum(key.endswith(f"/{METADATA[kind]}") for key in keys) for kind in ("c_", "a_"))
        counted = replace(
            erased,
            objects=erased.objects + len(keys),
            edits=erased.edits + len(specs),
            identities=erased.identities + identities,
            attributes=erased.attributes + attributes,
        )
        return counted, running

    def _remember_keys(self, owner: Owner) -> None:
        """Remember the Idempotency-Keys of a user as erased."""
        RequestMarkers(self._artifacts, owner).erase_all(now=self._clock(), ttl_s=self._services.settings.idempotency_ttl_s)
