"""A request that was answered with a 5xx has left no job behind, and an accepted job runs, wherever one call of a store fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, cast

import pytest
import redis

from s2edit_jobs.bootstrap import Services
from s2edit_jobs.intake.drafts import draft
from s2edit_jobs.library.concepts import Library
from s2edit_jobs.lifecycle import idempotency
from s2edit_jobs.lifecycle.idempotency import Idempotency, accept_once
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.lifecycle.unfinished import Unfinished
from s2edit_jobs.records.errors import (
    ArtifactsUnavailable,
    QueueUnavailable,
    StoreUnavailable,
)
from s2edit_jobs.records.record import JobRecord, Owner
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.artifacts import ArtifactStore
from s2edit_jobs.stores.job_store import JobStore
from s2edit_jobs.stores.object_store.filesystem_artifacts import FilesystemArtifactStore
from tests.stores import Database, MemoryArtifactStore, MemoryJobQueue
from tests.unit.worker.conftest import FILES, REQUEST
from worker.housekeeping.reaper import reap

ANN = Owner("app", "ann")
MOST_CALLS = 40
"""More calls of ports than accepting a job makes."""


class Faults:
    """Counts the calls of the ports that it wraps, and raises at the call with index `at`, before or after its effect."""

    def __init__(self, at: int, *, after: bool, errors: dict[str, Exception]) -> None:
        self.at, self.after, self.errors = at, after, errors
        self.calls: list[str] = []
        self.armed = True

    @property
    def met(self) -> bool:
        return len(self.calls) > self.at

    def wrap(self, port: object, name: str) -> Any:
        return _Faulty(port, name, self)

    def call(self, method: Callable[..., Any], name: str, values: Any, options: Any) -> Any:
        if not self.armed:
            return method(*values, **options)
        self.calls.append(name)
        now = len(self.calls) - 1 == self.at
        error = self.errors[name.partition(".")[0]]
        if now and not self.after:
            raise error
        result = method(*values, **options)
        if now:
            raise error
        return result


class _Faulty:
    def __init__(self, port: object, name: str, faults: Faults) -> None:
        self._port, self._name, self._faults = port, name, faults

    def __getattr__(self, call: str) -> Any:
        method = getattr(self._port, call)
        return lambda *values, **options: self._faults.call(method, f"{self._name}.{call}", values, options)


@dataclass
class Deployment:
    """A service whose API meets `faults`. `services` are the same stores without faults: those of a worker."""

    artifacts: ArtifactStore
    faults: Faults

    def __post_init__(self) -> None:
        self.database = Database()
        self.queue = MemoryJobQueue()
        store = self.database.store()
        settings = Settings(data_dir=Path("/dev/null/nowhere"))
        self.services = Services(self.artifacts, store, self.queue, settings)
        faulty = JobStore(**{role.name: self.faults.wrap(getattr(store, role.name), "store") for role in fields(JobStore)})
        self.api = replace(
            self.services,
            artifacts=self.faults.wrap(self.artifacts, "artifacts"),
            store=faulty,
            queue=self.faults.wrap(self.queue, "queue"),
            audit=cast(Any, self.faults.wrap(self.services.audit, "audit")),
        )

    def request(self, key: str | None) -> JobRecord:
        jobs = Jobs(self.api)
        spec = draft(self.services, ANN, REQUEST, FILES, webhook_url="https://app.example.com/hook")
        once = Idempotency(jobs, ANN, key, "digest") if key else None
        if once is not None and (earlier := once.earlier(once.check_not_erased())) is not None:
            return earlier
        again = lambda note: draft(self.services, ANN, REQUEST, FILES, job_id=note.job_id, created_at=note.created_at)  # noqa: E731
        return accept_once(jobs, spec, FILES, once, draft=again, charge=lambda: None)

    def settle(self, *, lose_redis: bool) -> None:
        """Let the workers' housekeeping do all it can."""
        self.faults.armed = False
        if lose_redis:
            self.database.empty()
        for _ in range(2):
            self.database.client.delete(*self.database.client.keys("s2edit:task:*"), "none")  # every periodic task is due
            reap(self.services)

    @property
    def listed(self) -> list[str]:
        return [record.id for record in Library(self.services).edits(ANN, after=None, limit=100).items]


ERRORS: dict[str, dict[str, Exception]] = {
    "unavailable": {
        "artifacts": ArtifactsUnavailable("down"),
        "store": StoreUnavailable("down"),
        "queue": QueueUnavailable("down"),
        "audit": OSError(28, "No space left on device"),
    },
    "unforeseen": {
        "artifacts": RuntimeError("AccessDenied"),
        "store": redis.ResponseError("MISCONF"),
        "queue": RuntimeError("kombu"),
        "audit": OSError(28, "No space left on device"),
    },
}


@pytest.fixture(params=["memory", "folder"])
def artifacts(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    if request.param == "memory":
        return MemoryArtifactStore()
    return FilesystemArtifactStore(tmp_path, "http://localhost", "key")


@pytest.mark.parametrize("lose_redis", [False, True], ids=["", "then Redis is lost"])
@pytest.mark.parametrize("key", [None, "order-1"], ids=["", "with a key"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("errors", ERRORS)
def test_whatever_call_fails_a_refused_request_runs_never_and_an_accepted_one_does(
    artifacts: ArtifactStore, errors: str, after: bool, key: str | None, lose_redis: bool
) -> None:
    accepted, refused = 0, 0
    for at in range(MOST_CALLS):
        artifacts.delete_prefix("t/")
        deployment = Deployment(artifacts, Faults(at, after=after, errors=ERRORS[errors]))
        reap(deployment.services)
        try:
            record = deployment.request(key)
        except Exception:
            refused += 1
            deployment.settle(lose_redis=lose_redis)
            assert deployment.services.store.leases.orphans() == [], deployment.faults.calls
            assert deployment.listed == [], deployment.faults.calls
        else:
            accepted += 1
            deployment.settle(lose_redis=lose_redis)
            assert deployment.services.store.leases.orphans() == [record.id], deployment.faults.calls
            assert deployment.listed == [record.id], deployment.faults.calls
        if not deployment.faults.met:
            break
    assert not deployment.faults.met, "not every call was tried"
    assert accepted > 1, "a fault after the commit must not refuse the request"
    assert refused > 3


@pytest.mark.parametrize("key", [None, "order-1"], ids=["", "with a key"])
def test_a_marker_that_is_withdrawn_takes_along_what_the_reaper_has_entered(artifacts: ArtifactStore, key: str | None) -> None:
    """The store writes the marker, but answers only after the reaper has come by."""
    deployment = Deployment(artifacts, Faults(MOST_CALLS, after=False, errors=ERRORS["unavailable"]))
    put, entered = artifacts.put, []

    def slow(name: str, data: bytes, **options: Any) -> None:
        put(name, data, **options)
        if name.startswith("unfinished/"):
            entered.append(Unfinished(deployment.services).reconcile())
            raise ArtifactsUnavailable("no answer")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(artifacts, "put", slow)
        with pytest.raises(ArtifactsUnavailable):
            deployment.request(key)
    assert entered == [1]
    deployment.settle(lose_redis=False)
    assert deployment.services.store.leases.orphans() == []
    assert deployment.listed == []


def test_a_request_that_fails_takes_nothing_from_its_repetition(artifacts: ArtifactStore) -> None:
    """The first request hangs in its last write. Its repetition is accepted meanwhile, and then the first one fails."""
    deployment = Deployment(artifacts, Faults(MOST_CALLS, after=False, errors=ERRORS["unavailable"]))
    put, accepted = artifacts.put, []

    def hangs(name: str, data: bytes, **options: Any) -> None:
        put(name, data, **options)
        if name.startswith("unfinished/") and not accepted:
            accepted.append("")
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(idempotency, "IN_FLIGHT_S", 0.0)
                accepted[0] = deployment.request("order-1").id
            raise ArtifactsUnavailable("no answer")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(artifacts, "put", hangs)
        with pytest.raises(ArtifactsUnavailable):
            deployment.request("order-1")
    deployment.settle(lose_redis=True)
    assert deployment.services.store.leases.orphans() == accepted
    assert deployment.listed == accepted
