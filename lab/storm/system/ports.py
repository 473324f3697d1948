"""Proxies of the service's ports: they pass the fault points, fail as a sick store does, and log for `checks.attempts`."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, cast

from lab.storm.system.points import EventLog, FaultPoints
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.records.errors import ArtifactExists, ArtifactsUnavailable
from s2edit_jobs.records.record import Lease
from s2edit_jobs.stores.artifacts import ArtifactStore
from s2edit_jobs.stores.job_store import JobStore
from s2edit_jobs.stores.queue import JobQueue

FULL = "full disk"
"""While a file of this name is armed, every write fails."""
LATE_500 = "500 after "
"""Prefix of the file that makes one write of a kind succeed and then raise, as if the answer was a 500."""
LATE_500_KINDS = (
    "api.put.note",
    "api.put.spec",
    "worker.put.checkpoint",
    "worker.put.concept",
    "worker.put.result",
    "worker.put.outcome",
)


class _Attempt(threading.local):
    """The lease that this thread has claimed last. An attempt runs in the thread that claimed it."""

    lease: Lease | None = None


_attempt = _Attempt()


@dataclass(frozen=True, slots=True)
class _Call:
    """A call of a port that has returned."""

    name: str
    values: tuple[Any, ...]
    names: Mapping[str, Any]
    began: float
    result: Any

    def attempt(self) -> dict[str, object]:
        """Return the job and the fence of the attempt that made the call."""
        lease = _attempt.lease
        return {"job": lease.job_id if lease else None, "fence": lease.fence if lease else None, "began": self.began}


def _log_claim(log: EventLog, call: _Call) -> None:
    lease = _attempt.lease = call.result
    if lease is not None:
        log.write("claim", job=lease.job_id, fence=lease.fence, attempt=lease.attempt, began=call.began)


def _log_held(log: EventLog, call: _Call) -> None:
    """The store has accepted a sign of life of this attempt."""
    lease = call.values[0]
    progress = call.values[1] if call.name == "store.progress" else None
    log.write(
        "held",
        job=lease.job_id,
        fence=lease.fence,
        began=call.began,
        phase=progress.phase if progress else None,
        step=progress.step if progress else None,
    )


def _log_reserve(log: EventLog, call: _Call) -> None:
    lease, concept = call.values
    log.write("reserve", job=lease.job_id, fence=lease.fence, began=call.began, key=concept, learns=call.result)
    if not call.result:  # the edit waits
        log.write("left", job=lease.job_id, over=False)


def _log_put(log: EventLog, call: _Call) -> None:
    log.write("put", key=call.values[0], sha256=hashlib.sha256(call.values[1]).hexdigest(), **call.attempt())


_AFTER: Mapping[str, Callable[[EventLog, _Call], None]] = {
    "store.claim": _log_claim,
    "store.progress": _log_held,
    "store.renew": _log_held,
    "store.reserve": _log_reserve,
    "store.finish": lambda log, call: log.write("left", job=call.values[0], over=True),
    "store.hand_back": lambda log, call: log.write("left", job=call.values[0].job_id, over=False),
    "store.restored": lambda log, call: log.write("redis settled", began=call.began),
    "put.result": _log_put,
    "put.report": _log_put,
    "put.checkpoint": _log_put,
    "put.concept": lambda log, call: log.write("learned", key=call.values[0], **call.attempt()),
    "put.outcome": lambda log, call: log.write("outcome", key=call.values[0], won=True, **call.attempt()),
}
"""What is logged after a call that succeeded."""


def _log_before(log: EventLog, name: str, values: tuple[Any, ...]) -> None:
    """Log that a job may have given up its reservation: a process that is killed during the call logs nothing after it."""
    if name == "store.release":
        log.write("releases", job=values[0].job_id)
    elif name == "store.finish":
        log.write("releases", job=values[0])
    elif name == "store.erase":
        log.write("releases", job=values[1])


class _Port:
    """A proxy of a port."""

    def __init__(self, port: object, name: str, points: FaultPoints) -> None:
        self._port = port
        self._name = name
        self._points = points

    def __getattr__(self, call: str) -> Any:
        method: Callable[..., Any] = getattr(self._port, call)

        def proxied(*values: Any, **names: Any) -> Any:
            name = _call_name(self._name, call, values)
            self._points.reach(f"{name}.before")
            result = self._called(method, name, values, names)
            self._points.reach(f"{name}.after")
            return result

        return proxied

    def _called(self, method: Callable[..., Any], name: str, values: tuple[Any, ...], names: Mapping[str, Any]) -> Any:
        points, log, is_put = self._points, self._points.event_log, name.startswith("put.")
        if is_put and points.is_on(FULL):
            raise ArtifactsUnavailable("the data folder cannot be used: No space left on device")
        _log_before(log, name, values)
        began = time.time()
        try:
            result = method(*values, **names)
        except ArtifactExists:
            if name == "put.outcome":
                log.write("outcome", key=values[0], won=False)
            raise
        if (after := _AFTER.get(name)) is not None:
            after(log, _Call(name, values, names, began, result))
        if is_put and points.take(f"{LATE_500}{points.role}.{name}"):
            log.write("500", call=name)
            raise ArtifactsUnavailable("the store answered 500")
        return result


def _call_name(port: str, call: str, values: tuple[Any, ...]) -> str:
    if call != "put":
        return f"{port}.{call}"
    key = str(values[0])
    # Only the marker objects of idempotency keys are below `requests/`.
    return "put.note" if "/requests/" in key else "put." + re.split(r"[-.]", key.rpartition("/")[2])[0]


def with_fault_points(services: Services, points: FaultPoints) -> Services:
    """Return the services with a proxy around each port."""
    return replace(
        services,
        artifacts=cast(ArtifactStore, _Port(services.artifacts, "artifacts", points)),
        store=JobStore(
            **{role.name: cast(Any, _Port(getattr(services.store, role.name), "store", points)) for role in fields(JobStore)}
        ),
        queue=cast(JobQueue, _Port(services.queue, "queue", points)),
    )
