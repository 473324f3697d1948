"""What an owner has learned: identities and attributes, kept beside their concepts in the object store."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any, Generic, TypeVar

import structlog

from s2edit_core.errors import OptionInvalid
from s2edit_core.request.plan import digest
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.jobs.jobs import Jobs
from s2edit_jobs.library.concept_files import check_identity_file
from s2edit_jobs.records.errors import (
    ArtifactExists,
    ArtifactMissing,
    AttributeNotFound,
    BeingErased,
    IdentityNotFound,
    JobNotFound,
)
from s2edit_jobs.records.files import EXTENSIONS
from s2edit_jobs.records.record import InputFile, JobRecord, JobSpec, Owner
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.artifacts import JSON, concept_key, edit_key, inversion_key
from s2edit_jobs.stores.markers import check_not_erasing, expiring_key
from s2edit_jobs.stores.model_facts import facts_of

log = structlog.get_logger(__name__)

CONCEPT = "concept.safetensors"
INVERSION = "inversion.safetensors"
INVERSIONS = "inversions/"
"""Beside an identity: the folder of the notes about what was inverted with it, by the inversions' ids."""
CARDS = {"c_": "identity.json", "a_": "attribute.json"}
"""Beside a concept: what says that there is such an identity or attribute, by the beginning of its id."""
SAFETENSORS = "application/octet-stream"
MAX_SEEN = 500
"""Edits that one page of a filtered list looks at: what is rare takes several pages, and no request long."""
IDENTITY_ID = re.compile(r"c_[0-9a-f]{32}")
_ATTRIBUTE_ID = re.compile(r"a_[0-9a-f]{32}")
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Consent:
    """What was said of the person's consent, and when."""

    statement: str
    given_at: float  # seconds since the epoch


@dataclass(frozen=True, slots=True)
class Identity:
    """A learned identity: what a later edit needs to use it without an upload."""

    id: str
    source_prompt: str | None  # with the placeholder, as resolved when it was learned
    subject: str | None
    created_at: float  # seconds since the epoch
    inputs: Mapping[str, InputFile]  # "image" and "mask"
    consent: Consent | None = None
    expires_at: float | None = None  # seconds since the epoch; then it is erased
    max_pixels: int | None = None  # what the photo is scaled down to; None: nothing is

    def to_json(self) -> bytes:
        values = asdict(self)
        if self.max_pixels is None:  # former releases don't know it
            del values["max_pixels"]
        return json.dumps(values, ensure_ascii=False, sort_keys=True).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Identity:
        values: dict[str, Any] = json.loads(data)
        inputs = {name: InputFile(**file) for name, file in values.pop("inputs").items()}
        consent = values.pop("consent", None)
        return cls(**values, inputs=inputs, consent=Consent(**consent) if consent else None)


@dataclass(frozen=True, slots=True)
class Attribute:
    """A learned attribute: what its owner's edits need to know of it."""

    id: str
    name: str | None
    prompt: str  # what it was learned with: “a woman with [A] makeup”
    subject: str  # the word after the placeholder
    placeholder: str
    created_at: float  # seconds since the epoch


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """A part of a list. `last` is the id that the next part begins behind; None where the list has ended."""

    items: tuple[Item, ...]
    last: str | None


@dataclass(frozen=True, slots=True)
class Exported:
    """A concept's file, as another service of the same model can import it."""

    key: str
    sha256: str
    size_bytes: int


def check_consent(settings: Settings, consent: str | None) -> None:
    """Raises `OptionInvalid` where one is needed and missing."""
    if settings.require_consent and not (consent or "").strip():
        raise OptionInvalid(
            "say in `consent` that the person in the photo agrees to being learned", field="consent", reason="consent_missing"
        )


def ttl_of(settings: Settings, wished: float | None) -> float | None:
    """Seconds after which an identity is erased: the fewest that anybody wants; None if nobody does."""
    return min((ttl for ttl in (wished, settings.identity_ttl_s) if ttl is not None), default=None)


class Library:
    """Every call may raise `ServiceUnavailable`."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._artifacts = services.artifacts
        self._jobs = Jobs(services)

    # --- attributes --------------------------------------------------------------------------------------------

    def attribute(self, owner: Owner, attribute_id: str) -> Attribute:
        """`AttributeNotFound` if this owner has none of that id."""
        if not _ATTRIBUTE_ID.fullmatch(attribute_id):
            raise AttributeNotFound(attribute_id)
        try:
            return Attribute(**json.loads(self._artifacts.get(concept_key(owner, attribute_id, CARDS["a_"]))))
        except ArtifactMissing:
            raise AttributeNotFound(attribute_id) from None

    def keep_attribute(
        self, spec: JobSpec, attribute_id: str, *, name: str | None, prompt: str, subject: str, placeholder: str
    ) -> None:
        """Write down what the concept is, once. The photo is not kept: nothing is learned from it again."""
        attribute = Attribute(attribute_id, name, prompt, subject, placeholder, created_at=time.time())
        data = json.dumps(asdict(attribute), ensure_ascii=False, sort_keys=True).encode()
        key = concept_key(spec.owner, attribute_id, CARDS["a_"])
        with suppress(ArtifactExists):
            self._jobs.put_for(spec.owner, spec.id, key, data, media_type=JSON, only_if_absent=True)
            self._services.audit.record("attribute.learn", spec.owner, attribute_id, _on_consent(spec.consent))

    def attributes(self, owner: Owner, *, after: str | None, limit: int) -> Page[Attribute]:
        """In the order of their ids."""
        return self._concepts(owner, "a_", lambda each: self.attribute(owner, each), after=after, limit=limit)

    # --- identities --------------------------------------------------------------------------------------------

    def identity(self, owner: Owner, concept_id: str) -> Identity:
        """`IdentityNotFound` if this owner has none of that id."""
        if not IDENTITY_ID.fullmatch(concept_id):
            raise IdentityNotFound(concept_id)
        try:
            return Identity.from_json(self._artifacts.get(concept_key(owner, concept_id, CARDS["c_"])))
        except ArtifactMissing:
            raise IdentityNotFound(concept_id) from None

    def keep_identity(self, spec: JobSpec, concept_id: str, *, source_prompt: str | None, subject: str | None) -> None:
        """Make the identity usable without an upload: copy photo and mask beside it, then write `identity.json`, once."""
        key = concept_key(spec.owner, concept_id, CARDS["c_"])
        if self._artifacts.exists(key):
            return
        copies = {name: self._copy(spec, concept_id, name) for name in ("image", "mask")}
        now = time.time()
        identity = Identity(
            id=concept_id,
            source_prompt=source_prompt,
            subject=subject,
            created_at=now,
            inputs=copies,
            consent=Consent(spec.consent, spec.created_at) if spec.consent else None,
            expires_at=None if spec.identity_ttl_s is None else now + spec.identity_ttl_s,
            max_pixels=spec.request.max_pixels,
        )
        if identity.expires_at is not None:
            note = expiring_key(spec.owner, concept_id, identity.expires_at)
            self._jobs.put_for(spec.owner, spec.id, note, key.encode(), media_type="text/plain")
        try:
            self._jobs.put_for(spec.owner, spec.id, key, identity.to_json(), media_type=JSON, only_if_absent=True)
            self._services.audit.record("identity.learn", spec.owner, concept_id, _on_consent(spec.consent))
        except ArtifactExists:
            log.info("the identity was kept by another job", action="identity_exists", job_id=spec.id)

    def identities(self, owner: Owner, *, after: str | None, limit: int) -> Page[Identity]:
        """In the order of their ids."""
        return self._concepts(owner, "c_", lambda each: self.identity(owner, each), after=after, limit=limit)

    def _copy(self, spec: JobSpec, concept_id: str, name: str) -> InputFile:
        file = spec.inputs[name]
        copy = replace(file, key=concept_key(spec.owner, concept_id, name + EXTENSIONS.get(file.media_type, "")))
        self._jobs.put_for(spec.owner, spec.id, copy.key, self._artifacts.get(file.key), media_type=file.media_type)
        return copy

    def keep_inversion(self, spec: JobSpec, concept_id: str, inversion_id: str, data: bytes) -> None:
        """The inversion was made with this concept, and goes with it: also if that is being erased at this moment.

        The note comes first: whoever erases the identity finds by it what else there is.
        """
        note = concept_key(spec.owner, concept_id, INVERSIONS + inversion_id)
        key = inversion_key(spec.owner, inversion_id, INVERSION)
        self._jobs.put_for(spec.owner, spec.id, note, b"", media_type="text/plain")
        self._jobs.put_for(spec.owner, spec.id, key, data, media_type=SAFETENSORS)
        self._drop_without_card(spec.owner, concept_id, key, note)

    def keep_concept(self, spec: JobSpec, concept_id: str, data: bytes) -> None:
        """What was learned; its identity or attribute is written before, so that whoever finds this finds that too."""
        key = concept_key(spec.owner, concept_id, CONCEPT)
        self._jobs.put_for(spec.owner, spec.id, key, data, media_type=SAFETENSORS)
        self._drop_without_card(spec.owner, concept_id, key)

    def _drop_without_card(self, owner: Owner, concept_id: str, *keys: str) -> None:
        """Take back what was just written, if the identity or attribute that it belongs to was erased meanwhile."""
        if not self._artifacts.exists(concept_key(owner, concept_id, CARDS[concept_id[:2]])):
            for key in keys:
                self._artifacts.delete_prefix(key)

    def exported(self, owner: Owner, concept_id: str) -> Exported:
        """The file of an identity. Raises `IdentityNotFound`."""
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
        """Keep an exported file; the same file is one identity however often it comes, with the consent and the life of the first.

        It brings no photo: an edit with it sends one. Raises `OptionInvalid` for what is not an identity of the served model, and
        where a consent is needed and missing, `ModelUnknown` while the model is not known, `BeingErased`.
        """
        check_consent(self._services.settings, consent)
        said = check_identity_file(data, facts_of(self._artifacts, self._services.settings.model, test=owner.test))
        now, ttl = time.time(), ttl_of(self._services.settings, identity_ttl_s)
        identity = Identity(
            id=f"c_{digest(data)[:32]}",
            source_prompt=said.source_prompt,
            subject=said.subject,
            created_at=now,
            inputs={},
            consent=Consent(consent, now) if consent else None,
            expires_at=None if ttl is None else now + ttl,
        )
        concept, card = (concept_key(owner, identity.id, name) for name in (CONCEPT, CARDS["c_"]))
        notes = []
        if identity.expires_at is not None and not self._artifacts.exists(card):
            notes = [expiring_key(owner, identity.id, identity.expires_at)]
            self._artifacts.put(notes[0], card.encode(), media_type="text/plain")
        self._artifacts.put(concept, data, media_type=SAFETENSORS)
        try:
            self._artifacts.put(card, identity.to_json(), media_type=JSON, only_if_absent=True)
        except ArtifactExists:
            identity = self.identity(owner, identity.id)
        try:
            check_not_erasing(self._artifacts, owner)
            if not self._artifacts.exists(concept):
                raise BeingErased("a part of it was erased before it was kept", retry_after_s=1)
        except BeingErased:
            for key in (card, concept, *notes):
                self._artifacts.delete_prefix(key)
            raise
        self._services.audit.record("identity.import", owner, identity.id, _on_consent(identity.consent))
        return identity

    # --- edits -------------------------------------------------------------------------------------------------

    def edits(
        self, owner: Owner, *, after: str | None, limit: int, wanted: Callable[[JobRecord], bool] = lambda _: True
    ) -> Page[JobRecord]:
        """Newest first. A page may hold fewer than `limit` and still not be the last."""
        names = sorted(self._artifacts.folders(edit_key(owner, "", "").rstrip("/") + "/"), reverse=True)
        left = [name for name in names if after is None or name < after]
        found: list[JobRecord] = []
        for seen, name in enumerate(left, start=1):
            with suppress(JobNotFound):  # not accepted yet, or erased meanwhile
                record = self._jobs.get(owner, name)
                found += [record] if wanted(record) else []
            if seen < len(left) and (len(found) == limit or seen == MAX_SEEN):
                return Page(tuple(found), name)
        return Page(tuple(found), None)

    def _concepts(self, owner: Owner, start: str, read: Callable[[str], Item], *, after: str | None, limit: int) -> Page[Item]:
        folders = self._artifacts.folders(f"{owner.prefix}concepts/")
        left = [name for name in folders if name.startswith(start) and (after is None or name > after)]
        found: list[Item] = []
        for seen, name in enumerate(left, start=1):
            with suppress(IdentityNotFound, AttributeNotFound):  # still being learned, or erased meanwhile
                found.append(read(name))
            if len(found) == limit and seen < len(left):
                return Page(tuple(found), name)
        return Page(tuple(found), None)


def _on_consent(consent: str | Consent | None) -> str:
    """What the audit log says of it."""
    return "with consent" if consent else "without consent"
