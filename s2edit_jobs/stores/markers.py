"""Marker objects: each records a pending task and is removed once the task is done. Each kind of task has a folder.

They are in the object store, so pending tasks survive a loss of Redis.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from s2edit_core.request.plan import digest
from s2edit_jobs.records.errors import BeingErased
from s2edit_jobs.records.record import JOB_ID, Owner
from s2edit_jobs.records.stored import damaged
from s2edit_jobs.stores.artifacts import ArtifactStore

OUTBOX = "outbox/"
"""Jobs whose webhook is still to be sent. Each marker holds the key of the job's spec."""
UNFINISHED = "unfinished/"
"""Accepted jobs that are not over. Each marker holds the key of the job's spec. Writing it is what accepts a job."""
PENDING = "pending/"
"""Jobs that an earlier release accepted while the job store was down. Each marker holds the key of the job's spec. The reaper
removes it once the job has a marker in `UNFINISHED`."""
ERASING = "erasing/"
"""Erasures of users that are under way. Each has a marker of its own; earlier releases have one per user."""
EXPIRING = "expiring/"
"""Identities with an expiry time. Each marker holds the key of the `identity.json`."""
NAMES: Mapping[str, re.Pattern[str]] = {
    OUTBOX: JOB_ID,
    UNFINISHED: re.compile(rf"{JOB_ID.pattern}-[0-9a-f]{{8}}"),
    PENDING: JOB_ID,
    ERASING: re.compile(r"[0-9a-f]{32}(-[0-9a-f]{16})?"),
    EXPIRING: re.compile(r"[0-9]{12}-[0-9a-f]{32}-c_[0-9a-f]{32}"),
}
"""Shape of the markers' names in each folder."""
_PLACE = re.compile(r"t/(?P<tenant>[\w.-]+)/u/(?P<user>[\w.-]+)/(?P<folder>edits|concepts)/(?P<id>\w+)/[\w.-]+", re.ASCII)
ERASE_S = 5
"""Value of Retry-After for requests of a user whose data is being erased."""


@dataclass(frozen=True, slots=True)
class Place:
    """A folder of a user: what the key in a marker points into."""

    owner: Owner
    folder: str  # "edits" or "concepts"
    id: str


def place_of(key: str) -> Place:
    """Return the folder that an object of a user lies in. Raise `RecordDamaged` for the content of a damaged marker."""
    found = _PLACE.fullmatch(key)
    if found is None:
        raise damaged("marker", "it holds no key")
    return Place(Owner(found["tenant"], found["user"]), found["folder"], found["id"])


def read_marker(artifacts: ArtifactStore, marker: str) -> Place:
    """Return the folder that a marker points into. Raise `ArtifactMissing` or `RecordDamaged`."""
    return place_of(artifacts.get(marker).decode(errors="replace"))


def unfinished_key(job_id: str) -> str:
    """Return a new key for a marker of the job in `UNFINISHED`.

    Each request that accepts the job has a marker of its own, so that one that fails can withdraw only itself.
    """
    return f"{UNFINISHED}{job_id}-{secrets.token_hex(4)}"


def job_of(marker: str) -> str:
    """Return the job id in the key of a marker in `UNFINISHED`, `OUTBOX` or `PENDING`."""
    return marker.rpartition("/")[2].partition("-")[0]


def markers(artifacts: ArtifactStore, folder: str) -> Iterator[str]:
    """Yield the keys of the markers in `folder`, sorted. Foreign files, such as an editor's copy, are skipped."""
    for key in artifacts.list(folder):
        if NAMES[folder].fullmatch(key, len(folder)):
            yield key


def owner_mark(owner: Owner) -> str:
    """Return a digest that stands for the owner in the keys of markers, so that keys contain no user names."""
    return digest(owner.prefix.encode())[:32]


def erasing_key(owner: Owner) -> str:
    """Return a new key for a marker of the owner in `ERASING`."""
    return f"{ERASING}{owner_mark(owner)}-{secrets.token_hex(8)}"


def erasing_keys(artifacts: ArtifactStore, mark: str) -> list[str]:
    """Return the keys of the markers in `ERASING` of the owner with this `owner_mark`."""
    keys = artifacts.list(ERASING + mark)
    return [key for key in keys if NAMES[ERASING].fullmatch(key, len(ERASING))]


def check_not_erasing(artifacts: ArtifactStore, owner: Owner) -> None:
    """Raise `BeingErased` while the owner's data is being erased.

    Code that writes for an owner without a job calls this after the write, and deletes the write if it raises.
    """
    if erasing_keys(artifacts, owner_mark(owner)):
        raise BeingErased("this user's data is being erased: try again in a few seconds", retry_after_s=ERASE_S)


def expiring_key(owner: Owner, concept_id: str, expires_at: float) -> str:
    """Return the key of an identity's marker in `EXPIRING`. Keys are sorted by expiry time."""
    return f"{EXPIRING}{int(expires_at):012}-{owner_mark(owner)}-{concept_id}"
