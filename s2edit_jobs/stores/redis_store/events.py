"""What the followers of a job see: its progress, its events, and that it has changed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress

import redis

from s2edit_core.request.spec import Progress
from s2edit_jobs.records.record import JobRecord, Lease, Owner
from s2edit_jobs.stores.redis_store.hashes import event_records, mapping, owned, still_held
from s2edit_jobs.stores.redis_store.lua import script
from s2edit_jobs.stores.redis_store.server.connection import Connection

CHANGES = "s2edit:changes"
"""The channel. All databases of a Redis server share it, so a listener may hear of jobs that it does not know."""
LISTEN_S = 1.0
"""How soon a listener notices `stop`, and the pause before it subscribes again."""

PROGRESS = script(
    """
if not held(id, fence) then return false end
change(id, 'phase', phase, 'step', step, 'total', total)
return answer(id)
""",
    "id, fence, phase, step, total",
)

# A script and no transaction, because a full Redis refuses transactions that only read.
SINCE = script("return { answer(id), redis.call('XRANGE', P .. 'events:' .. id, first .. '-0', '+') }", "id, first")


class RedisEvents:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def progress(self, lease: Lease, progress: Progress) -> JobRecord:
        values = self._connection.run(PROGRESS, lease.job_id, lease.fence, progress.phase, progress.step, progress.total)
        return still_held(lease, mapping(values))

    def since(self, owner: Owner, job_id: str, *, after: int) -> tuple[list[JobRecord], bool]:
        flat, entries = self._connection.run(SINCE, job_id, after + 1)
        record = owned(values := mapping(flat), owner, job_id)
        records = event_records(values, entries)
        if not records and (record.sequence > after or (record.state.over and record.sequence != after)):
            records = [record]
        return records, not records or records[0].sequence == after + 1

    def changes(self, stop: threading.Event) -> Iterator[str | None]:
        while not stop.is_set():
            with suppress(redis.RedisError, OSError):
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
