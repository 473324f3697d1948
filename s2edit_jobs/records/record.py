"""The records of a job, and its states.

    queued ──claimed──▶ running ──outcome──▶ succeeded | failed | canceled
      ▲                    │
      └────lease lost──────┘        queued ──canceled──▶ canceled

The object store holds the truth: the immutable `JobSpec` (what was accepted) and the single `Outcome` (how the job ended). Redis
holds the `JobRecord` (the current state), which can be rebuilt from these two.
"""

from __future__ import annotations

import json
import re
import secrets
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, cast, get_args

from pydantic import AliasChoices
from pydantic import Field as StoredAs

from s2edit_core.request.spec import EditRequest, LearningRequest, MaskMode, MaskRequest, Phase
from s2edit_jobs.records.errors import RecordNewer
from s2edit_jobs.records.estimate_keys import estimate_key
from s2edit_jobs.records.stored import checked_fields, damaged, read_record, read_values

JobRequest = EditRequest | LearningRequest | MaskRequest
JobKind = Literal["edit", "identity", "attribute", "mask"]
"""What a job produces: a picture, a concept without a picture (an identity or an attribute), or the mask of a person."""
KINDS: tuple[JobKind, ...] = get_args(JobKind)
PHASES: tuple[Phase, ...] = get_args(Phase)
JOB_ID = re.compile(r"e_[0-9a-f]{32}")
OBJECT_KEY = r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,199}(/[A-Za-z0-9_-][A-Za-z0-9_.-]{0,199})*"
"""What a key of the object store looks like."""
ObjectKey = Annotated[str, StoredAs(pattern=f"^{OBJECT_KEY}$", max_length=1000)]
END_OF_TIME = 253_402_300_800
"""The year 10000, where calendars end, in seconds since the epoch."""
Timestamp = Annotated[float, StoredAs(ge=0, lt=END_OF_TIME)]
"""Seconds since the epoch."""


def to_datetime(seconds: float) -> datetime:
    """Convert seconds since the epoch to a UTC time. Times that no calendar has, as damaged records hold, become its ends."""
    return datetime.fromtimestamp(min(max(seconds, 0), END_OF_TIME - 1), UTC)


_REQUESTS: Mapping[str, type[EditRequest | MaskRequest]] = {"edit": EditRequest, "mask": MaskRequest}
"""The request class by job kind. The other kinds have a `LearningRequest`."""


class JobState(StrEnum):
    """The state of a job. The last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def over(self) -> bool:
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELED)


TRANSITIONS: Mapping[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.FAILED, JobState.CANCELED}),
    JobState.RUNNING: frozenset({JobState.QUEUED, JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELED}),
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELED: frozenset(),
}


SETTLED_S = 24 * 3600
"""Seconds after its outcome was written by which every job is over in Redis too."""
TEST_TENANT_PREFIX = "test."
"""Prefix of the names of test tenants. Its dot keeps them apart from tenants with keys, whose names cannot contain one."""


def tenant_of_test_mode(tenant: str) -> str:
    """Return the tenant that owns whatever a test key of `tenant` creates. Test and live data are thus separate tenants."""
    return TEST_TENANT_PREFIX + tenant


@dataclass(frozen=True, slots=True)
class Owner:
    """A tenant's user, who owns jobs and data. Both names consist of letters, digits, `-` and `_`; a test tenant also has a dot.

    The API checks the names of incoming requests.
    """

    tenant: str
    user: str

    @property
    def name(self) -> str:
        """The owner as a word, which the job store and the row scheduler know them by."""
        return f"{self.tenant}/{self.user}"

    @property
    def test(self) -> bool:
        """Whether the owner belongs to a test tenant."""
        return self.tenant.startswith(TEST_TENANT_PREFIX)

    @property
    def prefix(self) -> str:
        """The key prefix of all objects of this user. Stored keys contain it, so it must not change."""
        return f"t/{self.tenant}/u/{self.user}/"


@dataclass(frozen=True, slots=True)
class InputFile:
    """A stored input file of a job."""

    key: ObjectKey
    sha256: str
    size_bytes: int
    media_type: str
    mask_mode: MaskMode = "auto"  # for masks only
    # Of a mask that another edit used: its section in that edit's report.
    mask_report: Annotated[Mapping[str, Any] | None, StoredAs(validation_alias="told")] = None

    def to_dict(self) -> dict[str, Any]:
        """Return the stored JSON values. `mask_report` is stored as `told`, only if set: earlier releases reject that key."""
        values = asdict(self)
        report = values.pop("mask_report")
        return values if report is None else values | {"told": report}


@dataclass(frozen=True, slots=True)
class JobSpec:
    """What was accepted. It is written once, before the API answers 202, as `edits/<id>/spec.json`."""

    id: str
    owner: Owner
    created_at: Timestamp
    request: JobRequest
    inputs: Mapping[str, InputFile]  # "image", perhaps "mask" and "edit_mask"
    deadline_at: Timestamp | None = None  # an unfinished job then fails
    webhook_url: str | None = None  # notified when the job is over
    consent: str | None = None  # the request's statement that the person in the photo consents
    # Seconds from learning until the identity is erased; before 0.2 under another name.
    identity_ttl_s: Annotated[
        float | None, StoredAs(ge=0, lt=1e10, validation_alias=AliasChoices("identity_ttl_s", "identity_life_s"))
    ] = None
    traceparent: str | None = None  # of the HTTP request, so that the job's log lines belong to its trace
    parent: str | None = None  # the edit whose result is this one's photo
    # The name of the marker of its Idempotency-Key; "" without a key. None: it was accepted by a release that did not store this.
    key_marker: str | None = None
    by_marker: bool = False  # whether its marker in `unfinished/` accepts it. Earlier releases accepted a job by its spec alone

    @property
    def kind(self) -> JobKind:
        match self.request:
            case EditRequest():
                return "edit"
            case MaskRequest():
                return "mask"
            case LearningRequest(kind=kind):
                return kind

    def to_json(self) -> bytes:
        values = {
            "id": self.id,
            "owner": asdict(self.owner),
            "created_at": self.created_at,
            "kind": self.kind,
            "test": self.owner.test,
            "request": self.request.to_dict(),
            "inputs": {name: file.to_dict() for name, file in self.inputs.items()},
            "deadline_at": self.deadline_at,
            "webhook_url": self.webhook_url,
            "consent": self.consent,
            "identity_ttl_s": self.identity_ttl_s,
            "traceparent": self.traceparent,
            "parent": self.parent,
            "key_marker": self.key_marker,
            "by_marker": self.by_marker,
        }
        return json.dumps(values, ensure_ascii=False, sort_keys=True).encode()

    @classmethod
    def from_json(cls, data: bytes) -> JobSpec:
        """Raise `RecordDamaged` or `RecordNewer`."""
        values = read_values("spec", data)
        return cls(**checked_fields("spec", cls, values, without="request"), request=_stored_request(values))


def _stored_request(values: Mapping[str, Any]) -> JobRequest:
    """Return the request of a stored spec. Check only types: it was checked when it was accepted, by the rules of its release."""
    kind, options = values.get("kind", "edit"), values.get("request")
    if not isinstance(kind, str) or not isinstance(options, dict):
        raise damaged("spec", "it has no request")
    if kind not in KINDS:
        raise RecordNewer("the stored spec is of a kind of job that this release does not know")
    shape = _REQUESTS.get(kind, LearningRequest)
    known = {option.name for option in fields(shape)}
    if any(value is not None for name, value in options.items() if name not in known):
        raise RecordNewer("the stored spec has an option that this release does not know")
    request = cast(JobRequest, object.__new__(shape))  # the constructor would check it by the rules for new requests
    for name, value in checked_fields("spec", shape, options).items():
        object.__setattr__(request, name, value)
    return request


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job failed, in words for the caller. `retryable` means that the same request may succeed later."""

    code: str
    message: str
    retryable: bool = False
    field: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended. It is written to `edits/<id>/outcome.json` with `If-None-Match: *`, so exactly one attempt wins."""

    state: JobState
    attempt: int
    finished_at: Timestamp
    artifacts: Mapping[str, ObjectKey] = field(default_factory=dict)  # "result", "report", "mask" → object keys
    identity: str | None = None  # id of the concept that was learned or used, an identity or an attribute
    failure: Failure | None = None

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Outcome:
        """Raise `RecordDamaged` or `RecordNewer`."""
        outcome = read_record("outcome", cls, data)
        if not outcome.state.over:
            raise damaged("outcome", "its state is not final")
        return outcome


@dataclass(frozen=True, slots=True)
class JobRecord:
    """The current state of a job."""

    id: str
    owner: Owner
    state: JobState
    sequence: int  # grows by one with each visible change
    created_at: float
    updated_at: float
    phase: Phase | None = None
    step: int = 0
    total: int = 0
    attempt: int = 0
    cancel_requested: bool = False
    artifacts: Mapping[str, str] = field(default_factory=dict)
    identity: str | None = None
    failure: Failure | None = None
    preset: str = ""  # the job's `estimate_key`
    deadline_at: float | None = None
    webhook: bool = False  # whether the job has a `webhook_url`
    waits_for: str | None = None  # the concept that another job is learning, while this job waits for it
    kind: JobKind = "edit"
    parent: str | None = None
    preview: int = 0  # the number of the latest preview, which grows; 0 before the first


@dataclass(frozen=True, slots=True)
class Preview:
    """A small picture of what a running edit will show. Only the job store has it."""

    number: int  # the sequence of the change that shows it
    picture: bytes  # WebP


@dataclass(frozen=True, slots=True)
class Lease:
    """The exclusive right to work on a job for `lease_s` seconds. `fence` is a fencing token: it grows with every claim.

    The fence is at least the store's clock in milliseconds. So it also grows across a loss of Redis, and object keys that contain
    it are unique.
    """

    job_id: str
    owner: Owner
    fence: int
    attempt: int  # from 1; a graceful stop is not counted
    lease_s: float
    device_faults: int = 0  # earlier attempts that ended with a fault of their worker's device; they are not counted in `attempt`
    learning_booked: bool = False  # an earlier attempt has begun to learn, and this counts among what the tenant learns that day
    learning_failure: Failure | None = None  # why the learning that this job waited for has failed; this job fails too


@dataclass(frozen=True, slots=True)
class Load:
    """The number of unfinished jobs, including those being accepted."""

    of_owner: int
    of_tenant: int
    in_all: int


@dataclass(frozen=True, slots=True)
class DailyUsage:
    """What a tenant has used today (UTC)."""

    learnings: int = 0
    worker_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Measurement:
    """A measurement that has begun: whose, and how many bytes were booked before, which it will find."""

    tenant: str
    booked: int


@dataclass(frozen=True, slots=True)
class Outlook:
    """The inputs of an estimate of a job's end."""

    ahead: int  # queued jobs that will start before it
    running: int  # running jobs
    seconds: Mapping[str, float]  # mean measured seconds of similar jobs, by phase and in "total"


def new_job_id(now: float | None = None) -> str:
    """Return `e_` and a UUIDv7 in hexadecimal: unguessable, and sorted by time.

    The 12 bits after the version hold the fraction of the millisecond (RFC 9562 §6.2, method 3), so jobs of one burst are sorted
    too.
    """
    fractions = int((time.time() if now is None else now) * 1000 * 4096)
    value = fractions >> 12 << 80 | 0x7 << 76 | (fractions & 0xFFF) << 64 | 0b10 << 62 | secrets.randbits(62)
    return f"e_{uuid.UUID(int=value).hex}"


def first_record(spec: JobSpec) -> JobRecord:
    """Return the record of a job that was just accepted."""
    return JobRecord(
        id=spec.id,
        owner=spec.owner,
        state=JobState.QUEUED,
        sequence=1,
        created_at=spec.created_at,
        updated_at=spec.created_at,
        preset=estimate_key(spec.request, test=spec.owner.test),
        kind=spec.kind,
        parent=spec.parent,
        identity=spec.request.identity if isinstance(spec.request, EditRequest) else None,
        deadline_at=spec.deadline_at,
        webhook=spec.webhook_url is not None,
    )


def recovered_record(first: JobRecord) -> JobRecord:
    """Return the record of an unfinished job that the job store has lost. Its sequence is above every earlier one.

    `first` is its first record.
    """
    now = time.time()
    return replace(first, sequence=int(now * 1000), updated_at=now)


def final_record(first: JobRecord, outcome: Outcome) -> JobRecord:
    """Return the record of a job that is over, from what the object store holds. `first` is its first record."""
    return replace(
        first,
        state=outcome.state,
        # Above every sequence that a rebuilt record can have reached by then, even with several changes per millisecond, and if
        # Redis came back older after the outcome was written: the record's sequence is then lifted to that moment.
        sequence=int((outcome.finished_at + SETTLED_S) * 1000),
        updated_at=outcome.finished_at,
        attempt=outcome.attempt,
        cancel_requested=outcome.state is JobState.CANCELED,
        artifacts=outcome.artifacts,
        identity=outcome.identity,
        failure=outcome.failure,
    )
