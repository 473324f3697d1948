"""Which erasures of users are under way: each has a marker of its own, and a lease that says that its process is alive.

A marker in `erasing/` promises that the erasure will be completed, and makes the API reject the user's requests. Erasures of one
user may overlap, because clients repeat a `DELETE`. The user is rejected until the last marker is gone, so no erasure deletes what
was accepted after the receipt of another.

The leases are tasks of the job store, whose clock is the only one that matters. The first lasts from the marker to the end of the
wait between the sweeps. The second is taken by whoever completes the erasure, so only one process does. A process renews its lease
while it sweeps. Once both have ended, the reaper takes over the erasure, or another erasure of the user stands for it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass

from s2edit_jobs.bootstrap import Services
from s2edit_jobs.records.errors import ServiceUnavailable
from s2edit_jobs.records.record import Owner, Timestamp
from s2edit_jobs.records.stored import damaged, read_record
from s2edit_jobs.stores.artifacts import JSON
from s2edit_jobs.stores.markers import ERASING, erasing_keys, owner_mark

TAKEOVER_S = 20.0
"""Seconds without a renewal after which an erasing process counts as dead."""
RENEW_S = 5.0
"""Seconds between two renewals of a lease."""


@dataclass(frozen=True, slots=True)
class Begun:
    """The content of a marker in `ERASING`."""

    tenant: str
    user: str
    began_at: Timestamp


class ErasureMarkers:
    """The markers of all users. Every method may raise `ServiceUnavailable`."""

    def __init__(self, services: Services) -> None:
        self._artifacts = services.artifacts
        self._tasks = services.store.tasks

    def write(self, owner: Owner, marker: str, *, began_at: float) -> None:
        """Promise that the user will be erased."""
        begun = Begun(owner.tenant, owner.user, began_at)
        self._artifacts.put(marker, json.dumps(asdict(begun)).encode(), media_type=JSON)

    def read(self, marker: str) -> tuple[Owner, float]:
        """Return who is erased, and when that began. Raise `ArtifactMissing`, `RecordDamaged` or `RecordNewer`."""
        begun = read_record("erasure", Begun, self._artifacts.get(marker))
        owner = Owner(begun.tenant, begun.user)
        if not marker.startswith(ERASING + owner_mark(owner)):
            raise damaged("erasure", "it names another user")
        return owner, begun.began_at

    def exists(self, marker: str) -> bool:
        return self._artifacts.exists(marker)

    def remove(self, marker: str) -> None:
        """Remove the marker of an erasure that is complete, or for which another one of the user stands."""
        if "-" in marker:
            self._artifacts.delete_prefix(marker)
        else:  # that of an earlier release, with whose key those of the user's other erasures begin
            self._artifacts.delete([marker])
            self._artifacts.delete_older_versions(marker)

    @contextmanager
    def beginning(self, marker: str, *, wait_s: float) -> Iterator[None]:
        """Hold the first lease inside the block, and for the wait after it. An error ends it, so that others may take over."""
        with self._renewed(_first(marker), then_s=wait_s + TAKEOVER_S):
            yield

    @contextmanager
    def completing(self, marker: str) -> Iterator[None]:
        """Renew the second lease inside the block, after `take` or `take_over`, and end it."""
        with self._renewed(_second(marker), then_s=0.0):
            yield

    def take(self, marker: str) -> bool:
        """Take the second lease. Return False if another process completes the erasure."""
        return self._tasks.take_task(_second(marker), every_s=TAKEOVER_S)

    def take_over(self, marker: str) -> bool:
        """Take the second lease of an erasure whose process has died. Return False if it is alive, or the erasure complete."""
        is_dead = self._tasks.take_task(_first(marker), every_s=TAKEOVER_S) and self.take(marker)
        return is_dead and self.exists(marker)

    def others(self, owner: Owner, marker: str) -> list[str]:
        """Return the markers of the user's other erasures."""
        return [key for key in erasing_keys(self._artifacts, owner_mark(owner)) if key != marker]

    def take_over_others(self, owner: Owner, marker: str) -> None:
        """Let the erasure with this marker stand for those of the user whose processes have died: remove their markers."""
        for other in self.others(owner, marker):
            if self.take_over(other):
                self.remove(other)

    @contextmanager
    def _renewed(self, lease: str, *, then_s: float) -> Iterator[None]:
        """Hold a lease inside the block, and `then_s` seconds longer if it ends without an error.

        A job store that is down stops no renewal: whoever needs it for more raises.
        """
        over, left_s = threading.Event(), 0.0

        def hold(for_s: float) -> None:
            with suppress(ServiceUnavailable):
                self._tasks.hold_task(lease, for_s=for_s)

        def renew() -> None:
            while not over.wait(RENEW_S):
                hold(TAKEOVER_S)

        hold(TAKEOVER_S)
        thread = threading.Thread(target=renew, name="lease of an erasure", daemon=True)
        thread.start()
        try:
            yield
            left_s = then_s
        finally:
            over.set()
            thread.join()
            hold(left_s)


def _first(marker: str) -> str:
    return f"erasing:{marker.removeprefix(ERASING)}"


def _second(marker: str) -> str:
    return f"{_first(marker)}:end"
