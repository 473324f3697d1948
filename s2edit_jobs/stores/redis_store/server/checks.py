"""Check a Redis server at startup: its kind, and settings that could lose data."""

from __future__ import annotations

from typing import Any, cast

import redis

from s2edit_jobs.records.errors import StoreUnavailable
from s2edit_jobs.stores.redis_errors import NO_CLUSTER, outage

TIMEOUT_S = 2.0
WRITES = ("aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status")


class ServerUnsupported(RuntimeError):
    """The service cannot run on this kind of Redis. The message says which kind it needs."""


def server_problems(url: str) -> list[str]:
    """Return what may lose queued jobs or delay them, each in a sentence; an empty list for a server that is set up well.

    Raise `ServerUnsupported` for a Redis Cluster, `StoreUnavailable` if the server does not answer. Everything is read from
    `INFO`, because managed servers forbid `CONFIG`.
    """
    try:
        with redis.Redis.from_url(url, decode_responses=True, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S) as client:
            facts = cast("dict[str, Any]", client.info("everything"))
            saves = _takes_snapshots(client)
    except redis.RedisError as error:
        if (reason := outage(error)) is None:
            raise
        raise StoreUnavailable(reason) from error
    if int(facts.get("cluster_enabled", 0)):
        raise ServerUnsupported(NO_CLUSTER)
    return [*_eviction(facts), *_persistence(facts, saves=saves), *_role(facts)]


def _eviction(facts: dict[str, Any]) -> list[str]:
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy == "noeviction":
        return []
    return [f"maxmemory-policy is {policy}: a full Redis would drop queued jobs; set it to noeviction"]


def _persistence(facts: dict[str, Any], *, saves: bool | None) -> list[str]:
    failing = [name for name in WRITES if facts.get(name, "ok") != "ok"]
    problems = [f"{name} is {facts[name]}: Redis can't write its files; is its disk full?" for name in failing]
    if not int(facts.get("aof_enabled", 0)) and saves is False:
        problems.append("Redis keeps nothing on its disk: a restart forgets rate limits and budgets; set appendonly to yes")
    return problems


def _role(facts: dict[str, Any]) -> list[str]:
    if facts.get("role", "master") == "master":
        return []
    return ["Redis is a replica, which takes no writes: let S2EDIT_REDIS_URL name the primary"]


def _takes_snapshots(client: redis.Redis) -> bool | None:
    """Return whether snapshots are configured; None if the server does not show it."""
    try:
        return bool(cast("dict[str, str]", client.config_get("save")).get("save"))
    except redis.ResponseError:
        return None
