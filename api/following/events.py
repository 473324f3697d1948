"""Server-sent events of an edit. Polls and long polls show the same sequence."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Annotated

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from starlette.types import Receive, Scope, Send

from api.changes import Changes, is_set_within
from api.deps import AuthDep, Caller, ChangesDep, JobsDep, PrincipalDep
from api.description.examples import RUNNING
from api.following.connections import Connections
from api.following.feeds import UNAVAILABLE, Event, Feed, Feeds
from api.guard.auth import Principal
from api.slow_calls import SharedCalls
from api.wire import problems
from api.wire.fields import SEQUENCE_PATTERN
from api.wire.problems import responses
from s2edit_jobs.records.errors import JobNotFound, ServiceUnavailable, StreamsFull, TooManyStreams
from s2edit_jobs.records.record import Owner

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
router = APIRouter(tags=["edits"], responses=responses(422, 429, 503))


class EventStream(StreamingResponse):
    media_type = "text/event-stream"


class _CountedStream(EventStream):
    """A stream that counts as a connection of its owner while it is open. Beyond the bounds it answers with a problem instead."""

    def __init__(self, events: AsyncIterator[bytes], connections: Connections, owner: Owner, headers: Mapping[str, str]) -> None:
        super().__init__(events, headers=headers)
        self._connections = connections
        self._owner = owner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with self._connections.held(self._owner):
                await super().__call__(scope, receive, send)
        except (TooManyStreams, StreamsFull) as error:
            await problems.response(problems.problem_of(error), problems.headers_of(error))(scope, receive, send)


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
    request: Request,
    owner: Caller,
    jobs: JobsDep,
    changes: ChangesDep,
    auth: AuthDep,
    principal: PrincipalDep,
    last_event_id: Annotated[
        str | None,
        Header(pattern=SEQUENCE_PATTERN, description="The last `sequence` that was received. The stream continues after it."),
    ] = None,
) -> Response:
    """Stream every change of the edit. Without `Last-Event-ID` the stream begins with the oldest stored event.

    The stream also ends when the key or token does.
    """
    connections: Connections = request.app.state.connections
    connections.check(owner)  # before any work; `_CountedStream` checks again, because requests come at the same time
    after = int(last_event_id or 0)
    record = await changes.threads.run(lambda: jobs.get(owner, edit_id))
    if record.state.over and record.sequence == after:
        return Response(status_code=204)
    feeds: Feeds = request.app.state.feeds
    checks: SharedCalls[Principal] = request.app.state.credential_checks
    stream = _Stream(feeds, changes, owner, edit_id, lambda: checks.run(principal, lambda: auth.is_valid(principal)))
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return _CountedStream(stream.follow(after), connections, owner, headers)


class _Stream:
    """One connection. `allowed` says whether its key or token is still valid."""

    def __init__(self, feeds: Feeds, changes: Changes, owner: Owner, edit_id: str, allowed: Callable[[], Awaitable[bool]]) -> None:
        self._feeds = feeds
        self._changes = changes
        self._owner = owner
        self._edit_id = edit_id
        self._allowed = allowed
        self._position: int | None = None  # in the feed; None until the events before it were read

    async def follow(self, after: int) -> AsyncIterator[bytes]:
        """Yield the events after the sequence `after`.

        A `gap` comes before each event that does not follow the one before it: a Redis that comes back older jumps in between.
        """
        yield format_sse_event(retry=RECONNECT_MS)
        with self._feeds.following(self._owner, self._edit_id) as (feed, news):
            while not self._changes.stopping:
                news.clear()
                events = await self._events(feed, after)
                for event in events or ():
                    if event.sequence is not None:
                        if event.sequence <= after and not event.over:
                            continue
                        if after and event.sequence != after + 1:
                            gap = {"after": after, "next": event.sequence}
                            yield format_sse_event(event="gap", data_str=json.dumps(gap))
                        after = event.sequence
                    yield event.data
                    if event.over:
                        return
                if events is None or feed.ended:
                    return
                if not await is_set_within(KEEPALIVE_S, news):
                    yield KEEPALIVE_COMMENT

    async def _events(self, feed: Feed, after: int) -> list[Event] | None:
        """Return what is new, or None if the edit was erased or the caller has lost access."""
        try:
            if not await self._allowed():
                return None
            if self._position is None and feed.covers(after):
                self._position = 0
            if self._position is None:
                position, events = feed.position, await self._feeds.read(self._owner, self._edit_id, after)
                self._position = max(position, feed.begin(after, events))
                return events
        except ServiceUnavailable:
            return [UNAVAILABLE]
        except JobNotFound:
            return None
        events, self._position = feed.since(self._position), feed.position
        return events
