"""Server-sent events of an edit. Polls and long polls show the same sequence."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Header, Response
from fastapi.responses import StreamingResponse
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from starlette.concurrency import run_in_threadpool

from api.changes import Changes
from api.deps import AuthDep, Caller, ChangesDep, JobsDep, PrincipalDep, ServicesDep
from api.description.examples import RUNNING
from api.following.edit_state import present
from api.wire.problems import responses
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.jobs.jobs import Jobs
from s2edit_jobs.records.errors import AccessDenied, JobNotFound, ServiceUnavailable
from s2edit_jobs.records.record import JobRecord, Owner

KEEPALIVE_S = 15.0
"""Seconds of silence before a comment is sent, so that proxies keep the connection open."""
RECONNECT_MS = 1000

EXAMPLE = f"""retry: {RECONNECT_MS}

event: gap
data: {{"after": 12, "next": {RUNNING["sequence"]}}}

event: edit
id: {RUNNING["sequence"]}
data: {json.dumps(RUNNING)}

: ping
"""
EACH_EVENT = {
    "type": ["object", "string"],
    "description": "One event. The stream as a whole is text.",
    "properties": {
        "event": {"enum": ["edit", "gap"]},
        "id": {"type": "string", "description": "The `sequence` of the edit."},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
}
router = APIRouter(tags=["edits"], responses=responses(422, 503))


class EventStream(StreamingResponse):
    media_type = "text/event-stream"


@router.get(
    "/edits/{edit_id}/events",
    operation_id="streamEdit",
    summary="Stream an edit",
    response_class=EventStream,
    responses={
        200: {
            "description": "Server-sent events. `edit`: the edit as `GET /edits/{edit_id}` shows it, with its `sequence` as id. "
            "`gap`: the events between `after` and `next` can't be replayed any more. The stream ends when the edit is over.",
            "headers": {
                "X-Accel-Buffering": {"description": "`no`: proxies must not buffer events.", "schema": {"type": "string"}}
            },
            "content": {"text/event-stream": {"schema": EACH_EVENT, "examples": {"stream": {"value": EXAMPLE}}}},
        },
        204: {"description": "The edit is over and has no newer events: do not reconnect."},
        **responses(404),
    },
)
async def stream_edit(
    edit_id: str,
    owner: Caller,
    services: ServicesDep,
    jobs: JobsDep,
    changes: ChangesDep,
    auth: AuthDep,
    principal: PrincipalDep,
    last_event_id: Annotated[
        str | None,
        Header(pattern=r"^\d{1,18}$", description="The last `sequence` that was received. The stream continues after it."),
    ] = None,
) -> Response:
    """Stream every change of the edit. Without `Last-Event-ID` the stream begins with the oldest stored event.

    The stream also ends when the key or token does.
    """
    after = int(last_event_id or 0)
    record = await run_in_threadpool(jobs.get, owner, edit_id)
    if record.state.over and record.sequence == after:
        return Response(status_code=204)
    stream = _Stream(services, jobs, owner, edit_id, lambda: auth.is_valid(principal))
    return EventStream(stream.follow(changes, after), headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})


class _Stream:
    """One connection. `allowed` says whether its key or token is still valid."""

    def __init__(self, services: Services, jobs: Jobs, owner: Owner, edit_id: str, allowed: Callable[[], bool]) -> None:
        self._services = services
        self._jobs = jobs
        self._owner = owner
        self._edit_id = edit_id
        self._allowed = allowed

    async def follow(self, changes: Changes, after: int) -> AsyncIterator[bytes]:
        yield format_sse_event(retry=RECONNECT_MS)
        with changes.watching(self._edit_id) as changed:
            while not changes.stopping:
                changed.clear()
                try:
                    events, last = await run_in_threadpool(self._events_after, after)
                except ServiceUnavailable:
                    events, last = [format_sse_event(comment="a part of the service does not answer")], None
                except (JobNotFound, AccessDenied):  # erased, or the caller lost access
                    return
                for event in events:
                    yield event
                if last is not None:
                    after = last.sequence
                    if last.state.over:
                        return
                with suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), KEEPALIVE_S)
                    continue
                yield KEEPALIVE_COMMENT

    def _events_after(self, after: int) -> tuple[list[bytes], JobRecord | None]:
        """Return the events after sequence `after` and the last of their records. Raises `AccessDenied`.

        A `gap` comes before each event that does not follow the one before it: a Redis that comes back older jumps in between.
        """
        if not self._allowed():
            raise AccessDenied("the key or token of this stream is no longer valid")
        records, _ = self._jobs.events(self._owner, self._edit_id, after=after)
        events: list[bytes] = []
        for record in records:
            if after and record.sequence != after + 1:
                gap = {"after": after, "next": record.sequence}
                events.append(format_sse_event(event="gap", data_str=json.dumps(gap)))
            events.append(self._event(record))
            after = record.sequence
        return events, records[-1] if records else None

    def _event(self, record: JobRecord) -> bytes:
        edit = present(self._services, record, Response())
        return format_sse_event(event="edit", id=str(record.sequence), data_str=edit.model_dump_json())
