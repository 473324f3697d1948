"""What Redis keeps on its disk: commands and values that were deleted stay in its files until these are written anew."""

from __future__ import annotations

import time
from typing import Any, cast

import redis

from s2edit_jobs.stores.redis_errors import outage

LOOK_S = 0.05


def compact(client: redis.Redis, *, timeout_s: float) -> bool:
    """Write the append-only file and the snapshot anew, where there is one; False where the server allows that to nobody.

    Raises `redis.TimeoutError` when it takes longer than `timeout_s`.
    """
    ends = time.monotonic() + timeout_s
    try:
        if _persistence(client).get("aof_enabled"):
            _run(client, "BGREWRITEAOF", ends)
        if _takes_snapshots(client):
            _run(client, "BGSAVE", ends)
    except redis.ResponseError as error:
        if outage(error) is not None and not isinstance(error, redis.exceptions.NoPermissionError):
            raise
        return False  # of managed servers, which take such commands from their owners only
    said = _persistence(client)
    return all(said.get(status, "ok") == "ok" for status in ("aof_last_bgrewrite_status", "rdb_last_bgsave_status"))


def _run(client: redis.Redis, command: str, ends: float) -> None:
    """To its end. One that is under way already does not count: it may have begun before the deletion."""
    while True:
        _wait_until_idle(client, ends)
        try:
            client.execute_command(command)  # type: ignore[no-untyped-call]
        except redis.ResponseError as error:
            if not any(words in str(error) for words in ("in progress", "child process")):
                raise
            continue  # somebody else was a moment earlier
        _wait_until_idle(client, ends)
        return


def _persistence(client: redis.Redis) -> dict[str, Any]:
    return cast("dict[str, Any]", client.info("persistence"))


def _takes_snapshots(client: redis.Redis) -> bool:
    return bool(cast("dict[str, str]", client.config_get("save")).get("save"))


def _wait_until_idle(client: redis.Redis, ends: float) -> None:
    signs = ("aof_rewrite_in_progress", "aof_rewrite_scheduled", "rdb_bgsave_in_progress")
    while any(_persistence(client).get(sign) for sign in signs):
        if time.monotonic() > ends:
            raise redis.TimeoutError("Redis did not finish writing its files anew")
        time.sleep(LOOK_S)
