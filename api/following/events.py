"""How an edit goes on, as a stream of server-sent events: the same sequence that polls and long polls show."""

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
"""Silence after which a comment is sent, so that nobody between takes the connection for dead."""
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
    "description": "Each event; as a whole it is text",
    "properties": {
        "event": {"enum": ["edit", "gap"]},
        "id": {"type": "string", "description": "The sequence"},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
}
router = APIRouter(tags=["edits"], responses=responses(422, 503))


class EventStream(StreamingResponse):
    media_type = "text/event-stream"


@router.get(
    "/edits/{edit_id}/events",
    operation_id="streamEdit",
    summary="Follow an edit by server-sent events",
    response_class=EventStream,
    responses={
        200: {
            "description": "`edit`: how it stands, as `GET /edits/{id}` shows it; its id is the sequence. "
            "`gap`: events between `after` and `next` can't be replayed any more. The stream ends when the edit is over",
            "headers": {
                "X-Accel-Buffering": {"description": "`no`: a proxy passes events on at once", "schema": {"type": "string"}}
            },
            "content": {"text/event-stream": {"schema": EACH_EVENT, "examples": {"stream": {"value": EXAMPLE}}}},
        },
        204: {"description": "The edit is over and nothing is new: don't reconnect"},
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
        str | None, Header(pattern=r"^\d{1,18}$", description="The last sequence that was seen: the stream goes on behind it")
    ] = None,
) -> Response:
    """Without `Last-Event-ID` the stream begins with the oldest event that is kept. It ends also with the key or token."""
    after = int(last_event_id or 0)
    record = await run_in_threadpool(jobs.get, owner, edit_id)
    if record.state.over and record.sequence <= after:
        return Response(status_code=204)
    stream = _Stream(services, jobs, owner, edit_id, lambda: auth.still_counts(principal))
    return EventStream(stream.follow(changes, after), headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})


class _Stream:
    def __init__(self, services: Services, jobs: Jobs, owner: Owner, edit_id: str, allowed: Callable[[], bool]) -> None:
        self._services = services
        self._jobs = jobs
        self._owner = owner
        self._edit_id = edit_id
        self._allowed = allowed

    async def follow(self, changes: Changes, after: int) -> AsyncIterator[bytes]:
        yield format_sse_event(retry=RECONNECT_MS)
        with changes.watching(self._edit_id) as bell:
            while not changes.stopping:
                bell.clear()
                try:
                    events, last = await run_in_threadpool(self._news, after)
                except ServiceUnavailable:
                    events, last = [format_sse_event(comment="a part of the service does not answer")], None
                except (JobNotFound, AccessDenied):  # erased; or no longer for whoever listens
                    return
                for event in events:
                    yield event
                if last is not None:
                    after = last.sequence
                    if last.state.over:
                        return
                with suppress(TimeoutError):
                    await asyncio.wait_for(bell.wait(), KEEPALIVE_S)
                    continue
                yield KEEPALIVE_COMMENT

    def _news(self, after: int) -> tuple[list[bytes], JobRecord | None]:
        """The events behind `after`, and the last of them. Raises `AccessDenied`."""
        if not self._allowed():
            raise AccessDenied("the key or token of this stream counts no more")
        records, whole = self._jobs.events(self._owner, self._edit_id, after=after)
        events = [self._event(record) for record in records]
        if records and not whole and after:
            gap = {"after": after, "next": records[0].sequence}
            events.insert(0, format_sse_event(event="gap", data_str=json.dumps(gap)))
        return events, records[-1] if records else None

    def _event(self, record: JobRecord) -> bytes:
        edit = present(self._services, record, Response())
        return format_sse_event(event="edit", id=str(record.sequence), data_str=edit.model_dump_json())
