"""The files of attempts in a job's folder: pictures, report and mask, each with the fencing number of its attempt in its name.

The outcome names the files of one attempt, or none. Other attempts leave files if they die, lose the store or come too late. Each
process that ends the job removes them: the worker, the reaper after a crash, and an attempt that finds the job over.
"""

from __future__ import annotations

import re

from s2edit_jobs.lifecycle.stored_jobs import StoredJobs
from s2edit_jobs.records.record import Outcome, Owner
from s2edit_jobs.records.set_aside import set_aside
from s2edit_jobs.stores.artifacts import edit_key

_NAME = re.compile(r"(?:result(?:_[0-9]+)?|report|mask)-[0-9]+\.\w+")


def drop_unnamed(jobs: StoredJobs, owner: Owner, job_id: str, outcome: Outcome) -> None:
    """Delete the files of attempts that the job's stored outcome does not name. `outcome` is what is known of it.

    If the stored one cannot be read, nothing is deleted, because it may name any of them. Raise `ArtifactsUnavailable`.
    """
    folder = edit_key(owner, job_id, "")
    unnamed = {key for key in jobs.artifacts.list(folder) if _NAME.fullmatch(key, len(folder))} - {*outcome.artifacts.values()}
    if not unnamed:
        return
    with set_aside("files of attempts", folder):
        if (stored := jobs.stored_outcome(owner, job_id)) is not None:
            for key in sorted(unnamed - {*stored.artifacts.values()}):
                jobs.artifacts.delete_prefix(key)  # unlike `delete`, also the versions that a bucket keeps
