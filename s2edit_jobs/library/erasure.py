"""Erasing, so that no copy is left: one edit, identity or attribute, or everything of a user, also while a worker is at it.

Nobody has to be stopped for it. Whoever writes for a job looks afterwards whether the job's spec is still there, and takes the
write back if not (`Jobs.put_for`); so the spec goes first, and what was written before is found by the sweep. What remains is a
worker that dies between the two: for it a user is swept twice, the second time when every lease of then has run out. In between a
note in `erasing/` keeps new requests of the user away; the reaper goes on at such a note where an erasing process has died.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

import structlog

from s2edit_jobs.bootstrap import Services
from s2edit_jobs.jobs.jobs import Jobs
from s2edit_jobs.library.library import CARDS, CONCEPT, IDENTITY_ID, INVERSIONS, Library
from s2edit_jobs.records.errors import ArtifactMissing, IdentityNotFound
from s2edit_jobs.records.record import Owner
from s2edit_jobs.stores.artifacts import JSON, concept_key, inversion_key
from s2edit_jobs.stores.markers import ERASING, EXPIRING, OUTBOX, PENDING, erasing_key, expiring_key, owner_mark

log = structlog.get_logger(__name__)

MAX_WAIT_S = 30.0
"""The longest wait between the two sweeps, however long leases are: a worker that lives sees within a second that it is to stop."""
LEFT_S = 20.0
"""How long after its wait an erasure may take before the reaper takes it for one whose process has died."""


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure has removed."""

    owner: Owner
    began_at: float  # seconds since the epoch
    ended_at: float
    objects: int
    edits: int
    identities: int
    attributes: int
    disk_rewritten: bool  # whether Redis was allowed to write its files anew; else its own schedule does it


class Erasure:
    """Every call may raise `ServiceUnavailable`, and is safe to repeat."""

    def __init__(self, services: Services, *, clock: Callable[[], float] = time.time) -> None:
        self._services = services
        self._artifacts = services.artifacts
        self._jobs = Jobs(services)
        self._library = Library(services)
        self._clock = clock

    def edit(self, owner: Owner, edit_id: str) -> int:
        """Everything of one job but what it has learned; how many objects. Raises `JobNotFound`."""
        self._jobs.spec(owner, edit_id)
        objects = self._jobs.drop(owner, edit_id)
        self._services.audit.record("edit.erase", owner, edit_id, "erased")
        return objects

    def identity(self, owner: Owner, identity_id: str, *, outcome: str = "erased") -> int:
        """An identity, its photo, and every inversion made with it; how many objects. Raises `IdentityNotFound`.

        Edits that it was used for stay. An unfinished edit that names it fails. May be repeated if it was cut short: what was
        learned goes last.
        """
        concept = concept_key(owner, identity_id, CONCEPT)
        try:
            expires_at = self._library.identity(owner, identity_id).expires_at
        except IdentityNotFound:
            if not IDENTITY_ID.fullmatch(identity_id) or not self._artifacts.exists(concept):
                raise
            expires_at = None
        if expires_at is not None:
            self._artifacts.delete_prefix(expiring_key(owner, identity_id, expires_at))
        # First of all: a worker that inverts with it at this moment sees that it is gone, or is seen below.
        objects = self._artifacts.delete_prefix(concept_key(owner, identity_id, CARDS["c_"]))
        notes = concept_key(owner, identity_id, INVERSIONS)
        for note in list(self._artifacts.list(notes)):
            objects += self._artifacts.delete_prefix(inversion_key(owner, note.removeprefix(notes), ""))
        rest = [key for key in self._artifacts.list(concept_key(owner, identity_id, "")) if key != concept]
        self._artifacts.delete(rest)
        objects += len(rest) + self._artifacts.delete_prefix(concept)
        self._services.audit.record("identity.erase", owner, identity_id, outcome)
        return objects

    def attribute(self, owner: Owner, attribute_id: str) -> int:
        """What was learned; how many objects. Raises `AttributeNotFound`.

        The job that learned it keeps its photo. Edits that it was used for stay, an unfinished edit that names it fails.
        """
        self._library.attribute(owner, attribute_id)
        # First of all: a worker that learns it at this moment sees that it is gone.
        objects = self._artifacts.delete_prefix(concept_key(owner, attribute_id, CARDS["a_"]))
        objects += self._artifacts.delete_prefix(concept_key(owner, attribute_id, ""))
        self._services.audit.record("attribute.erase", owner, attribute_id, "erased")
        return objects

    def expired(self) -> int:
        """Erase the identities whose time has come; how many there were."""
        done = 0
        for note in self._artifacts.list(EXPIRING):
            if int(note.removeprefix(EXPIRING).partition("-")[0]) > self._clock():
                break  # they are in the order of their times
            with suppress(ArtifactMissing, IdentityNotFound):  # erased meanwhile
                _, tenant, _, user, _, identity_id, _ = self._artifacts.get(note).decode().split("/")
                self.identity(Owner(tenant, user), identity_id, outcome="expired")
                log.info("an identity has expired", action="identity_expired", identity=identity_id)
                done += 1
            self._artifacts.delete_prefix(note)
        return done

    def begin(self, owner: Owner) -> tuple[Erased, float]:
        """The first sweep, after which nothing of the user can be read; and how many seconds later `complete` is due."""
        began_at = self._clock()
        wait_s = min(self._services.settings.lease_s, MAX_WAIT_S)
        note = {"tenant": owner.tenant, "user": owner.user, "began_at": began_at, "wait_s": wait_s}
        self._artifacts.put(erasing_key(owner), json.dumps(note).encode(), media_type=JSON)
        erased, running = self._sweep(Erased(owner, began_at, began_at, 0, 0, 0, 0, disk_rewritten=False))
        return erased, wait_s if running else 0.0

    def complete(self, erased: Erased) -> Erased:
        """The second sweep; from now on the user may come back as new."""
        erased, _ = self._sweep(erased)
        disk_rewritten = self._services.store.maintenance.compact()
        self._artifacts.delete_prefix(erasing_key(erased.owner))
        self._services.audit.record("user.erase", erased.owner, None, "erased")
        log.info("everything of a user was erased", action="user_erased", objects=erased.objects, disk_rewritten=disk_rewritten)
        return replace(erased, ended_at=self._clock(), disk_rewritten=disk_rewritten)

    def go_on(self) -> int:
        """Complete what processes that died have begun; how many there were."""
        done = 0
        for key in list(self._artifacts.list(ERASING)):
            with suppress(ArtifactMissing):  # completed meanwhile
                note = json.loads(self._artifacts.get(key))
                if note["began_at"] + note["wait_s"] + LEFT_S > self._clock():
                    continue
                owner = Owner(note["tenant"], note["user"])
                self.complete(Erased(owner, note["began_at"], 0.0, 0, 0, 0, 0, disk_rewritten=False))
                done += 1
        return done

    def _sweep(self, erased: Erased) -> tuple[Erased, int]:
        """Counted together with what was `erased` before; and how many jobs a worker was at."""
        owner = erased.owner
        keys = list(self._artifacts.list(owner.prefix))
        specs = [key for key in keys if key.endswith("/spec.json")]
        self._artifacts.delete(specs)
        running = self._services.store.maintenance.erase_owner(owner)
        job_ids = {key.split("/")[5] for key in keys if key.startswith(f"{owner.prefix}edits/")}
        for folder in (OUTBOX, PENDING):
            for note in list(self._artifacts.list(folder)):
                if note.removeprefix(folder) in job_ids:
                    self._artifacts.delete_prefix(note)
        expiring = f"-{owner_mark(owner)}-"
        for note in [note for note in self._artifacts.list(EXPIRING) if expiring in note]:
            self._artifacts.delete_prefix(note)
        self._artifacts.delete_prefix(owner.prefix)
        identities, attributes = (sum(key.endswith(f"/{CARDS[kind]}") for key in keys) for kind in ("c_", "a_"))
        counted = replace(
            erased,
            objects=erased.objects + len(keys),
            edits=erased.edits + len(specs),
            identities=erased.identities + identities,
            attributes=erased.attributes + attributes,
        )
        return counted, running
