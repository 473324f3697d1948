"""Identities and attributes of a user, stored in the object store beside their concept files."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace

import structlog

from s2edit_core.request.plan import digest
from s2edit_core.request.spec import LearningRequest
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.library.concept_files import check_identity_file
from s2edit_jobs.library.edit_list import EditList, Item, Page
from s2edit_jobs.library.erased_concepts import is_erased_for
from s2edit_jobs.library.identity_terms import check_consent, ttl_of
from s2edit_jobs.library.last_use import DAY_S, INVERSIONS, Uses, drop_inversions, used_name
from s2edit_jobs.lifecycle.history import ANY, Filter
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.lifecycle.learnings import LEARNING
from s2edit_jobs.records.errors import (
    ArtifactExists,
    ArtifactMissing,
    AttributeNotFound,
    BeingErased,
    DeletionRefused,
    IdentityNotFound,
    JobNotFound,
    RecordDamaged,
    RecordUnusable,
)
from s2edit_jobs.records.files import EXTENSIONS
from s2edit_jobs.records.record import InputFile, JobRecord, JobSpec, Owner, Timestamp
from s2edit_jobs.records.set_aside import set_aside
from s2edit_jobs.records.stored import damaged, read_record
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.artifacts import JSON, concept_key, inversion_key
from s2edit_jobs.stores.markers import check_not_erasing, expiring_key
from s2edit_jobs.stores.model_facts import facts_of
from s2edit_jobs.stores.stored_bytes import check_stored

log = structlog.get_logger(__name__)

CONCEPT = "concept.safetensors"
INVERSION = "inversion.safetensors"
METADATA = {"c_": "identity.json", "a_": "attribute.json"}
"""Name of the metadata file beside a concept, by the prefix of its id. The identity or attribute exists while this file does."""
SAFETENSORS = "application/octet-stream"
IDENTITY_ID = re.compile(r"c_[0-9a-f]{32}")
ATTRIBUTE_ID = re.compile(r"a_[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Consent:
    """The statement of consent that came with the photo."""

    statement: str
    given_at: Timestamp


@dataclass(frozen=True, slots=True)
class Identity:
    """The metadata of a learned identity: all that a later edit needs to use it without an upload."""

    id: str
    source_prompt: str | None  # with the placeholder, as resolved for learning
    subject: str | None
    created_at: Timestamp
    inputs: Mapping[str, InputFile]  # "image" and "mask"
    consent: Consent | None = None
    expires_at: Timestamp | None = None  # when it is erased
    max_pixels: int | None = None  # the photo is scaled down to so many pixels; None: it is not scaled
    name: str | None = None  # for people

    def to_json(self) -> bytes:
        inputs = {name: {"told": None} | file.to_dict() for name, file in self.inputs.items()}  # here the key is always present
        values = asdict(self) | {"inputs": inputs}
        for later in ("max_pixels", "name"):
            if values[later] is None:  # the release before each of these keys rejects it
                del values[later]
        return json.dumps(values, ensure_ascii=False, sort_keys=True).encode()


@dataclass(frozen=True, slots=True)
class Attribute:
    """The metadata of a learned attribute: all that an edit needs to use it."""

    id: str
    name: str | None
    prompt: str  # as used for learning, such as “a woman with [A] makeup”
    subject: str  # the word after the placeholder
    placeholder: str
    created_at: Timestamp

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True).encode()


@dataclass(frozen=True, slots=True)
class Exported:
    """An exported concept file, which a service with the same model can import."""

    key: str
    sha256: str
    size_bytes: int


def identity_expires_at(settings: Settings, identity: Identity) -> float | None:
    """Return when an identity is erased by the settings in force, in seconds since the epoch. None if it is kept."""
    ends = (identity.expires_at, None if settings.identity_ttl_s is None else identity.created_at + settings.identity_ttl_s)
    return min((at for at in ends if at is not None), default=None)


class Library:
    """Identities, attributes and edits by owner. Every method may raise `ServiceUnavailable`."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._artifacts = services.artifacts
        self._jobs = Jobs(services)

    def attribute(self, owner: Owner, attribute_id: str) -> Attribute:
        """Return an attribute's metadata. Raise `AttributeNotFound` if this owner has none, `RecordDamaged` or `RecordNewer`."""
        if not ATTRIBUTE_ID.fullmatch(attribute_id):
            raise AttributeNotFound(attribute_id)
        try:
            attribute = read_record("attribute", Attribute, self._artifacts.get(concept_key(owner, attribute_id, METADATA["a_"])))
        except ArtifactMissing:
            raise AttributeNotFound(attribute_id) from None
        if attribute.id != attribute_id:
            raise damaged("attribute", "it belongs to another folder")
        return attribute

    def keep_attribute(
        self, spec: JobSpec, attribute_id: str, *, name: str | None, prompt: str, subject: str, placeholder: str
    ) -> None:
        """Store an attribute's metadata, once. Its photo is not stored, because nothing needs it again."""
        data = Attribute(attribute_id, name, prompt, subject, placeholder, created_at=time.time()).to_json()
        key = concept_key(spec.owner, attribute_id, METADATA["a_"])
        if self._artifacts.exists(key):
            return
        self._begin(spec, attribute_id)
        with suppress(ArtifactExists):
            self._jobs.put_for(spec.owner, spec.id, key, data, media_type=JSON, only_if_absent=True)
            self._services.audit.record("attribute.learn", spec.owner, attribute_id, _consent_outcome(spec.consent))

    def rename_attribute(self, owner: Owner, attribute_id: str, name: str | None) -> Attribute:
        """Give an attribute another name for people, or none, as `rename_identity` does."""
        renamed = replace(self.attribute(owner, attribute_id), name=name)
        self._rewrite(owner, attribute_id, renamed.to_json())
        return renamed

    def attributes(self, owner: Owner, *, after: str | None, limit: int) -> Page[Attribute]:
        """Return a page of attributes, sorted by id."""
        return self._concepts(owner, "a_", lambda each: self.attribute(owner, each), after=after, limit=limit)

    def identity(self, owner: Owner, concept_id: str) -> Identity:
        """Return an identity's metadata. Raise `IdentityNotFound` if this owner has none, `RecordDamaged` or `RecordNewer`."""
        if not IDENTITY_ID.fullmatch(concept_id):
            raise IdentityNotFound(concept_id)
        try:
            identity = read_record("identity", Identity, self._artifacts.get(concept_key(owner, concept_id, METADATA["c_"])))
        except ArtifactMissing:
            raise IdentityNotFound(concept_id) from None
        if identity.id != concept_id or not all(file.key.startswith(owner.prefix) for file in identity.inputs.values()):
            raise damaged("identity", "it belongs to another folder")
        return identity

    def keep_identity(self, spec: JobSpec, concept_id: str, *, source_prompt: str | None, subject: str | None) -> None:
        """Store an identity: copy photo and mask beside its concept, then write `identity.json`, once."""
        key = concept_key(spec.owner, concept_id, METADATA["c_"])
        if self._artifacts.exists(key):
            return
        now = time.time()
        expires_at = None if spec.identity_ttl_s is None else now + spec.identity_ttl_s
        expiring = None if expires_at is None else expiring_key(spec.owner, concept_id, expires_at)
        self._begin(spec, concept_id, expiring or "")
        copies = {name: self._copy(spec, concept_id, name) for name in ("image", "mask")}
        identity = Identity(
            id=concept_id,
            source_prompt=source_prompt,
            subject=subject,
            created_at=now,
            inputs=copies,
            consent=Consent(spec.consent, spec.created_at) if spec.consent else None,
            expires_at=expires_at,
            max_pixels=spec.request.max_pixels,
            name=spec.request.name if isinstance(spec.request, LearningRequest) else None,
        )
        if expiring is not None:
            self._jobs.put_for(spec.owner, spec.id, expiring, key.encode(), media_type="text/plain")
        try:
            self._jobs.put_for(spec.owner, spec.id, key, identity.to_json(), media_type=JSON, only_if_absent=True)
            self._services.audit.record("identity.learn", spec.owner, concept_id, _consent_outcome(spec.consent))
        except ArtifactExists:
            log.info("another job has already stored the identity", action="identity_exists", job_id=spec.id)

    def rename_identity(self, owner: Owner, concept_id: str, name: str | None) -> Identity:
        """Give an identity another name for people, or none. Raise `BeingErased` or `IdentityNotFound`, also if it is erased now.

        An erasure deletes the metadata once more after the concept. So it finds this write, or the concept is missing here.
        """
        renamed = replace(self.identity(owner, concept_id), name=name)
        self._rewrite(owner, concept_id, renamed.to_json())
        return renamed

    def complete(self, spec: JobSpec, concept_id: str) -> None:
        """Give an identity or attribute that a learning job found learned the job's name and consent, where it has none.

        Raise `BeingErased`. If it is erased or damaged, nothing is written.
        """
        owner, name = spec.owner, spec.request.name if isinstance(spec.request, LearningRequest) else None
        with suppress(AttributeNotFound, IdentityNotFound, RecordUnusable):
            if concept_id.startswith("a_"):
                attribute = self.attribute(owner, concept_id)
                if name and attribute.name is None:
                    self._rewrite(owner, concept_id, replace(attribute, name=name).to_json())
                return
            identity = self.identity(owner, concept_id)
            consent = Consent(spec.consent, spec.created_at) if spec.consent else None
            completed = replace(identity, name=identity.name or name, consent=identity.consent or consent)
            if completed != identity:
                self._rewrite(owner, concept_id, completed.to_json())
            if completed.consent != identity.consent:
                self._services.audit.record("identity.consent", owner, concept_id, "with consent")

    def _rewrite(self, owner: Owner, concept_id: str, metadata: bytes) -> None:
        card, concept = (concept_key(owner, concept_id, each) for each in (METADATA[concept_id[:2]], CONCEPT))
        missing = (AttributeNotFound if concept_id.startswith("a_") else IdentityNotFound)(concept_id)
        if not self._artifacts.exists(concept):  # learning is about to store it
            raise missing
        with suppress(DeletionRefused):  # without the right, the older name stays until an erasure is refused too, and says so
            self._artifacts.replace(card, metadata, media_type=JSON)
        try:
            check_not_erasing(self._artifacts, owner)
            if not self._artifacts.exists(concept):
                raise missing
        except (BeingErased, AttributeNotFound, IdentityNotFound):
            self._artifacts.delete_prefix(card)
            raise

    def identities(self, owner: Owner, *, after: str | None, limit: int) -> Page[Identity]:
        """Return a page of identities, sorted by id."""
        return self._concepts(owner, "c_", lambda each: self.identity(owner, each), after=after, limit=limit)

    def _begin(self, spec: JobSpec, concept_id: str, expiring: str = "") -> None:
        marker = concept_key(spec.owner, concept_id, LEARNING + spec.id)
        self._jobs.put_for(spec.owner, spec.id, marker, expiring.encode(), media_type="text/plain")

    def _copy(self, spec: JobSpec, concept_id: str, name: str) -> InputFile:
        file = spec.inputs[name]
        copy = replace(file, key=concept_key(spec.owner, concept_id, name + EXTENSIONS.get(file.media_type, "")))
        data = self._artifacts.get(file.key)
        with suppress(ArtifactExists):  # the same bytes. An erased job must not delete them from another's identity
            self._jobs.put_for(spec.owner, spec.id, copy.key, data, media_type=file.media_type, only_if_absent=True)
        return copy

    def keep_inversion(self, spec: JobSpec, concept_id: str, inversion_id: str, data: bytes) -> None:
        """Store an inversion that was made with a concept. It is erased with the concept, even if that happens right now.

        The marker is written first, because the concept's erasure finds the inversion by it.
        """
        marker = concept_key(spec.owner, concept_id, INVERSIONS + inversion_id)
        key = inversion_key(spec.owner, inversion_id, INVERSION)
        self._jobs.put_for(spec.owner, spec.id, marker, b"", media_type="text/plain")
        self._jobs.put_for(spec.owner, spec.id, key, data, media_type=SAFETENSORS)
        self._drop_if_erased(spec.owner, concept_id, key, marker)
        if not self._artifacts.exists(marker):  # removed meanwhile, as one inversion too many: nothing would find it any more
            self._artifacts.delete_prefix(key)

    def record_use(self, spec: JobSpec, concept_id: str, inversion_id: str, *, limit: int) -> None:
        """Record that an edit has used an identity and an inversion. Then remove the identity's inversions beyond the `limit`.

        Raise `JobNotFound` if the edit was erased meanwhile. If the identity was, nothing is recorded.
        """
        owner, now = spec.owner, time.time()
        folder = concept_key(owner, concept_id, "")
        names = {key.removeprefix(folder) for key in self._artifacts.list(folder)}
        uses, written = Uses.of(names), list[str]()
        there = {None: METADATA[concept_id[:2]] in names, inversion_id: INVERSIONS + inversion_id in names}
        for which in [each for each in there if there[each] and now - uses.last.get(each, 0.0) > DAY_S]:
            written.append(folder + used_name(which, now))
            self._jobs.put_for(owner, spec.id, written[-1], b"", media_type="text/plain")
            uses.outdated += [used_name(which, uses.last[which])] if which in uses.last else []
            uses.last[which] = now
        if uses.outdated:
            self._artifacts.delete(folder + name for name in uses.outdated)
        drop_inversions(self._artifacts, owner, concept_id, uses.beyond(limit))
        self._drop_if_erased(owner, concept_id, *written)

    def keep_concept(self, spec: JobSpec, concept_id: str, data: bytes) -> None:
        """Store a learned concept. Its metadata must have been written before, so that readers of the concept always find both.

        A concept that was erased after the job was accepted, while the job learned it again, is deleted with its metadata.
        """
        if not self._jobs.exists(spec.owner, spec.id):  # another job may have stored the concept since this one was erased
            raise JobNotFound(spec.id)
        key = concept_key(spec.owner, concept_id, CONCEPT)
        self._jobs.put_for(spec.owner, spec.id, key, data, media_type=SAFETENSORS)
        self._artifacts.delete_prefix(concept_key(spec.owner, concept_id, LEARNING))
        self._drop_if_erased(spec.owner, concept_id, key)
        if is_erased_for(self._artifacts, spec, concept_id):
            self._artifacts.delete_prefix(concept_key(spec.owner, concept_id, METADATA[concept_id[:2]]))
            self._artifacts.delete_prefix(concept_key(spec.owner, concept_id, ""))

    def _drop_if_erased(self, owner: Owner, concept_id: str, *keys: str) -> None:
        """Delete what was just written if its identity or attribute was erased meanwhile."""
        if not self._artifacts.exists(concept_key(owner, concept_id, METADATA[concept_id[:2]])):
            for key in keys:
                self._artifacts.delete_prefix(key)

    def exported(self, owner: Owner, concept_id: str) -> Exported:
        """Return the concept file of an identity, for export. Raise `IdentityNotFound`."""
        self.identity(owner, concept_id)
        key = concept_key(owner, concept_id, CONCEPT)
        try:
            data = self._artifacts.get(key)
        except ArtifactMissing:
            raise IdentityNotFound(concept_id) from None
        return Exported(key, digest(data), len(data))

    def import_identity(
        self, owner: Owner, data: bytes, *, consent: str | None = None, identity_ttl_s: float | None = None
    ) -> Identity:
        """Store an exported identity file. Importing the same file again changes nothing, not even its consent or TTL.

        The identity has no photo, so an edit that uses it must send one. Raise `OptionInvalid` if the file is not an identity of
        the served model or consent is required and missing, `StorageFull`, `ModelUnknown` if no worker has reported its model, or
        `BeingErased`.
        """
        check_consent(self._services.settings, consent)
        bound = self._services.settings.max_stored_bytes_per_tenant
        check_stored(self._services.store.usage, owner.tenant, bound=bound, more=len(data))
        found = check_identity_file(data, facts_of(self._artifacts, self._services.settings.model, test=owner.test))
        now, ttl = time.time(), ttl_of(self._services.settings, identity_ttl_s)
        identity = Identity(
            id=f"c_{digest(data)[:32]}",
            source_prompt=found.source_prompt,
            subject=found.subject,
            created_at=now,
            inputs={},
            consent=Consent(consent, now) if consent else None,
            expires_at=None if ttl is None else now + ttl,
        )
        concept, card = (concept_key(owner, identity.id, name) for name in (CONCEPT, METADATA["c_"]))
        markers = []
        if identity.expires_at is not None and not self._artifacts.exists(card):
            markers = [expiring_key(owner, identity.id, identity.expires_at)]
            self._artifacts.put(markers[0], card.encode(), media_type="text/plain")
        self._artifacts.put(concept, data, media_type=SAFETENSORS)
        try:
            self._artifacts.put(card, identity.to_json(), media_type=JSON, only_if_absent=True)
        except ArtifactExists:
            identity = self._imported(owner, card, identity)
        try:
            check_not_erasing(self._artifacts, owner)
            if not self._artifacts.exists(concept):
                raise BeingErased("the user's data was erased during the import: repeat it", retry_after_s=1)
        except BeingErased:
            for key in (card, concept, *markers):
                self._artifacts.delete_prefix(key)
            raise
        self._services.audit.record("identity.import", owner, identity.id, _consent_outcome(identity.consent))
        return identity

    def _imported(self, owner: Owner, card: str, identity: Identity) -> Identity:
        """Return the identity of an earlier import of the same file. Replace it by `identity` if its record is damaged."""
        try:
            return self.identity(owner, identity.id)
        except RecordDamaged:
            self._artifacts.put(card, identity.to_json(), media_type=JSON)
            return identity

    def edits(self, owner: Owner, *, after: str | None, limit: int, wanted: Filter = ANY) -> Page[JobRecord]:
        """Return a page of the edits that are `wanted`, newest first. It may hold fewer than `limit` without being the last."""
        return EditList(self._services).page(owner, after=after, limit=limit, wanted=wanted)

    def _concepts(self, owner: Owner, start: str, read: Callable[[str], Item], *, after: str | None, limit: int) -> Page[Item]:
        folders = self._artifacts.folders(f"{owner.prefix}concepts/")
        left = [name for name in folders if name.startswith(start) and (after is None or name > after)]
        found: list[Item] = []
        for seen, name in enumerate(left, start=1):
            # Suppressed: still being learned, or erased meanwhile.
            with set_aside("concept", name), suppress(IdentityNotFound, AttributeNotFound):
                found.append(read(name))
            if len(found) == limit and seen < len(left):
                return Page(tuple(found), name)
        return Page(tuple(found), None)


def _consent_outcome(consent: str | Consent | None) -> str:
    """Return the outcome for the audit log."""
    return "with consent" if consent else "without consent"
