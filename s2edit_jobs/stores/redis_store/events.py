"""What the followers of a job see: its progress, its events and its preview, and that it has changed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import redis
from redis.client import NEVER_DECODE

from s2edit_core.request.picture_limits import MAX_PREVIEW_BYTES
from s2edit_core.request.spec import Progress
from s2edit_jobs.records.record import JobRecord, Lease, Owner, Preview
from s2edit_jobs.stores.redis_store.hashes import event_records, mapping, owned, still_held
from s2edit_jobs.stores.redis_store.lua import script
from s2edit_jobs.stores.redis_store.server.connection import Connection

CHANGES = "s2edit:changes"
"""The channel. All databases of a Redis server share it, so a listener may hear of jobs that it does not know."""
LISTEN_S = 1.0
"""How soon a listener notices `stop`, and the pause before it subscribes again."""

PREVIEW_TTL_S = 600
"""How long a preview is kept after it was drawn. Each new one replaces it."""

PROGRESS = script(
    """
if not held(id, fence) then return false end
change(id, 'phase', phase, 'step', step, 'total', total)
return answer(id)
""",
    "id, fence, phase, step, total",
)

# The number of a preview is the sequence of the change that shows it. So it also grows when Redis has lost the job.
PROGRESS_WITH_PREVIEW = script(
    """
if not held(id, fence) then return false end
local preview, number = preview_of(id, owner(id)), integer(tonumber(value(id, 'sequence')) + 1)
redis.call('HSET', preview, 'number', number, 'picture', picture)
redis.call('EXPIRE', preview, keep_s)
change(id, 'phase', phase, 'step', step, 'total', total, 'preview', number)
return answer(id)
""",
    "id, fence, phase, step, total, picture, keep_s",
)

# A script and no transaction, because a full Redis refuses transactions that only read.
SINCE = script("return { answer(id), redis.call('XRANGE', P .. 'events:' .. id, first .. '-0', '+') }", "id, first")


class RedisEvents:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def progress(self, lease: Lease, progress: Progress, preview: bytes | None = None) -> JobRecord:
        arguments = lease.job_id, lease.fence, progress.phase, progress.step, progress.total
        if preview is None:
            return still_held(lease, mapping(self._connection.run(PROGRESS, *arguments)))
        if not 0 < len(preview) <= MAX_PREVIEW_BYTES:
            raise ValueError(f"a preview has 1 to {MAX_PREVIEW_BYTES} bytes, not {len(preview)}")
        values = self._connection.run(PROGRESS_WITH_PREVIEW, *arguments, preview, PREVIEW_TTL_S)
        return still_held(lease, mapping(values))

    def preview(self, owner: Owner, job_id: str) -> Preview | None:
        key = f"s2edit:preview:{owner.name}:{job_id}"
        with self._connection.asking():
            # The client decodes answers as UTF-8, which a picture is not.
            ask: Callable[..., Any] = self._connection.client.execute_command
            number, picture = ask("HMGET", key, "number", "picture", **{NEVER_DECODE: True})
        return Preview(int(number), picture) if number and number.isdigit() and picture else None

    def since(self, owner: Owner, job_id: str, *, after: int) -> tuple[list[JobRecord], bool]:
        flat, entries = self._connection.run(SINCE, job_id, after + 1)
        record = owned(values := mapping(flat), owner, job_id)
        records = event_records(values, entries)
        if not records and (record.sequence > after or (record.state.over and record.sequence != after)):
            records = [record]
        return records, not records or records[0].sequence == after + 1

    def changes(self, stop: threading.Event) -> Iterator[str | None]:
        while not stop.is_set():
            with suppress(redis.RedisError, OSError, UnicodeError):  # a message may hold the name of a damaged entry
                yield from self._listen(stop)
            stop.wait(LISTEN_S)

    def _listen(self, stop: threading.Event) -> Iterator[str | None]:
        """One subscription, until it breaks."""
        connect_s = self._connection.timeout_s
        with (
            # It waits for messages, so it must not have a short timeout; the health check finds a connection that is dead.
            redis.Redis.from_url(
                self._connection.url,
                decode_responses=True,
                socket_connect_timeout=connect_s,
                socket_timeout=5.0,
                health_check_interval=5,
            ) as client,
            client.pubsub() as subscription,
        ):
            subscription.subscribe(CHANGES)
            while not stop.is_set():
                message = subscription.get_message(timeout=LISTEN_S)
                if message is not None and message["type"] in ("message", "subscribe"):
                    yield message["data"] if message["type"] == "message" else None
