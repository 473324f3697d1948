"""Notes in the object store about what is to be done: a folder for each kind. Whoever has done it removes the note."""

from __future__ import annotations

from s2edit_core.request.plan import digest
from s2edit_jobs.records.errors import BeingErased
from s2edit_jobs.records.record import Owner
from s2edit_jobs.stores.artifacts import ArtifactStore

OUTBOX = "outbox/"
"""Prefix of the notes about jobs whose end is still to be told; each holds the key of the job's spec."""
PENDING = "pending/"
"""Prefix of the notes about accepted jobs that could not be entered in the job store; empty in good times."""
ERASING = "erasing/"
"""Prefix of the notes about owners who are being erased at this moment."""
EXPIRING = "expiring/"
"""Prefix of the notes about identities that are to be erased at some time; each holds the key of its `identity.json`."""
ERASE_S = 5
"""What a user's app is told to wait while everything of the user is being erased."""


def owner_mark(owner: Owner) -> str:
    """Stands for the owner in a note's name, and does not tell who that is to whoever reads keys."""
    return digest(owner.prefix.encode())[:32]


def erasing_key(owner: Owner) -> str:
    """Of the note that everything of this owner is being erased."""
    return ERASING + owner_mark(owner)


def check_not_erasing(artifacts: ArtifactStore, owner: Owner) -> None:
    """Raises `BeingErased`. Whoever writes for an owner without a job asks this afterwards, and takes the write back."""
    if artifacts.exists(erasing_key(owner)):
        raise BeingErased("everything of this user is being erased", retry_after_s=ERASE_S)


def expiring_key(owner: Owner, concept_id: str, expires_at: float) -> str:
    """Of the note that an identity is to be erased then; in the order of their times."""
    return f"{EXPIRING}{int(expires_at):012}-{owner_mark(owner)}-{concept_id}"
