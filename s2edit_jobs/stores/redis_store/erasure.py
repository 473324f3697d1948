"""Remove from Redis what belongs to a job or an owner. `s2edit_jobs.library.erasure` decides when."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import cast

import redis

from s2edit_jobs.records.record import Owner
from s2edit_jobs.stores.redis_store.hashes import job_key
from s2edit_jobs.stores.redis_store.lua import script
from s2edit_jobs.stores.redis_store.server.connection import Connection
from s2edit_jobs.stores.redis_store.server.disk import compact

COMPACT_S = 30.0
SCAN = 1000
"""Keys that are looked at in one step."""

# Answers whether a worker held the job.
ERASE = script(
    """
local who, known = tenant .. '/' .. user, redis.call('TYPE', job(id)).ok == 'hash'
if known and value(id, 'tenant') ~= '' and value(id, 'user') ~= '' and owner(id) ~= who then return 0 end
local running = known and value(id, 'state') == 'running'
local holds, waits_for = known and value(id, 'holds') or '', known and value(id, 'waits_for') or ''
if waits_for ~= '' then redis.call('SREM', P .. 'waiters:' .. waits_for, id) end
if holds ~= '' and redis.call('GET', P .. 'learner:' .. holds) == id then redis.call('DEL', P .. 'learner:' .. holds) end
redis.call('ZREM', P .. 'outbox', id)
redis.call('HDEL', P .. 'tries', id)
redis.call('HDEL', P .. 'announced', id)
redis.call('ZREM', P .. 'parked:' .. tenant, id)
remove(id, who)
return running and 1 or 0
""",
    "id, tenant, user",
)

LEARNING = script(
    """
if redis.call('TYPE', job(id)).ok ~= 'hash' or owner(id) ~= tenant .. '/' .. user then return '' end
return value(id, 'holds')
""",
    "id, tenant, user",
)

DROP = script("if not intact(id) then drop(id) end", "id")


class RedisErasure:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def learning(self, owner: Owner, job_id: str) -> str | None:
        return self._connection.run(LEARNING, job_id, owner.tenant, owner.user) or None

    def erase(self, owner: Owner, job_id: str) -> None:
        self._connection.run(ERASE, job_id, owner.tenant, owner.user)

    def erase_owner(self, owner: Owner) -> int:
        """Look at every key: an owner's finished jobs are in no index, and this must not depend on one."""
        who, client = owner.name, self._connection.client
        names = re.compile(
            rf"s2edit:[a-z_]+:({re.escape(who)}(:.*)?|{re.escape(owner.prefix)}.*)|s2edit:rates\b.*/user-[a-z]+/{re.escape(who)}/.*"
        )
        running = 0
        with self._connection.asking():
            if slots := client.zrange(f"s2edit:slots:{who}", 0, -1):
                for places in ("s2edit:slots", f"s2edit:slots:{owner.tenant}"):
                    client.zrem(places, *cast("list[str]", slots))
            if jobs := client.smembers(f"s2edit:open:{who}"):
                client.srem(f"s2edit:open:{owner.tenant}", *cast("set[str]", jobs))
            for keys in _in_parts(client.scan_iter(count=SCAN), SCAN):
                if found := [key for key in keys if names.fullmatch(key)]:
                    client.unlink(*found)
                running += self._erase_jobs([key for key in keys if key.startswith(job_key(""))], owner)
            client.zrem(f"s2edit:users:{owner.tenant}", who)
            client.zrem("s2edit:turns", who)  # where an earlier release kept it
        return running

    def _erase_jobs(self, keys: Sequence[str], owner: Owner) -> int:
        """Erase the owner's jobs among `keys`, and drop those without an owner. Return how many were running."""
        asked = self._connection.client.pipeline(transaction=False)
        for key in keys:
            asked.hmget(key, ["tenant", "user"])
        running = 0
        for key, whose in zip(keys, asked.execute(raise_on_error=False), strict=True):
            job_id = key.removeprefix(job_key(""))
            if not isinstance(whose, list) or not all(whose):
                self._connection.run(DROP, job_id)
            elif whose == [owner.tenant, owner.user]:
                running += int(self._connection.run(ERASE, job_id, *whose))
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


def _in_parts(keys: Iterable[str], size: int) -> Iterator[Sequence[str]]:
    all_keys = iter(keys)
    while part := list(itertools.islice(all_keys, size)):
        yield part
