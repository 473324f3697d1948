"""Follow an edit by server-sent events, and reconnect when a connection ends early."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx
from httpx_sse import EventSource, ServerSentEvent, SSEError

from . import waiting
from .connections import INVALID, LOST
from .rest.models import Edit, JobState, Problem
from .waiting import NOT_OURS, RETRYABLE, EditFailed, Foreign, failure_of, invalid_request, new_client, retry_after, unreachable

_DISCONNECTED = (*LOST, *NOT_OURS, SSEError)


def follow_edit(url: str, edit_id: str, *, token: str | None = None, user: str | None = None, after: int = 0) -> Iterator[Edit]:
    """Yield the edit every time it changes. The last one has the final state.

    If a connection ends early, the next one continues after the last change. `url`, `token` and `user` are those of
    `edit_and_wait`. With `after`, the `sequence` of an earlier `Edit`, only later changes are yielded. Raises `EditFailed` for an
    error response, or if the service is unreachable for too long.
    """
    progress = _Progress(edit_id, user, after)
    with new_client(url, token) as client:
        while not progress.over:
            try:
                with client.get_httpx_client().stream(**progress.request) as response:
                    if progress.opened(response):
                        yield from filter(None, map(progress.received, EventSource(response).iter_sse()))
                    else:
                        response.read()
                        progress.rejected(response)
            except INVALID as error:
                raise invalid_request(error) from error
            except _DISCONNECTED as error:
                progress.lost(error)
            if not progress.over:
                time.sleep(progress.pause_s())


async def follow_edit_async(
    url: str, edit_id: str, *, token: str | None = None, user: str | None = None, after: int = 0
) -> AsyncIterator[Edit]:
    """Yield what `follow_edit` yields, without blocking the event loop."""
    progress = _Progress(edit_id, user, after)
    async with new_client(url, token) as client:
        while not progress.over:
            try:
                async with client.get_async_httpx_client().stream(**progress.request) as response:
                    if progress.opened(response):
                        async for event in EventSource(response).aiter_sse():
                            if (edit := progress.received(event)) is not None:
                                yield edit
                    else:
                        await response.aread()
                        progress.rejected(response)
            except INVALID as error:
                raise invalid_request(error) from error
            except _DISCONNECTED as error:
                progress.lost(error)
            if not progress.over:
                await asyncio.sleep(progress.pause_s())


class _Progress:
    """The state that outlasts a single connection."""

    def __init__(self, edit_id: str, user: str | None, after: int) -> None:
        self.over = False
        self._edit_id = edit_id
        self._user = user
        self._after = after
        self._failure: EditFailed | None = None
        self._cause: Exception | None = None
        self._lost_since: float | None = None
        self._pause_s = waiting.PAUSE_S

    @property
    def request(self) -> dict[str, Any]:
        headers = {"Accept": "text/event-stream"}
        headers |= {"S2Edit-User": self._user} if self._user else {}
        headers |= {"Last-Event-ID": str(self._after)} if self._after else {}
        return {"method": "GET", "url": f"/edits/{quote(self._edit_id, safe='')}/events", "headers": headers}

    def opened(self, response: httpx.Response) -> bool:
        """Note a response. Return whether it is a stream of events."""
        self._failure, self._pause_s = None, waiting.PAUSE_S
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if response.status_code == HTTPStatus.OK and kind == "text/event-stream":
            if not isinstance(self._cause, NOT_OURS):  # a stream that can't be read is no better for being open
                self._lost_since = None
            return True
        return False

    def received(self, event: ServerSentEvent) -> Edit | None:
        """Return the edit of an event; None for an event without one."""
        if event.event != "edit":
            return None
        edit = Edit.from_dict(json.loads(event.data))
        self._after, self._cause, self._lost_since = edit.sequence, None, None
        self.over = edit.state in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELED)
        return edit

    def rejected(self, response: httpx.Response) -> None:
        """Note a response without events. Raises `EditFailed` if a retry is of no use."""
        if response.status_code == HTTPStatus.NO_CONTENT:
            self.over = True
            return
        try:
            self._failure = failure_of(Problem.from_dict(response.json()), self._edit_id)
        except NOT_OURS:
            self._failure = unreachable(Foreign(response.status_code), self._edit_id)
        self._pause_s = retry_after(response)
        if not (self._failure.retryable or response.status_code in RETRYABLE):
            raise self._failure

    def lost(self, error: Exception) -> None:
        """Note why a connection ended early."""
        self._cause = error

    def pause_s(self) -> float:
        """Return the seconds until the next connection. Raises `EditFailed` if the service is unreachable for too long."""
        now = time.monotonic()
        self._lost_since = self._lost_since or now
        if now + self._pause_s - self._lost_since > waiting.PATIENCE_S:
            raise self._failure or unreachable(self._cause, self._edit_id)
        return self._pause_s
