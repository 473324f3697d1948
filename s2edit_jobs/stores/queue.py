"""The port of the notification queue.

A message only says that work exists. The job store decides which job a worker runs: the script `CLAIM` in `redis_store/leases.py`.
Messages may be lost or arrive twice.
"""

from __future__ import annotations

from typing import Protocol


class JobQueue(Protocol):
    def notify(self, job_id: str) -> None:
        """Send a message that a job is queued. Raise `QueueUnavailable` if the broker does not answer."""

    def waiting(self) -> int:
        """Return the number of messages that no worker has received yet. Raise `QueueUnavailable`."""
