"""Store the results of an attempt, and build the job's outcome."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from s2edit_jobs.bootstrap import Services
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.records.errors import ServiceUnavailable
from s2edit_jobs.records.files import EXTENSIONS
from s2edit_jobs.records.record import Failure, JobState, Lease, Outcome
from s2edit_jobs.stores.artifacts import JSON, edit_key
from worker.attempts.job_mask import JobMask


class Publisher:
    """Stores results under keys that contain the lease's fence, so no other attempt writes them. The outcome makes them visible."""

    def __init__(
        self,
        lease: Lease,
        services: Services,
        jobs: Jobs,
        *,
        stored: Callable[[], None] = lambda: None,
        confirm: Callable[[], None] = lambda: None,
    ) -> None:
        """`stored` is called after each write, which may take a while. `confirm` raises if nothing may be published any more."""
        self._lease = lease
        self._leases = services.store.leases
        self._jobs = jobs
        self._stored = stored
        self._confirm = confirm

    def publish(
        self,
        mask: JobMask,
        concept_id: str | None,
        report: Mapping[str, Any],
        pictures: Sequence[bytes] = (),
        media_type: str = "image/png",
    ) -> Outcome:
        """Store report, mask and pictures, and return the outcome that names them. `media_type` is that of the pictures.

        Raise `LeaseLost`, `JobNotFound` if the job was erased, or what `confirm` raises. The end of the job deletes the files that
        its outcome does not name (`lifecycle.attempt_files`).
        """
        with suppress(ServiceUnavailable):  # without a job store, the write-once outcome decides which attempt wins
            self._leases.renew(self._lease)
        artifacts = {"report": self._key(f"report-{self._lease.fence}.json")}
        for i, picture in enumerate(pictures):
            name = f"result_{i}" if i else "result"
            artifacts[name] = self._key(f"{name}-{self._lease.fence}{EXTENSIONS[media_type]}")
            self._put(artifacts[name], picture, media_type=media_type)
        artifacts["mask"] = self._store_mask(mask)
        full_report = {**report, "mask": dict(mask.report)}
        self._put(artifacts["report"], json.dumps(full_report, ensure_ascii=False).encode(), media_type=JSON)
        self._confirm()
        return outcome_of(self._lease, JobState.SUCCEEDED, artifacts=artifacts, identity=concept_id)

    def _store_mask(self, mask: JobMask) -> str:
        """Return the key of the mask in the job's folder. Copy an identity's mask there, so that it outlives the identity."""
        if mask.file.key.startswith(self._key("")):
            return mask.file.key
        key = self._key(f"mask-{self._lease.fence}{EXTENSIONS.get(mask.file.media_type, '')}")
        self._put(key, mask.data, media_type=mask.file.media_type)
        return key

    def _key(self, name: str) -> str:
        return edit_key(self._lease.owner, self._lease.job_id, name)

    def _put(self, key: str, data: bytes, *, media_type: str) -> None:
        self._jobs.put_for(self._lease.owner, self._lease.job_id, key, data, media_type=media_type)
        self._stored()


def outcome_of(
    lease: Lease,
    state: JobState,
    *,
    artifacts: Mapping[str, str] | None = None,
    identity: str | None = None,
    failure: Failure | None = None,
) -> Outcome:
    """Return the outcome of an attempt that ends now."""
    return Outcome(
        state=state,
        attempt=lease.attempt,
        finished_at=time.time(),
        artifacts=artifacts or {},
        identity=identity,
        failure=failure,
    )


def failed_outcome(lease: Lease, code: str, message: str, *, retryable: bool = False, field: str | None = None) -> Outcome:
    """Return the outcome of an attempt that fails now."""
    return outcome_of(lease, JobState.FAILED, failure=Failure(code=code, message=message, retryable=retryable, field=field))
