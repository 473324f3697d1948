"""Erasure, periodic tasks, and recovery after a loss."""

from __future__ import annotations

import itertools
import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from typing import cast

import redis

from s2edit_jobs.records.record import Owner
from s2edit_jobs.stores.redis_store.connection import Connection
from s2edit_jobs.stores.redis_store.disk import compact
from s2edit_jobs.stores.redis_store.hashes import job_key
from s2edit_jobs.stores.redis_store.lua import script

GENERATION = "s2edit:life"
"""The name of this database until it is emptied."""
RESTORED = "s2edit:restored"
COMPACT_S = 30.0
SCAN = 1000
"""Keys that are looked at in one step."""

# Answers whether a worker held the job, and what it was learning.
ERASE = script(
    """
local who, known = tenant .. '/' .. user, redis.call('TYPE', job(id)).ok == 'hash'
if known and value(id, 'tenant') ~= '' and value(id, 'user') ~= '' and owner(id) ~= who then return { 0, '' } end
local running = known and value(id, 'state') == 'running'
local holds, waits_for = known and value(id, 'holds') or '', known and value(id, 'waits_for') or ''
if waits_for ~= '' then redis.call('SREM', P .. 'waiters:' .. waits_for, id) end
if holds ~= '' and redis.call('GET', P .. 'learner:' .. holds) == id then redis.call('DEL', P .. 'learner:' .. holds) end
redis.call('ZREM', P .. 'outbox', id)
redis.call('HDEL', P .. 'tries', id)
redis.call('ZREM', P .. 'parked:' .. tenant, id)
remove(id, who)
return { running and 1 or 0, holds }
""",
    "id, tenant, user",
)

DROP = script("if not intact(id) then drop(id) end", "id")

# The value decides; the expiry only removes it, on the server's own clock.
TAKE_TASK = script(
    """
local task = P .. 'task:' .. name
if now_ms < tonumber(redis.call('GET', task) or 0) then return 0 end
redis.call('SET', task, now_ms + every_ms, 'PX', every_ms + 60000)
return 1
""",
    "name, every_ms",
)

# Both times are the server's, so no machine's clock matters.
REPORT_ALIVE = script("return redis.call('SET', P .. 'alive:' .. name, now_ms)", "name")
LAST_ALIVE = script(
    """
local at = redis.call('GET', P .. 'alive:' .. name)
return at and now_ms - tonumber(at)
""",
    "name",
)
CLOCK = script("return now_ms")


# The task stays known for a minute after it is due, as in `TAKE_TASK`.
HOLD_TASK = script("redis.call('SET', P .. 'task:' .. name, now_ms + for_ms, 'PX', for_ms + 60000)", "name, for_ms")


class RedisMaintenance:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def erase(self, owner: Owner, job_id: str) -> str | None:
        answer = self._connection.run(ERASE, job_id, owner.tenant, owner.user)
        return answer[1] or None

    def erase_owner(self, owner: Owner) -> int:
        """Look at every key: an owner's finished jobs are in no index, and this must not depend on one."""
        who, client = f"{owner.tenant}/{owner.user}", self._connection.client
        names = re.compile(
            rf"s2edit:[a-z_]+:({re.escape(who)}(:.*)?|{re.escape(owner.prefix)}.*)|s2edit:rates\b.*/{re.escape(who)}/.*"
        )
        running = 0
        with self._connection.asking():
            if slots := client.zrange(f"s2edit:slots:{who}", 0, -1):
                client.zrem("s2edit:slots", *cast("list[str]", slots))
            for keys in _in_parts(client.scan_iter(count=SCAN), SCAN):
                if found := [key for key in keys if names.fullmatch(key)]:
                    client.unlink(*found)
                running += self._erase_jobs([key for key in keys if key.startswith(job_key(""))], owner)
            for turns in ("s2edit:turns", "s2edit:turns:test"):
                client.zrem(turns, who)
        return running

    def _erase_jobs(self, keys: Sequence[str], owner: Owner) -> int:
        """Erase the owner's jobs among `keys`, and drop those that don't say whose they are. Return how many were running."""
        asked = self._connection.client.pipeline(transaction=False)
        for key in keys:
            asked.hmget(key, ["tenant", "user"])
        running = 0
        for key, whose in zip(keys, asked.execute(raise_on_error=False), strict=True):
            job_id = key.removeprefix(job_key(""))
            if not isinstance(whose, list) or not all(whose):
                self._connection.run(DROP, job_id)
            elif whose == [owner.tenant, owner.user]:
                running += int(self._connection.run(ERASE, job_id, *whose)[0])
        return running

    def compact(self) -> bool:
        with (
            self._connection.asking(),
            # A fork of a large server takes longer than any other call may.
            redis.Redis.from_url(
                self._connection.url, decode_responses=True, socket_timeout=COMPACT_S, socket_connect_timeout=2.0
            ) as client,
        ):
            return compact(client, timeout_s=COMPACT_S)

    def take_task(self, name: str, *, every_s: float) -> bool:
        return bool(self._connection.run(TAKE_TASK, name, int(every_s * 1000)))

    def report_alive(self, name: str) -> None:
        self._connection.run(REPORT_ALIVE, name)

    def last_alive_s(self, name: str) -> float | None:
        ms = self._connection.run(LAST_ALIVE, name)
        return None if ms is None else max(0.0, int(ms) / 1000)

    def clock(self) -> float:
        return int(self._connection.run(CLOCK)) / 1000

    def hold_task(self, name: str, *, for_s: float) -> None:
        self._connection.run(HOLD_TASK, name, int(for_s * 1000))

    def unfinished(self) -> Iterator[str]:
        for due in ("s2edit:due", "s2edit:due:test"):
            with self._connection.asking():
                for job_id, _ in self._connection.client.zscan_iter(due, count=SCAN):
                    yield job_id

    def lost(self) -> str | None:
        client = self._connection.client
        with self._connection.asking():
            client.set(GENERATION, secrets.token_hex(8), nx=True)
            # A restarted Redis begins a new generation: after a power cut the last second of its file may be missing.
            server = cast("dict[str, str]", client.info("server"))
            generation = f"{client.get(GENERATION)}:{server['run_id']}"
            return None if client.get(RESTORED) == generation else generation

    def restored(self, generation: str) -> None:
        with self._connection.asking():
            self._connection.client.set(RESTORED, generation)


def _in_parts(keys: Iterable[str], size: int) -> Iterator[Sequence[str]]:
    all_keys = iter(keys)
    while part := list(itertools.islice(all_keys, size)):
        yield part
