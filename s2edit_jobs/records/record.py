"""A job's life as values.

    queued ──claimed──▶ running ──outcome──▶ succeeded | failed | canceled
      ▲                    │
      └────lease lost──────┘        queued ──canceled──▶ canceled

The immutable `JobSpec` (what was accepted) and the one `Outcome` (how it ended) lie in the object store: they are the truth.
`JobRecord` is the view that Redis keeps between the two; it can be lost and is rebuilt from them.
"""

from __future__ import annotations

import json
import re
import secrets
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal, get_args

from s2edit_core.request.spec import EditRequest, LearningRequest, MaskMode, MaskRequest, Phase

JobRequest = EditRequest | LearningRequest | MaskRequest
JobKind = Literal["edit", "identity", "attribute", "mask"]
"""What a job makes: a picture, a concept ahead of any, or the mask of a person."""
PHASES = get_args(Phase)
JOB_ID = re.compile(r"e_[0-9a-f]{32}")


_REQUESTS: Mapping[str, type[EditRequest | MaskRequest]] = {"edit": EditRequest, "mask": MaskRequest}
"""By the kind of a job; those of the other kinds are learned."""


class JobState(StrEnum):
    """How a job stands; the last three are ends."""

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


TWIN = "test."
"""How the name of a tenant's twin begins. No tenant that a key is made for can have such a name, for it holds a dot."""


def twin(tenant: str) -> str:
    """The tenant that has whatever is made with a test key of `tenant`. So test and live data are apart as tenants are."""
    return TWIN + tenant


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose job it is. Both names are made of letters, digits, `-` and `_` (checked where they enter), but for a twin's dot."""

    tenant: str
    user: str

    @property
    def test(self) -> bool:
        """Whether all that this owner has was made in test mode."""
        return self.tenant.startswith(TWIN)

    @property
    def prefix(self) -> str:
        """The prefix of the object store under which everything of a user lies. Stored keys hold it: it must not change."""
        return f"t/{self.tenant}/u/{self.user}/"


@dataclass(frozen=True, slots=True)
class InputFile:
    """An uploaded file as it was accepted."""

    key: str
    sha256: str
    size_bytes: int
    media_type: str
    mask_mode: MaskMode = "auto"  # of a mask: how it is read
    told: Mapping[str, Any] | None = None  # of a mask that another edit used: what reports say of it

    def to_dict(self) -> dict[str, Any]:
        """JSON values; what former releases do not know is left out where it says nothing."""
        return {name: value for name, value in asdict(self).items() if name != "told" or value is not None}


@dataclass(frozen=True, slots=True)
class JobSpec:
    """What was accepted; written once, before the `202`, as `edits/<id>/spec.json`."""

    id: str
    owner: Owner
    created_at: float  # seconds since the epoch
    request: JobRequest
    inputs: Mapping[str, InputFile]  # "image", perhaps "mask" and "edit_mask"
    deadline_at: float | None = None  # seconds since the epoch; after it the edit is no longer wanted
    webhook_url: str | None = None  # who is told when it is over
    consent: str | None = None  # of the person to be learned, in the words of the request
    identity_ttl_s: float | None = None  # seconds from its learning, after which the identity is erased
    traceparent: str | None = None  # of the request that asked for it: its log lines can be found by that
    parent: str | None = None  # the edit whose result is this one's photo

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
        }
        return json.dumps(values, ensure_ascii=False, sort_keys=True).encode()

    @classmethod
    def from_json(cls, data: bytes) -> JobSpec:
        values = json.loads(data)
        return cls(
            id=values["id"],
            owner=Owner(**values["owner"]),
            created_at=values["created_at"],
            request=_REQUESTS.get(values.get("kind", "edit"), LearningRequest).from_dict(values["request"]),
            inputs={name: InputFile(**file) for name, file in values["inputs"].items()},
            deadline_at=values.get("deadline_at"),
            webhook_url=values.get("webhook_url"),
            consent=values.get("consent"),
            identity_ttl_s=values.get("identity_ttl_s", values.get("identity_life_s")),  # the name before 0.2
            traceparent=values.get("traceparent"),
            parent=values.get("parent"),
        )


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job failed, for the person who asked. `retryable`: the same request may succeed later."""

    code: str
    message: str
    retryable: bool = False
    field: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended; written once, with `If-None-Match: *`, as `edits/<id>/outcome.json`: exactly one attempt wins."""

    state: JobState
    attempt: int
    finished_at: float
    artifacts: Mapping[str, str] = field(default_factory=dict)  # "result", "report", "mask" → object keys
    identity: str | None = None  # the concept that was learned or used, also an attribute: later edits may name it
    failure: Failure | None = None

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Outcome:
        values: dict[str, Any] = json.loads(data)
        failure = values.pop("failure")
        return cls(**{**values, "state": JobState(values["state"])}, failure=Failure(**failure) if failure else None)


@dataclass(frozen=True, slots=True)
class JobRecord:
    """Where a job stands now."""

    id: str
    owner: Owner
    state: JobState
    sequence: int  # grows by one with every visible change
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
    preset: str = ""  # what its duration depends on
    deadline_at: float | None = None
    webhook: bool = False  # somebody is to be told when it is over
    waits_for: str | None = None  # the concept that another job is learning; queued until that is over
    kind: JobKind = "edit"
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on a job until it runs out. `fence` grows with every claim and betrays a stale holder.

    The fence is at least the store's clock in milliseconds, so it grows also over a loss of Redis: keys made with it are unique.
    """

    job_id: str
    owner: Owner
    fence: int
    attempt: int  # from 1; a graceful stop does not count as an attempt
    lease_s: float
    verdict: Failure | None = None  # why the learning failed that this job waited for: it fails too


@dataclass(frozen=True, slots=True)
class Load:
    """How many jobs are not over, those that are being taken on included."""

    of_owner: int
    in_all: int


@dataclass(frozen=True, slots=True)
class Spent:
    """What a tenant has used today, by UTC, as far as it was booked."""

    learnings: int = 0
    worker_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Outlook:
    """What an estimate of a job's end is made of."""

    ahead: int  # jobs that come before it, as the turns stand now
    running: int  # jobs that are worked on now
    seconds: Mapping[str, float]  # measured means of the job's preset, by phase, and "total"


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
    if isinstance(request, MaskRequest):
        return f"{mode}mask"
    if isinstance(request, LearningRequest):
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
