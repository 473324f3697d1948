"""Feeds: one reader per followed job and process. It reads and renders each change once, and all streams send these bytes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from fastapi import Response
from fastapi.sse import format_sse_event

from api.changes import Changes, is_set_within
from api.following.edit_state import present
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.records.errors import JobNotFound, ServiceUnavailable
from s2edit_jobs.records.record import Owner
from s2edit_jobs.stores.object_store.filesystem_artifacts import LINK_BASE

RECHECK_S = 15.0
"""Seconds without a change after which a feed reads the job anyway."""
KEPT = 1000
"""Events that a feed keeps for streams whose clients read slowly. Such a client sees a gap beyond that."""


@dataclass(frozen=True, slots=True)
class Event:
    """A change as it is sent. `sequence` is None for a comment, `over` says that the edit has ended."""

    data: bytes
    sequence: int | None = None
    over: bool = False


UNAVAILABLE = Event(format_sse_event(comment="a part of the service does not answer"))


class Feed:
    """The events of one job since `begin` was called, and those that its first follower has read before. Use it on the thread of
    the event loop.
    """

    def __init__(self, feeds: Feeds, changes: Changes, owner: Owner, job_id: str) -> None:
        self._feeds = feeds
        self._owner = owner
        self._job_id = job_id
        self._after: int | None = None  # the last sequence that was read
        self._begun_after: int | None = None
        self._kept: deque[Event] = deque(maxlen=KEPT)
        self._count = 0  # of all events so far
        self._followers: set[asyncio.Event] = set()
        self._stack = ExitStack()
        self._changed = self._stack.enter_context(changes.watching(job_id))
        self._task = asyncio.create_task(self._read())
        self.ended = False

    @property
    def position(self) -> int:
        """The number of events so far. Pass it to `since` later."""
        return self._count

    def begin(self, after: int, events: list[Event]) -> int:
        """Keep the `events` that follow the sequence `after`, and read on behind them, unless the feed reads already.

        Return the position behind them, or 0.
        """
        if self._after is not None:
            return 0
        self._after = self._begun_after = after
        self._append(events)
        self._changed.set()
        return self._count

    def covers(self, after: int) -> bool:
        """Return whether the feed still keeps every event since the sequence `after`, as far as it has read."""
        return self._begun_after is not None and self._begun_after <= after and self._count == len(self._kept)

    def since(self, position: int) -> list[Event]:
        """Return the events from `position` on that are still kept."""
        skipped = max(0, position - (self._count - len(self._kept)))
        return list(self._kept)[skipped:]

    @contextmanager
    def following(self) -> Iterator[asyncio.Event]:
        """Yield an event that is set whenever there may be news."""
        news = asyncio.Event()
        self._followers.add(news)
        try:
            yield news
        finally:
            self._followers.discard(news)

    @property
    def followed(self) -> bool:
        return bool(self._followers)

    def close(self) -> None:
        self._task.cancel()
        self._stack.close()

    async def _read(self) -> None:
        while not self.ended:
            await is_set_within(RECHECK_S, self._changed)
            self._changed.clear()
            if self._after is not None:
                self._append(await self._news(self._after))
            for news in self._followers:
                news.set()

    async def _news(self, after: int) -> list[Event]:
        try:
            return await self._feeds.read(self._owner, self._job_id, after)
        except JobNotFound:  # erased
            self.ended = True
            return []
        except ServiceUnavailable:
            return [UNAVAILABLE]

    def _append(self, events: list[Event]) -> None:
        self._kept.extend(events)
        self._count += len(events)
        self._after = next((event.sequence for event in reversed(events) if event.sequence is not None), self._after)


class Feeds:
    """The feeds of one process, by job. Use it on the thread of the event loop."""

    def __init__(self, services: Services, changes: Changes) -> None:
        self._services = services
        self._changes = changes
        self._feeds: dict[tuple[Owner, str, str | None], Feed] = {}  # by address too, because the events contain links

    @contextmanager
    def following(self, owner: Owner, job_id: str) -> Iterator[tuple[Feed, asyncio.Event]]:
        """Yield the feed of the job, and the event that announces its news. The feed ends with its last follower."""
        key = (owner, job_id, LINK_BASE.get())
        feed = self._feeds.get(key)
        if feed is None or feed.ended:
            feed = self._feeds[key] = Feed(self, self._changes, owner, job_id)
        try:
            with feed.following() as news:
                yield feed, news
        finally:
            if not feed.followed:
                feed.close()
                if self._feeds.get(key) is feed:
                    del self._feeds[key]

    async def read(self, owner: Owner, job_id: str, after: int) -> list[Event]:
        """Return the events after the sequence `after`. Raises `JobNotFound` and `ServiceUnavailable`."""
        return await self._changes.threads.run(lambda: self._rendered(owner, job_id, after))

    def _rendered(self, owner: Owner, job_id: str, after: int) -> list[Event]:
        records, _ = Jobs(self._services).events(owner, job_id, after=after)
        events = []
        for record in records:
            edit = present(self._services, record, Response(), estimated=record is records[-1])
            data = format_sse_event(event="edit", id=str(record.sequence), data_str=edit.model_dump_json())
            events.append(Event(data, record.sequence, record.state.over))
        return events
