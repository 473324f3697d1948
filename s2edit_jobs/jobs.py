"""What the API and the workers do with jobs and identities. The object store is the truth; the job store is its quick view."""

from __future__ import annotations

import json
import re
import secrets
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, get_args

import structlog

from s2edit_core.errors import OptionInvalid, PolicyRefused
from s2edit_core.metadata import without_metadata
from s2edit_core.plan import digest
from s2edit_core.spec import EditRequest, LearningRequest, Phase
from s2edit_jobs import trace
from s2edit_jobs.artifacts import ArtifactStore, concept_key, edit_key
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.errors import (
    ArtifactExists,
    ArtifactMissing,
    BeingErased,
    IdentityNotFound,
    JobNotFound,
    QueueFull,
    ServiceUnavailable,
    TooManyEdits,
)
from s2edit_jobs.policy import refused
from s2edit_jobs.record import Failure, InputFile, JobRecord, JobSpec, JobState, Outcome, Outlook, Owner
from s2edit_jobs.settings import Settings
from s2edit_jobs.testmode import OVERDUE, Wishes, wishes_in
from s2edit_jobs.webhooks import OUTBOX

log = structlog.get_logger(__name__)

JSON = "application/json"
DEADLINE = "deadline_exceeded"
"""Code of a job that was not done when its deadline passed."""
ERASE_S = 5
"""What a user's app is told to wait while everything of the user is being erased."""
BUSY_S = 10
"""What an owner with too many unfinished jobs is told to wait."""
CHECKPOINTS = "checkpoint-"
"""Beside an identity that is being learned: the beginning of the names of its states."""
PHASES = get_args(Phase)
PENDING = "pending/"
"""Prefix of the notes about accepted jobs that could not be entered in the job store; empty in good times."""
EXTENSIONS: Mapping[str, str] = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "image/avif": ".avif",
    "image/heic": ".heic",
}
ERASING = "erasing/"
"""Prefix of the notes about owners who are being erased at this moment."""
EXPIRING = "expiring/"
"""Prefix of the notes about identities that are to be erased at some time; each holds the key of its `identity.json`."""
_JOB_ID = re.compile(r"e_[0-9a-f]{32}")
IDENTITY_ID = re.compile(r"c_[0-9a-f]{32}")


@dataclass(frozen=True)
class Upload:
    """A file that came with a request, or that stands in for one.

    `sent_sha256` is the digest of what the app has sent, where `data` is that without its metadata. `own`: from what this service
    has made or taken on before, so there is nothing to take off.
    """

    data: bytes
    media_type: str
    sent_sha256: str | None = None
    own: bool = False

    @cached_property
    def sha256(self) -> str:
        return digest(self.data)

    @property
    def as_sent(self) -> str:
        """What tells two requests apart."""
        return self.sent_sha256 or self.sha256

    def without_metadata(self, orientation: int, field: str) -> Upload:
        """As it may be kept; itself where it has none. Raises `ImageInvalid`."""
        bare = self.data if self.own else without_metadata(self.data, orientation, field)
        return self if bare is self.data else Upload(bare, self.media_type, self.as_sent)


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

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Identity:
        values: dict[str, Any] = json.loads(data)
        inputs = {name: InputFile(**file) for name, file in values.pop("inputs").items()}
        consent = values.pop("consent", None)
        return cls(**values, inputs=inputs, consent=Consent(**consent) if consent else None)


def erasing_key(owner: Owner) -> str:
    """Of the note that everything of this owner is being erased. It does not tell who that is to whoever reads keys."""
    return f"{ERASING}{digest(owner.prefix.encode())[:32]}"


def check_not_erasing(artifacts: ArtifactStore, owner: Owner) -> None:
    """Raises `BeingErased`. Whoever writes for an owner without a job asks this afterwards, and takes the write back."""
    if artifacts.exists(erasing_key(owner)):
        raise BeingErased("everything of this user is being erased", retry_after_s=ERASE_S)


def expiring_key(owner: Owner, concept_id: str, expires_at: float) -> str:
    """Of the note that an identity is to be erased then; in the order of their times."""
    return f"{EXPIRING}{int(expires_at):012}-{digest(owner.prefix.encode())[:32]}-{concept_id}"


def check_consent(settings: Settings, consent: str | None) -> None:
    """Raises `OptionInvalid` where one is needed and missing."""
    if settings.require_consent and not (consent or "").strip():
        raise OptionInvalid(
            "say in `consent` that the person in the photo agrees to being learned", field="consent", reason="consent_missing"
        )


def life_s(settings: Settings, wished: float | None) -> float | None:
    """Seconds after which an identity is erased: the fewest that anybody wants; None if nobody does."""
    return min((life for life in (wished, settings.identity_life_s) if life is not None), default=None)


def new_job_id(now: float | None = None) -> str:
    """`e_` and a UUIDv7 in hexadecimal: unguessable, and in the order of their time when sorted.

    The 12 bits after the version are the fraction of the millisecond (RFC 9562 §6.2, method 3), so that jobs of one burst keep
    their order too.
    """
    fractions = int((time.time() if now is None else now) * 1000 * 4096)
    value = fractions >> 12 << 80 | 0x7 << 76 | (fractions & 0xFFF) << 64 | 0b10 << 62 | secrets.randbits(62)
    return f"e_{uuid.UUID(int=value).hex}"


def pace_of(spec: JobSpec) -> str:
    """Under which name measured seconds are kept: what takes another time is measured apart."""
    request, mode = spec.request, "test:" if spec.owner.test else ""
    if not isinstance(request, EditRequest):
        return f"{mode}{request.kind}:{request.preset}"
    return f"{mode}{request.preset}" if request.variants == 1 else f"{mode}{request.preset}:x{request.variants}"


def first_record(spec: JobSpec) -> JobRecord:
    """The job as it stands right after it was accepted."""
    return JobRecord(
        id=spec.id,
        owner=spec.owner,
        state=JobState.QUEUED,
        sequence=1,
        created_at=spec.created_at,
        updated_at=spec.created_at,
        preset=pace_of(spec),
        kind=spec.kind,
        parent=spec.parent,
        identity=spec.request.identity if isinstance(spec.request, EditRequest) else None,
        deadline_at=spec.deadline_at,
        webhook=spec.webhook_url is not None,
    )


def known_again(spec: JobSpec) -> JobRecord:
    """An unfinished job that the job store had lost. Its sequence goes on above every number that was shown before."""
    now = time.time()
    return replace(first_record(spec), sequence=int(now * 1000), updated_at=now)


def final_record(spec: JobSpec, outcome: Outcome) -> JobRecord:
    """The job as it stands after its outcome, as far as the object store tells."""
    return replace(
        first_record(spec),
        state=outcome.state,
        # Above all that a rebuilt record can have reached until then, also if it changed more often than once a millisecond.
        sequence=int(outcome.finished_at * 1000) + 1000,
        updated_at=outcome.finished_at,
        attempt=outcome.attempt,
        artifacts=outcome.artifacts,
        identity=outcome.identity,
        failure=outcome.failure,
    )


def seconds_left(record: JobRecord, outlook: Outlook) -> float | None:
    """How long an unfinished job will take from now, by what others of its preset took; None while nothing is known of them."""
    mean = outlook.seconds
    if "total" not in mean:
        return None
    if record.state is JobState.QUEUED:
        return mean["total"] * (1 + outlook.ahead / max(1, outlook.running))
    if record.phase is None:
        return mean["total"]
    done = min(1.0, record.step / record.total) if record.total else 0.0
    later = PHASES[PHASES.index(record.phase) + 1 :]
    return (1 - done) * mean.get(record.phase, 0.0) + sum(mean.get(phase, 0.0) for phase in later)


class Jobs:
    """Every call may raise `ServiceUnavailable`."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.artifacts = services.artifacts
        self._store = services.store
        self._audit = services.audit.record

    def draft(
        self,
        owner: Owner,
        request: EditRequest | LearningRequest,
        files: Mapping[str, Upload],
        *,
        deadline_s: float | None = None,
        webhook_url: str | None = None,
        consent: str | None = None,
        identity_life_s: float | None = None,
        parent: str | None = None,
        job_id: str | None = None,
        created_at: float | None = None,
    ) -> JobSpec:
        """What `accept` takes: a new id (unless given), and a place for every file. Nothing is written.

        `deadline_s` counts from `created_at`, which is now unless given.
        With `request.identity`, that identity's photo and mask stand in for files that are not given, and its prompt and
        subject for those that the request leaves open. `consent` and `identity_life_s` are kept with an identity that is learned.
        In test mode the words of its prompt are heeded (`testmode`). Raises `IdentityNotFound`, `PolicyRefused`, `PromptInvalid`
        for such a word that means nothing, and `OptionInvalid` where a consent is needed and missing.
        """
        job_id, now = job_id or new_job_id(), time.time() if created_at is None else created_at
        inputs = {name: self._place(owner, job_id, name, upload) for name, upload in files.items()}
        if isinstance(request, EditRequest) and request.identity is not None:
            identity = self.identity(owner, request.identity)
            inputs = {**identity.inputs, **inputs}
            request = replace(
                request,
                source_prompt=request.source_prompt or identity.source_prompt,
                subject=request.subject or identity.subject,
            )
        wishes = wishes_in(request.prompt) if owner.test else Wishes()
        try:  # with what the identity brings: one that was imported may say anything
            if wishes.refused:
                raise refused("prompt")
            self._check_policy(request, files, consent)
        except PolicyRefused as error:
            self._audit("edit.refuse", owner, None, error.reason)
            raise
        if wishes.fails == OVERDUE:
            deadline_s = 0.0
        deadline_at = None if deadline_s is None else now + deadline_s
        return JobSpec(
            job_id,
            owner,
            now,
            request,
            inputs,
            deadline_at=deadline_at,
            webhook_url=webhook_url,
            consent=consent,
            identity_life_s=life_s(self._services.settings, identity_life_s),
            traceparent=trace.current(),
            parent=parent,
        )

    def refiled(self, spec: JobSpec, files: Mapping[str, Upload]) -> JobSpec:
        """The draft `spec` with `files` as they are kept, without their metadata."""
        return replace(
            spec, inputs={**spec.inputs, **{name: self._place(spec.owner, spec.id, name, upload) for name, upload in files.items()}}
        )

    def _check_policy(self, request: EditRequest | LearningRequest, files: Mapping[str, Upload], consent: str | None) -> None:
        policy = self._services.policy
        for name in ("prompt", "source_prompt", "subject", "name"):
            if text := getattr(request, name, None):
                policy.check_prompt(text, field=name)
        if "image" in files:
            policy.check_image(files["image"].data, field="image")
        learns = isinstance(request, LearningRequest) or request.identity is None
        if learns:
            check_consent(self._services.settings, consent)

    def admit(self, owner: Owner, job_id: str) -> None:
        """Take a place in the queue for a job that is to be accepted. Raises `TooManyEdits`, `QueueFull` or `BeingErased`.

        While the job store is down nobody is refused: then accepting waits for nothing but the object store.
        """
        check_not_erasing(self.artifacts, owner)
        of_owner, in_all = self._services.settings.max_edits_per_user, self._services.settings.max_edits
        try:
            load = self._store.take_place(owner, job_id, of_owner=of_owner, in_all=in_all)
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
            self._store.leave_place(owner, job_id)

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
            record = self._store.add(record)
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
        learning = self._store.erase(owner, job_id)
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
            return self._store.get(owner, job_id)
        except JobNotFound:
            return self._recall(owner, job_id)

    def events(self, owner: Owner, job_id: str, *, after: int) -> tuple[list[JobRecord], bool]:
        """How the job stood after each change above sequence `after`, oldest first; and whether none is missing."""
        try:
            return self._store.events(owner, job_id, after=after)
        except JobNotFound:
            record = self._recall(owner, job_id)
            return [record] if record.sequence > after else [], record.sequence <= after

    def seconds_left(self, record: JobRecord) -> float | None:
        """As far as the job store knows."""
        if record.state.over:
            return None
        try:
            return seconds_left(record, self._store.outlook(record.owner, record.id))
        except (ServiceUnavailable, JobNotFound):
            return None

    def end_overdue(self) -> int:
        """End the jobs whose deadline has passed; how many there were."""
        late = self._store.overdue()
        failure = Failure(DEADLINE, "the edit's deadline passed before it was done", retryable=True)
        for record in late:
            outcome = Outcome(state=JobState.FAILED, attempt=record.attempt, finished_at=time.time(), failure=failure)
            try:
                self.spec(record.owner, record.id)
                self.finish(record.owner, record.id, outcome)
            except JobNotFound:  # erased: nothing is written for it any more
                self._store.erase(record.owner, record.id)
        return len(late)

    def cancel(self, owner: Owner, job_id: str) -> JobRecord:
        """Wish the job to end: at once if it waits, within a step if it runs. Nothing changes once it is over."""
        self.get(owner, job_id)  # enters it again if the job store lost it
        try:
            record = self._store.request_cancel(owner, job_id)
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
            return self._store.finish(job_id, owner, outcome)
        except JobNotFound:
            return final_record(self.spec(owner, job_id), outcome)

    def spec(self, owner: Owner, job_id: str) -> JobSpec:
        """`JobNotFound` if this owner has no such job."""
        if not _JOB_ID.fullmatch(job_id):
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
                    self._store.announce(note.removeprefix(OUTBOX))
        return sum(self._enter(key) for folder, key in specs.items() if folder not in over)

    def enter_pending(self) -> int:
        """Enter the jobs that were accepted while the job store was down; how many there were."""
        entered = 0
        for note in self.artifacts.list(PENDING):
            with suppress(ArtifactMissing):  # erased meanwhile
                entered += self._enter(self.artifacts.get(note).decode())
            self.artifacts.delete_prefix(note)
        return entered

    def identity(self, owner: Owner, concept_id: str) -> Identity:
        """`IdentityNotFound` if this owner has none of that id."""
        if not IDENTITY_ID.fullmatch(concept_id):
            raise IdentityNotFound(concept_id)
        try:
            return Identity.from_json(self.artifacts.get(concept_key(owner, concept_id, "identity.json")))
        except ArtifactMissing:
            raise IdentityNotFound(concept_id) from None

    def keep_identity(self, spec: JobSpec, concept_id: str, *, source_prompt: str | None, subject: str | None) -> None:
        """Make the identity usable without an upload: copy photo and mask beside it, then write `identity.json`, once."""
        key = concept_key(spec.owner, concept_id, "identity.json")
        if self.artifacts.exists(key):
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
            expires_at=None if spec.identity_life_s is None else now + spec.identity_life_s,
        )
        if identity.expires_at is not None:
            note = expiring_key(spec.owner, concept_id, identity.expires_at)
            self.put_for(spec.owner, spec.id, note, key.encode(), media_type="text/plain")
        try:
            self.put_for(spec.owner, spec.id, key, identity.to_json(), media_type=JSON, only_if_absent=True)
            self._audit("identity.learn", spec.owner, concept_id, "with consent" if spec.consent else "without consent")
        except ArtifactExists:
            log.info("the identity was kept by another job", action="identity_exists", job_id=spec.id)

    def _place(self, owner: Owner, job_id: str, name: str, upload: Upload) -> InputFile:
        return InputFile(
            key=edit_key(owner, job_id, name + EXTENSIONS.get(upload.media_type, "")),
            sha256=upload.sha256,
            size_bytes=len(upload.data),
            media_type=upload.media_type,
        )

    def _copy(self, spec: JobSpec, concept_id: str, name: str) -> InputFile:
        file = spec.inputs[name]
        copy = replace(file, key=concept_key(spec.owner, concept_id, name + EXTENSIONS.get(file.media_type, "")))
        self.put_for(spec.owner, spec.id, copy.key, self.artifacts.get(file.key), media_type=file.media_type)
        return copy

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
        record = self._store.add(known_again(spec))
        if not self.artifacts.exists(edit_key(spec.owner, spec.id, "spec.json")):
            self._store.erase(spec.owner, spec.id)
            raise JobNotFound(spec.id)
        return record

    def _enter(self, spec_key: str) -> bool:
        try:
            self._add_again(JobSpec.from_json(self.artifacts.get(spec_key)))
        except (ArtifactMissing, JobNotFound):  # erased meanwhile
            return False
        return True
