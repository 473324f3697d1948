"""The queue as a port. It is a doorbell: it carries job ids, may ring twice or never, and is never the only copy of a job."""

from __future__ import annotations

from typing import Protocol


class JobQueue(Protocol):
    def ring(self, job_id: str) -> None:
        """Tell some worker to look at the job. `QueueUnavailable` when the broker does not answer."""

    def waiting(self) -> int:
        """How many rings no worker has taken yet. `QueueUnavailable` as in `ring`."""
