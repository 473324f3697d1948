"""What a learning stores beside its concept, and how that is removed if the learning is never completed.

A worker stores photo, mask and metadata before the concept file, because readers of the concept must find them. Until it is there,
they belong to no identity or attribute. A marker `learning-<job id>` in the concept's folder says so. It is written before them and
removed after the concept, and it holds the key of the identity's marker in `EXPIRING`, or nothing.

A folder with such a marker and without a concept goes when its job is erased: by the erasure, while the job still has the concept's
reservation; by the job's worker, if the erasure came to nothing or met the concept's own write; and by the sweeper, for workers and
erasures that died.
"""

from __future__ import annotations

from contextlib import suppress

from s2edit_jobs.records.errors import ArtifactMissing
from s2edit_jobs.stores.artifacts import ArtifactStore
from s2edit_jobs.stores.markers import EXPIRING, NAMES

LEARNING = "learning-"
"""Beginning of the name of the marker, in the folder of the concept. The job's id follows."""


def drop_unlearned(artifacts: ArtifactStore, concept: str, job_id: str) -> int:
    """Delete the folder of a concept if the job has begun to store it and the concept is missing. Return the number of objects.

    `concept` is the key of the concept file. The metadata goes first, so that a worker that stores the concept now notices, and the
    marker last, so that an interrupted call can be repeated.
    """
    folder = concept.rpartition("/")[0] + "/"
    marker = f"{folder}{LEARNING}{job_id}"
    keys = list(artifacts.list(folder))
    if marker not in keys or concept in keys:
        return 0
    with suppress(ArtifactMissing):
        expiring = artifacts.get(marker).decode(errors="replace")
        if expiring.startswith(EXPIRING) and NAMES[EXPIRING].fullmatch(expiring, len(EXPIRING)):
            artifacts.delete_prefix(expiring)
    metadata = [key for key in keys if key.endswith(".json")]
    gone = sum(artifacts.delete_prefix(key) for key in metadata)
    rest = [key for key in keys if key not in {marker, *metadata}]
    artifacts.delete(rest)
    return gone + len(rest) + artifacts.delete_prefix(folder)
