"""The response schemas of edits and other jobs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from s2edit_core.request.spec import Phase
from s2edit_jobs.records.record import JobKind, JobRecord, JobState, to_datetime


class DryRun(BaseModel):
    """What the same request would do without `dry_run`. Nothing is stored or reserved."""

    learning: Annotated[
        Literal["needed", "known", "unknown"],
        Field(
            description="`known`: the identity exists already. `unknown`: a worker must first report its model, find the mask or "
            "describe the photo."
        ),
    ]
    identity: Annotated[str | None, Field(description="The id that the identity has or would get; null while unknown.")]
    eta_s: Annotated[
        float | None,
        Field(description="Upper estimate of the seconds until the edit would be done, from past edits; null while unknown."),
    ]
    warnings: Annotated[
        list[str],
        Field(description="What may go wrong although the request is valid, in sentences: words that the model does not know."),
    ]


class ProgressView(BaseModel):
    """Progress of the current phase."""

    phase: Annotated[Phase, Field(description="The phase that is running.")]
    step: Annotated[int, Field(description="The number of finished steps of the phase.")]
    total: Annotated[int, Field(description="The number of steps of the phase.")]
    fraction: Annotated[float, Field(description="`step` divided by `total`, 0 to 1.")]


class Link(BaseModel):
    """A signed URL of a file. It needs no credentials; get the edit again for a fresh one."""

    url: Annotated[str, Field(description="A signed URL that needs no other credentials.")]
    expires_at: Annotated[datetime, Field(description="When the URL expires. Get the edit again for a fresh one.")]


class Picture(Link):
    """A signed URL of a result."""

    media_type: Annotated[str, Field(description="The media type of the picture.", examples=["image/png"])]


class Report(Link):
    """What the edit did and measured, with a signed URL of the same JSON."""

    values: Annotated[dict[str, Any], Field(description="The report itself; `url` leads to the same JSON.")]


class EditError(BaseModel):
    """Why a job failed."""

    code: Annotated[str, Field(description="A stable error code for programs.")]
    message: Annotated[str, Field(description="The explanation for people.")]
    retryable: Annotated[bool, Field(description="Whether the same request may succeed later.")]
    field: Annotated[str | None, Field(description="The field to change, if the request was at fault.")] = None


class Edit(BaseModel):
    """The state of an edit or of another job."""

    id: Annotated[str, Field(description="The id of the edit or other job.")]
    kind: Annotated[
        JobKind,
        Field(
            description="`edit`, `identity` or `attribute` (learning alone) or `mask` (finding a person). Only an `edit` has "
            "results."
        ),
    ]
    state: Annotated[
        JobState,
        Field(description="`queued`, `running`, or one of the final states `succeeded`, `failed` and `canceled`."),
    ]
    phase: Annotated[Phase | None, Field(description="The current or last phase; null while none is known.")]
    progress: Annotated[ProgressView | None, Field(description="The progress of `phase`; null while none is known.")]
    preview: Annotated[
        int | None,
        Field(
            description="The number of the latest preview, which grows with each new one: get it from `/edits/{edit_id}/preview`. "
            "Null before the first one and when the edit is over."
        ),
    ]
    created_at: Annotated[datetime, Field(description="When the job was accepted.")]
    updated_at: Annotated[datetime, Field(description="When the job last changed.")]
    sequence: Annotated[int, Field(description="A number that grows with every change of the job.")]
    cancel_requested: Annotated[bool, Field(description="Whether cancellation was requested. A running job stops within a step.")]
    expires_at: Annotated[
        datetime | None, Field(description="When the service erases the job; null while it is not over, and if it is kept.")
    ]
    results_expire_at: Annotated[
        datetime | None,
        Field(
            description="When the service erases the photo, the masks and the results; null as for `expires_at`. From then on, "
            "`result` and `mask` are null; state and report remain."
        ),
    ]
    deadline_at: Annotated[datetime | None, Field(description="When the job fails unless it is done; null without a deadline.")]
    eta_s: Annotated[
        float | None,
        Field(description="Estimated seconds until the job is done, from similar jobs; null while unknown and when it is over."),
    ]
    identity: Annotated[str | None, Field(description="The id of the identity that was learned or used. Later edits can name it.")]
    attribute: Annotated[str | None, Field(description="The id of the attribute that was learned. Later edits can name it.")]
    parent: Annotated[str | None, Field(description="The id of the edit that this one continues.")]
    test: Annotated[bool, Field(description="Whether the job was created in test mode, where no model draws the result.")]
    result: Annotated[Picture | None, Field(description="The edited photo, once the state is `succeeded` and until it expires.")]
    results: Annotated[list[Picture], Field(description="`result` and its variants, in order. Empty unless there is a `result`.")]
    mask: Annotated[
        Link | None,
        Field(
            description="The mask that was sent or found, once the state is `succeeded`. The report's `mask` says where it came "
            "from."
        ),
    ]
    report: Annotated[Report | None, Field(description="What was done and measured, once the state is `succeeded`. Lists omit it.")]
    error: Annotated[EditError | None, Field(description="Why the job failed, once the state is `failed`.")]

    @classmethod
    def of(
        cls,
        record: JobRecord,
        *,
        results: Sequence[Picture] = (),
        mask: Link | None = None,
        report: Report | None = None,
        eta_s: float | None = None,
        expires_at: float | None = None,
        results_expire_at: float | None = None,
    ) -> Edit:
        """Build the response for `record`."""
        failure = record.failure
        return cls(
            id=record.id,
            kind=record.kind,
            state=record.state,
            phase=record.phase,
            progress=_progress(record),
            preview=None if record.state.over else record.preview or None,
            created_at=to_datetime(record.created_at),
            updated_at=to_datetime(record.updated_at),
            sequence=record.sequence,
            cancel_requested=record.cancel_requested,
            expires_at=to_datetime(expires_at) if expires_at is not None else None,
            results_expire_at=to_datetime(results_expire_at) if results_expire_at is not None else None,
            deadline_at=to_datetime(record.deadline_at) if record.deadline_at is not None else None,
            eta_s=None if eta_s is None else round(eta_s, 1),
            identity=record.identity if record.kind != "attribute" else None,
            attribute=record.identity if record.kind == "attribute" else None,
            parent=record.parent,
            test=record.owner.test,
            result=results[0] if results else None,
            results=list(results),
            mask=mask,
            report=report,
            error=EditError(code=failure.code, message=failure.message, retryable=failure.retryable, field=failure.field)
            if failure
            else None,
        )


def _progress(record: JobRecord) -> ProgressView | None:
    if record.phase is None:
        return None
    # Workers report a phase when it begins, so the last one is never reported as complete.
    step = record.total if record.state is JobState.SUCCEEDED else record.step
    fraction = min(1.0, step / record.total) if record.total else 0.0
    return ProgressView(phase=record.phase, step=step, total=record.total, fraction=fraction)


class EditPage(BaseModel):
    """One page of a list of edits and other jobs."""

    items: Annotated[list[Edit], Field(description="The edits and other jobs of this page, newest first.")]
    next_cursor: Annotated[str | None, Field(description="The `cursor` of the next page; null on the last page.")]
