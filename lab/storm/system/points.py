"""Named fault points, and the log of what a process did.

Crash points lie immediately before and after every call of a port that changes state (`ports`). Between calls of ports an
attempt only computes, so these points cover all states that a crash can leave. A file arms a point; the process that removes the
file has the fault: `<point>` kills it by SIGKILL, `pause <point>` stops it until the storm resumes it.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Role = Literal["worker", "api", "housekeeper"]

_CALLS: dict[Role, tuple[str, ...]] = {
    "worker": (
        "store.claim",
        "store.renew",
        "store.progress",
        "store.reserve",
        "store.release",
        "store.finish",
        "store.measured",
        "queue.notify",
        *(
            f"put.{kind}"
            for kind in ("checkpoint", "image", "mask", "identity", "concept", "inversion", "result", "report", "outcome")
        ),
    ),
    "api": ("put.note", "put.image", "put.mask", "put.spec", "store.add", "queue.notify"),
    "housekeeper": ("store.add", "store.restored", "queue.notify", "store.take", "put.webhook", "store.end"),
}
POINTS = tuple(f"{role}.{call}.{side}" for role, calls in _CALLS.items() for call in calls for side in ("before", "after"))
PAUSE_POINTS = (
    "worker.engine.learning",
    "worker.engine.editing",
    "worker.put.concept.before",
    "worker.put.result.before",
    "worker.put.outcome.before",
)
"""Points at which a worker is paused for longer than its lease: in the middle of slow learning or editing, and before the writes
that only one attempt may make visible."""


_fault_lock = threading.Lock()
"""Held while a process has a fault. Otherwise another thread could kill the process before this fault is logged."""


@dataclass(frozen=True, slots=True)
class EventLog:
    """A JSON-lines log of a process, in a file of its own. A written line survives any kill."""

    folder: Path

    def write(self, what: str, **values: object) -> None:
        line = json.dumps({"at": time.time(), "pid": os.getpid(), "what": what, **values})
        with (self.folder / f"{os.getpid()}.jsonl").open("a") as file:
            file.write(line + "\n")


def read_event_logs(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of all processes. The lines of one process are in order."""
    return [json.loads(line) for path in folder.iterdir() for line in path.read_text().splitlines()]


@dataclass(frozen=True, slots=True)
class FaultPoints:
    """The fault points of a process. `armed` is the folder of the files that arm them."""

    armed: Path
    event_log: EventLog
    role: Role

    def reach(self, point: str) -> None:
        """Have the fault that is armed at `point`, if any. The name is without the role."""
        name = f"{self.role}.{point}"
        with _fault_lock:
            if self.take(name):
                self.event_log.write("crash", point=name)
                os.kill(os.getpid(), signal.SIGKILL)
            if self.take(f"pause {name}"):
                self.event_log.write("pause", point=name)
                (self.armed.parent / "paused" / str(os.getpid())).write_text(point)
                os.kill(os.getpid(), signal.SIGSTOP)

    def take(self, name: str) -> bool:
        """Disarm the fault of that name. Return whether it was armed. Only one process gets it."""
        try:
            (self.armed / name).unlink()
        except FileNotFoundError:
            return False
        return True

    def is_on(self, name: str) -> bool:
        """Return whether a fault that lasts, such as a full disk, is on."""
        return (self.armed / name).exists()
