"""Follow an edit by its stream of server-sent events, over the ends of connections. Written by hand."""

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
from .rest.models import Edit, JobState, Problem
from .waiting import LOST, NOT_NOW, EditFailed, new_client, refusal, retry_after

_CUT = (*LOST, SSEError)


def follow_edit(url: str, edit_id: str, *, token: str | None = None, user: str | None = None, after: int = 0) -> Iterator[Edit]:
    """How an edit stands, each time that it changes, until it is over: the last one says how it ended.

    `url`, `token` and `user` as of `edit_and_wait`; `after` is a sequence that was seen before. A connection that ends before the
    edit does is opened again, and goes on behind the last change that came. Raises `EditFailed` for a refusal, and where the
    service is out of reach for a while.
    """
    following = _Following(edit_id, user, after)
    with new_client(url, token) as client:
        while not following.over:
            try:
                with client.get_httpx_client().stream(**following.request) as response:
                    if following.opened(response):
                        yield from filter(None, map(following.took, EventSource(response).iter_sse()))
                    else:
                        response.read()
                        following.refused(response)
            except _CUT:
                pass
            if not following.over:
                time.sleep(following.pause_s())


async def follow_edit_async(
    url: str, edit_id: str, *, token: str | None = None, user: str | None = None, after: int = 0
) -> AsyncIterator[Edit]:
    """`follow_edit` without blocking the event loop."""
    following = _Following(edit_id, user, after)
    async with new_client(url, token) as client:
        while not following.over:
            try:
                async with client.get_async_httpx_client().stream(**following.request) as response:
                    if following.opened(response):
                        async for event in EventSource(response).aiter_sse():
                            if (edit := following.took(event)) is not None:
                                yield edit
                    else:
                        await response.aread()
                        following.refused(response)
            except _CUT:
                pass
            if not following.over:
                await asyncio.sleep(following.pause_s())


class _Following:
    """What is known so far, over all connections."""

    def __init__(self, edit_id: str, user: str | None, after: int) -> None:
        self.over = False
        self._edit_id = edit_id
        self._user = user
        self._after = after
        self._failure: EditFailed | None = None
        self._lost_since: float | None = None
        self._pause_s = waiting.PAUSE_S

    @property
    def request(self) -> dict[str, Any]:
        headers = {"Accept": "text/event-stream"}
        headers |= {"S2Edit-User": self._user} if self._user else {}
        headers |= {"Last-Event-ID": str(self._after)} if self._after else {}
        return {"method": "GET", "url": f"/edits/{quote(self._edit_id, safe='')}/events", "headers": headers}

    def opened(self, response: httpx.Response) -> bool:
        """Whether events come."""
        self._failure, self._pause_s = None, waiting.PAUSE_S
        if response.status_code == HTTPStatus.OK:
            self._lost_since = None
            return True
        return False

    def took(self, event: ServerSentEvent) -> Edit | None:
        """What the event shows; None for one that shows no edit."""
        if event.event != "edit":
            return None
        edit = Edit.from_dict(json.loads(event.data))
        self._after = edit.sequence
        self.over = edit.state in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELED)
        return edit

    def refused(self, response: httpx.Response) -> None:
        """Raises `EditFailed` where it is no use to ask again."""
        if response.status_code == HTTPStatus.NO_CONTENT:
            self.over = True
            return
        problem = Problem.from_dict(response.json())
        self._failure, self._pause_s = refusal(problem, self._edit_id), retry_after(response)
        if not (self._failure.retryable or response.status_code in NOT_NOW):
            raise self._failure

    def pause_s(self) -> float:
        """Seconds until the next connection. Raises `EditFailed` where none has come about for a while."""
        now = time.monotonic()
        self._lost_since = self._lost_since or now
        if now + self._pause_s - self._lost_since > waiting.PATIENCE_S:
            unreachable = EditFailed("unreachable", "the service does not answer", retryable=True, edit_id=self._edit_id)
            raise self._failure or unreachable
        return self._pause_s
