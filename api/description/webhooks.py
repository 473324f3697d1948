"""What an app's own server is sent, for the OpenAPI description.

`s2edit_jobs.records.webhooks` writes the body, and the worker sends it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import FastAPI, Header, Response
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from api.wire.schemas import EditError
from s2edit_jobs.records.record import JobState

Over = Literal[JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELED]
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
    """How the job ended. There are no links in it: ask for the edit."""

    model_config = ConfigDict(extra="forbid")

    id: str
    state: Over
    identity: Annotated[
        str | None, Field(description="That was learned or used; absent where an attribute was learned or a mask found")
    ] = None
    attribute: Annotated[str | None, Field(description="That was learned; absent otherwise")] = None
    test: Annotated[bool, Field(description="True for what was asked for with a test key; absent otherwise")] = False
    error: Annotated[EditError | None, Field(description="Absent unless the state is `failed`")] = None


class WebhookMessage(BaseModel):
    """The body, as the Standard Webhooks specification wants it."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [EXAMPLE]})

    type: Annotated[
        str, Field(pattern=r"^(edit|identity|attribute|mask)\.(succeeded|failed|canceled)$", examples=["edit.succeeded"])
    ]
    timestamp: Annotated[datetime, Field(description="When it ended")]
    data: WebhookData


def describe_webhooks(app: FastAPI) -> None:
    """Add the one message that goes out to what `app` describes; nothing is routed to it."""

    @app.webhooks.post(
        "job-over",
        operation_id="onJobOver",
        summary="An edit, a learning or a search for a mask is over",
        tags=["webhooks"],
        status_code=204,
        responses={
            204: {"description": "Any 2XX: taken. 410: send no more of this job"},
            "default": {"description": "Anything else, or silence for 10 s: tried again, for more than two days"},
        },
    )
    def job_over(
        message: WebhookMessage,
        webhook_id: Annotated[str, Header(description="The same however often it is sent: tell repetitions by it")],
        webhook_timestamp: Annotated[int, Header(description="When it was sent, in seconds since the epoch")],
        webhook_signature: Annotated[
            str,
            Header(description="`v1,` and base64 of HMAC-SHA256 over id, timestamp and body; one for each key of the service"),
        ],
    ) -> Response:
        """Sent to a job's `webhook_url`, at least once. Verify it with a library of standardwebhooks.com before you believe it."""
        raise NotImplementedError("described here, sent by the worker")
