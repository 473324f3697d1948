"""Named crash points: just before and just after each call of a port that changes something.

An attempt is nothing but calls of ports with computation between, so to die at each of these points is to die everywhere. A
point is armed by a file of its name; the process that removes the file dies there, by SIGKILL.
"""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

from s2edit_jobs.bootstrap import Services
from s2edit_jobs.records.errors import ArtifactExists
from s2edit_jobs.records.record import Lease
from s2edit_jobs.stores.artifacts import ArtifactStore
from s2edit_jobs.stores.queue import JobQueue
from s2edit_jobs.stores.store import JobStore

Role = Literal["worker", "api"]

_CALLS: dict[Role, tuple[str, ...]] = {
    "worker": (
        "store.claim",
        "store.renew",
        "store.progress",
        "store.reserve",
        "store.release",
        "store.finish",
        "store.measured",
        "queue.ring",
        *(
            f"put.{kind}"
            for kind in ("checkpoint", "image", "mask", "identity", "concept", "inversion", "result", "report", "outcome")
        ),
    ),
    "api": ("put.note", "put.image", "put.mask", "put.spec", "store.add", "queue.ring"),
}
POINTS = tuple(f"{role}.{call}.{side}" for role, calls in _CALLS.items() for call in calls for side in ("before", "after"))


_one_death = threading.Lock()
"""Held by the thread that dies: else another one could kill the process at its own point before this one is written down."""


@dataclass(frozen=True, slots=True)
class Diary:
    """What a process of the storm did, a JSON line each, in a file of its own: a line that was written survives any kill."""

    folder: Path

    def write(self, what: str, **values: object) -> None:
        line = json.dumps({"at": time.time(), "pid": os.getpid(), "what": what, **values})
        with (self.folder / f"{os.getpid()}.jsonl").open("a") as file:
            file.write(line + "\n")


def read_diaries(folder: Path) -> list[dict[str, Any]]:
    """Of all processes; each in its order."""
    return [json.loads(line) for path in folder.iterdir() for line in path.read_text().splitlines()]


@dataclass(frozen=True, slots=True)
class CrashPoints:
    armed: Path
    diary: Diary
    role: Role

    def reach(self, call: str, side: str) -> None:
        point = f"{self.role}.{call}.{side}"
        with _one_death:
            try:
                (self.armed / point).unlink()
            except FileNotFoundError:
                return
            self.diary.write("crash", point=point)
            os.kill(os.getpid(), signal.SIGKILL)


class _Port:
    """Stands before a port: every call passes its crash points, and the ones that matter are written down."""

    def __init__(self, port: object, name: str, points: CrashPoints) -> None:
        self._port = port
        self._name = name
        self._points = points

    def __getattr__(self, call: str) -> Any:
        method: Callable[..., Any] = getattr(self._port, call)

        def passed(*values: Any, **names: Any) -> Any:
            name = _name(self._name, call, values)
            self._points.reach(name, "before")
            result = self._called(method, name, values, names)
            self._points.reach(name, "after")
            return result

        return passed

    def _called(self, method: Callable[..., Any], name: str, values: Any, names: Any) -> Any:
        diary = self._points.diary
        try:
            result = method(*values, **names)
        except ArtifactExists:
            if name == "put.outcome":
                diary.write("outcome", key=values[0], won=False)
            raise
        if isinstance(result, Lease):
            diary.write("claim", job=result.job_id, fence=result.fence, attempt=result.attempt)
        elif name == "put.outcome":
            diary.write("outcome", key=values[0], won=True)
        elif name == "put.concept":
            diary.write("learned", key=values[0])
        elif name == "store.finish":
            diary.write("left", job=values[0], over=True)
        elif name in ("store.reserve", "store.hand_back") and not result:  # it waits, or goes back
            diary.write("left", job=values[0].job_id, over=False)
        elif name == "store.claim":
            diary.write("nothing to claim")
        return result


def _name(port: str, call: str, values: Any) -> str:
    if call != "put":
        return f"{port}.{call}"
    key = str(values[0])
    return "put.note" if "/requests/" in key else "put." + re.split(r"[-.]", key.rpartition("/")[2])[0]


def with_crash_points(services: Services, points: CrashPoints) -> Services:
    return replace(
        services,
        artifacts=cast(ArtifactStore, _Port(services.artifacts, "artifacts", points)),
        store=cast(JobStore, _Port(services.store, "store", points)),
        queue=cast(JobQueue, _Port(services.queue, "queue", points)),
    )
