"""Named crash points: immediately before and after every call of a port that changes state.

Between calls of ports an attempt only computes, so these points cover all states that a crash can leave. A file with the point's
name arms it. The process that removes the file kills itself there by SIGKILL.
"""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, cast

from s2edit_jobs.bootstrap import Services
from s2edit_jobs.records.errors import ArtifactExists
from s2edit_jobs.records.record import Lease
from s2edit_jobs.stores.artifacts import ArtifactStore
from s2edit_jobs.stores.job_store import JobStore
from s2edit_jobs.stores.queue import JobQueue

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
        "queue.notify",
        *(
            f"put.{kind}"
            for kind in ("checkpoint", "image", "mask", "identity", "concept", "inversion", "result", "report", "outcome")
        ),
    ),
    "api": ("put.note", "put.image", "put.mask", "put.spec", "store.add", "queue.notify"),
}
POINTS = tuple(f"{role}.{call}.{side}" for role, calls in _CALLS.items() for call in calls for side in ("before", "after"))


_crash_lock = threading.Lock()
"""Held while a process crashes. Otherwise another thread could kill the process before this crash is logged."""


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
class CrashPoints:
    armed: Path
    event_log: EventLog
    role: Role

    def reach(self, call: str, side: str) -> None:
        point = f"{self.role}.{call}.{side}"
        with _crash_lock:
            try:
                (self.armed / point).unlink()
            except FileNotFoundError:
                return
            self.event_log.write("crash", point=point)
            os.kill(os.getpid(), signal.SIGKILL)


class _CrashingPort:
    """A proxy of a port: every call passes its crash points, and relevant calls are logged."""

    def __init__(self, port: object, name: str, points: CrashPoints) -> None:
        self._port = port
        self._name = name
        self._points = points

    def __getattr__(self, call: str) -> Any:
        method: Callable[..., Any] = getattr(self._port, call)

        def proxied(*values: Any, **names: Any) -> Any:
            name = _call_name(self._name, call, values)
            self._points.reach(name, "before")
            result = self._called(method, name, values, names)
            self._points.reach(name, "after")
            return result

        return proxied

    def _called(self, method: Callable[..., Any], name: str, values: Any, names: Any) -> Any:
        event_log = self._points.event_log
        try:
            result = method(*values, **names)
        except ArtifactExists:
            if name == "put.outcome":
                event_log.write("outcome", key=values[0], won=False)
            raise
        if isinstance(result, Lease):
            event_log.write("claim", job=result.job_id, fence=result.fence, attempt=result.attempt)
        elif name == "put.outcome":
            event_log.write("outcome", key=values[0], won=True)
        elif name == "put.concept":
            event_log.write("learned", key=values[0])
        elif name == "store.finish":
            event_log.write("left", job=values[0], over=True)
        elif name in ("store.reserve", "store.hand_back") and not result:  # the edit waits, or returns to the queue
            event_log.write("left", job=values[0].job_id, over=False)
        elif name == "store.claim":
            event_log.write("nothing to claim")
        return result


def _call_name(port: str, call: str, values: Any) -> str:
    if call != "put":
        return f"{port}.{call}"
    key = str(values[0])
    # Only the marker objects of idempotency keys are below `requests/`.
    return "put.note" if "/requests/" in key else "put." + re.split(r"[-.]", key.rpartition("/")[2])[0]


def with_crash_points(services: Services, points: CrashPoints) -> Services:
    return replace(
        services,
        artifacts=cast(ArtifactStore, _CrashingPort(services.artifacts, "artifacts", points)),
        store=JobStore(
            **{
                role.name: cast(Any, _CrashingPort(getattr(services.store, role.name), "store", points))
                for role in fields(JobStore)
            }
        ),
        queue=cast(JobQueue, _CrashingPort(services.queue, "queue", points)),
    )
