"""The webhook in the OpenAPI description. `s2edit_jobs.records.webhooks` writes its body, and the worker sends it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Response
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from api.wire.edit_answers import EditError
from s2edit_jobs.records.record import JobState

router = APIRouter()
"""What the worker sends. It is only described: the app serves none of it."""

FinalState = Literal[JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELED]
EXAMPLE: JsonDict = {
    "type": "edit.succeeded",
    "timestamp": "2026-11-23T22:10:51.250000Z",
    "data": {
        "id": "e_01a20cdd974a71128ec3f808269cd504",
        "state": "succeeded",
        "identity": "c_28e53ba2fe96501a6aa2e4a26de5553c",
    },
}


class WebhookData(BaseModel):
    """How the job ended. It contains no links: get the edit for these."""

    model_config = ConfigDict(extra="forbid")

    id: Annotated[str, Field(description="The id of the job.")]
    state: Annotated[FinalState, Field(description="The final state of the job.")]
    identity: Annotated[
        str | None, Field(description="The identity that was learned or used; absent for an attribute or a mask.")
    ] = None
    attribute: Annotated[str | None, Field(description="The attribute that was learned; absent otherwise.")] = None
    test: Annotated[bool, Field(description="`true` in test mode; absent otherwise.")] = False
    error: Annotated[EditError | None, Field(description="Why the job failed; absent otherwise.")] = None


class WebhookMessage(BaseModel):
    """The body of a webhook, as Standard Webhooks defines it."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [EXAMPLE]})

    type: Annotated[
        str,
        Field(
            pattern=r"^(edit|identity|attribute|mask)\.(succeeded|failed|canceled)$",
            description="The kind and the final state of the job.",
            examples=["edit.succeeded"],
        ),
    ]
    timestamp: Annotated[datetime, Field(description="When the job ended.")]
    data: Annotated[WebhookData, Field(description="How the job ended.")]


@router.post(
    "job-over",
    operation_id="onJobOver",
    summary="A job is over",
    tags=["webhooks"],
    status_code=204,
    responses={
        204: {"description": "Any 2XX accepts the webhook. A 410 stops the webhooks of this job."},
        "default": {"description": "Anything else, or no response within 10 s. The service tries again for more than two days."},
    },
)
def job_over(
    message: WebhookMessage,
    webhook_id: Annotated[str, Header(description="The id of the message. A retry has the same id.")],
    webhook_timestamp: Annotated[int, Header(description="When the message was sent, in seconds since the epoch.")],
    webhook_signature: Annotated[
        str,
        Header(description="For each key of the service, `v1,` and the base64 HMAC-SHA256 of id, timestamp and body."),
    ],
) -> Response:
    """The service sends this to the `webhook_url` of a job, at least once.

    Verify the signature with a library of standardwebhooks.com before you trust the message.
    """
    raise NotImplementedError("this route only describes what the worker sends")
