"""Revocation of all device tokens of a user.

Erasing a user also erases the record of what each token has spent. So every token issued before the erasure must be rejected. A
marker object outside the user's own prefix stores the time of the erasure. The sweeper removes it once no older token can be valid.
"""

from __future__ import annotations

import json
import re
import time
from contextlib import suppress

from s2edit_core.request.plan import digest
from s2edit_jobs.records.errors import ArtifactMissing, RecordDamaged, RecordUnusable
from s2edit_jobs.records.record import Owner
from s2edit_jobs.records.set_aside import count_aside, set_aside
from s2edit_jobs.records.stored import read_number
from s2edit_jobs.stores.artifacts import ArtifactStore

ENDED = "ended/"
"""Key prefix of the markers. Each holds a time in whole seconds since the epoch."""
_NAME = re.compile(r"[0-9a-f]{32}")
MARKER_TTL_S = 2 * 86_400
"""Seconds that a marker is kept: longer than the longest lifetime of a token (`token_max_ttl_s`, at most one day)."""


def _marker_key(owner: Owner) -> str:
    """Return the marker's key, which contains a digest instead of the user's name."""
    return f"{ENDED}{digest(owner.prefix.encode())[:32]}"


def end_tokens(artifacts: ArtifactStore, owner: Owner, *, now: float) -> None:
    """Revoke every token issued to this user up to `now`. Raise `ArtifactsUnavailable`."""
    artifacts.put(_marker_key(owner), json.dumps(int(now)).encode(), media_type="application/json")


def ended_at(artifacts: ArtifactStore, owner: Owner) -> int | None:
    """Return when this user's tokens were last revoked, in seconds since the epoch, or None. Raise `ArtifactsUnavailable`.

    A time that can't be read is now: then every token issued so far is revoked.
    """
    key = _marker_key(owner)
    try:
        return int(read_number(artifacts.get(key), "end of tokens"))
    except ArtifactMissing:
        return None
    except RecordUnusable as error:
        count_aside("end of tokens", key, error)
        return int(time.time())


def sweep_ended(artifacts: ArtifactStore, *, now: float) -> int:
    """Remove the markers older than `MARKER_TTL_S` and return their number. Raise `ArtifactsUnavailable`.

    A damaged marker is written anew with the present time, so that the user can get tokens again.
    """
    gone = 0
    for key in list(artifacts.list(ENDED)):
        if not _NAME.fullmatch(key, len(ENDED)):
            continue
        with set_aside("end of tokens", key), suppress(ArtifactMissing):
            try:
                ended = read_number(artifacts.get(key), "end of tokens")
            except RecordDamaged as error:
                count_aside("end of tokens", key, error)
                artifacts.put(key, json.dumps(int(now)).encode(), media_type="application/json")
                continue
            gone += artifacts.delete_prefix(key) if ended + MARKER_TTL_S < now else 0
    return gone
