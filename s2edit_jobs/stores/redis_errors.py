"""Recognise the errors of Redis that mean a temporary outage, as opposed to an error of the program."""

from __future__ import annotations

import re

import redis
from redis import exceptions as known

NO_CLUSTER = "this Redis is a cluster, which s2edit does not support: use one primary, with or without replicas"

# What redis-py has classes for. Without a class are BUSY (a long script), MISCONF (a full disk) and NOREPLICAS.
_REFUSALS = (
    known.OutOfMemoryError,
    known.ReadOnlyError,
    known.MasterDownError,
    known.NoScriptError,
    known.ExecAbortError,
    known.TryAgainError,
    known.NoPermissionError,
)
_OF_A_CLUSTER = (known.AskError, known.ClusterCrossSlotError, known.ClusterDownError)  # MovedError is an AskError
# Redis 6 puts the code of an error in a script inside a sentence: "Error running script (…): @user_script: 98: -OOM command …". In
# a transaction, redis-py puts its own words before it: "Command # 1 (…) of pipeline caused error: MISCONF …".
_CODE = re.compile(r"(?:^|: -?)(OOM|READONLY|MASTERDOWN|BUSY|MISCONF|NOREPLICAS|NOSCRIPT|TRYAGAIN|NOPERM|LOADING) ")
_SCRIPT_IN_A_CLUSTER = re.compile(r"non local key|in a cluster node|not hash to the same slot")


def outage(error: Exception) -> str | None:
    """Return why Redis cannot serve now. None if the error has another cause, such as a command that does not exist.

    None of these errors has written anything: Redis refuses a script or a transaction before its first write, or not at all.
    """
    text = str(error)
    if isinstance(error, redis.ConnectionError | redis.TimeoutError | redis.InvalidResponse):
        return f"Redis does not answer: {type(error).__name__}"
    if not isinstance(error, redis.ResponseError):
        return None
    if isinstance(error, _REFUSALS):
        return f"Redis refuses for now: {type(error).__name__}"
    if isinstance(error, _OF_A_CLUSTER) or _SCRIPT_IN_A_CLUSTER.search(text):
        return NO_CLUSTER
    return f"Redis refuses for now: {found[1]}" if (found := _CODE.search(text)) else None


def from_a_replica(error: Exception) -> bool:
    """Return whether the server is no longer the primary, so that a new connection may reach another server."""
    found = _CODE.search(str(error))
    return isinstance(error, known.ReadOnlyError | known.MasterDownError) or bool(found and found[1] in ("READONLY", "MASTERDOWN"))
