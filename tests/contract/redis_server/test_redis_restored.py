"""Redis that comes back older than what its readers have seen: it lost its last second, or was restored from a snapshot."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from redis.client import NEVER_DECODE

from api.app import create_app
from s2edit_core.request.spec import EditRequest, Progress
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.intake.drafts import draft
from s2edit_jobs.library.erasure import Erasure
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.records.errors import JobNotFound
from s2edit_jobs.records.files import Upload
from s2edit_jobs.records.record import JobState, Lease, Outcome, Owner
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.redis_store import redis_job_store
from tests.doubles import FakeEngine
from tests.servers.redis_servers import SnapshotRedis
from tests.stores import MemoryArtifactStore, MemoryJobQueue
from worker.attempts.runner import run_job
from worker.housekeeping.messenger import Messenger
from worker.housekeeping.reaper import reap

ANN, EVE = Owner("default", "default"), Owner("default", "evelyn")
FILES = {"image": Upload(b"photo", "image/png"), "mask": Upload(b"mask", "image/png")}


@dataclass
class CountingStore(MemoryArtifactStore):
    """Counts the requests."""

    requests: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        super().__init__()

    def __getattribute__(self, name: str) -> Any:
        if name in ("put", "get", "exists", "list", "folders", "size_bytes", "delete", "delete_prefix"):
            self.requests[name] += 1
        return super().__getattribute__(name)


@dataclass
class Restorable:
    """The service over a Redis that forgets what came after `save`."""

    redis: SnapshotRedis
    folder: Path

    def __post_init__(self) -> None:
        self.artifacts, self.queue = CountingStore(), MemoryJobQueue()
        self.store = redis_job_store(self.redis.url, timeout_s=5.0)
        self.services = Services(self.artifacts, self.store, self.queue, Settings(data_dir=self.folder, webhook_allow_private=True))
        self.jobs = Jobs(self.services)
        self.api = TestClient(create_app(self.services), base_url="http://127.0.0.1")
        self.reap()

    def reap(self) -> None:
        reap(self.services)

    def accept(self, owner: Owner = ANN, **named: Any) -> str:
        return self.jobs.accept(draft(self.services, owner, EditRequest(prompt="a woman with red hair"), FILES, **named), FILES).id

    def claim(self, job_id: str) -> Lease:
        lease = self.store.leases.claim(job_id, lease_s=60)
        assert lease is not None
        return lease

    def advance(self, lease: Lease, steps: int) -> int:
        """Return the sequence that the followers have seen."""
        for step in range(steps):
            self.store.events.progress(lease, Progress("learning", step, 100))
        return self.store.records.get(lease.owner, lease.job_id).sequence

    def finish(self, lease: Lease) -> int:
        return self.jobs.finish(lease.owner, lease.job_id, Outcome(JobState.FAILED, lease.attempt, time.time())).sequence

    def work(self) -> None:
        while self.queue.messages:
            run_job(self.queue.messages.popleft(), self.services, FakeEngine())

    def stream(self, job_id: str, last: int) -> list[dict[str, Any]]:
        """Read a stream to its end. It must come: a stream without one would run into the test's time limit."""
        answer = self.api.get(f"/edits/{job_id}/events", headers={"Last-Event-ID": str(last)})
        assert answer.status_code == 200, answer.status_code
        return [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line.startswith("data: ")]

    def everything(self) -> str:
        """All that Redis holds, keys and values."""
        with self.redis.client() as client:
            read: dict[str, Callable[[Any], object]] = {
                "string": client.get,
                "hash": lambda key: client.execute_command("HGETALL", key, **{NEVER_DECODE: True}),  # a preview is no text
                "set": client.smembers,
                "zset": lambda key: client.zrange(key, 0, -1),
                "stream": client.xrange,
            }
            return "\n".join(f"{key} {read[str(client.type(key))](key)}" for key in client.scan_iter("*"))


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Restorable]:
    with SnapshotRedis(tmp_path / "redis") as server:
        yield Restorable(server, tmp_path)


def over_since_the_snapshot(service: Restorable) -> tuple[str, int]:
    """A job that Redis shows as queued again. Return it and the sequence of its end."""
    job_id = service.accept()
    service.redis.save()
    lease = service.claim(job_id)
    service.advance(lease, 20)
    end = service.finish(lease)
    service.redis.restore()
    assert service.store.records.get(ANN, job_id).sequence == 1
    return job_id, end


@pytest.mark.parametrize("seen", [lambda end: end - 1, lambda end: end, lambda end: 2, lambda end: 10**17])
def test_a_stream_gets_the_end_whatever_it_has_seen(service: Restorable, seen: Callable[[int], int]) -> None:
    job_id, end = over_since_the_snapshot(service)
    service.reap()
    assert service.stream(job_id, seen(end))[-1]["state"] == "failed"


def test_a_stream_that_waits_while_redis_comes_back_gets_the_end(service: Restorable) -> None:
    """The end is written by this life, with a sequence below what the follower has seen."""
    job_id = service.accept()
    service.redis.save()
    seen = service.advance(service.claim(job_id), 30)
    service.redis.restore()
    service.finish(service.claim(job_id))
    assert service.store.records.get(ANN, job_id).sequence < seen
    assert service.stream(job_id, seen)[-1]["state"] == "failed"


def test_a_poll_is_never_told_that_an_old_state_is_the_present_one(service: Restorable) -> None:
    job_id = service.accept()
    service.redis.save()
    lease = service.claim(job_id)
    tags = {service.advance(lease, 1) for _ in range(20)}
    service.redis.restore()
    service.reap()
    service.advance(service.claim(job_id), 10)
    for tag in {*tags, 1}:
        answer = service.api.get(f"/edits/{job_id}", headers={"If-None-Match": f'"{tag}"'})
        assert answer.status_code == 200
        assert answer.json()["sequence"] > max(tags)


def test_a_follower_of_an_unfinished_job_sees_what_comes_next_and_the_gap(service: Restorable) -> None:
    job_id = service.accept()
    service.redis.save()
    seen = service.advance(service.claim(job_id), 30)
    began_ms = int(time.time() * 1000)
    service.redis.restore()
    service.reap()
    service.finish(service.claim(job_id))
    gap, *events = service.stream(job_id, seen)
    assert gap["after"] == seen
    assert gap["next"] == events[0]["sequence"] >= began_ms
    assert [event["state"] for event in events] == ["queued", "running", "failed"]
    assert [event["sequence"] for event in events] == sorted({event["sequence"] for event in events})


def test_what_is_over_in_the_object_store_is_over_and_runs_no_more(service: Restorable) -> None:
    job_id, _ = over_since_the_snapshot(service)
    service.queue.messages.clear()
    service.reap()
    assert not service.queue.messages
    assert service.store.leases.claim(lease_s=60) is None
    assert service.jobs.get(ANN, job_id).state is JobState.FAILED
    assert service.store.admission.take_slot(ANN, "e_none", of_owner=0, of_tenant=0, in_all=0).of_owner == 0


@pytest.mark.parametrize("state", ["queued", "running", "finished"])
def test_nothing_of_an_erased_user_comes_back(service: Restorable, state: str) -> None:
    job_ids = [service.accept(EVE, webhook_url="https://127.0.0.1/hook") for _ in range(2)]
    kept = service.accept()
    if state != "queued":
        lease = service.claim(job_ids[0])
        service.store.reservations.reserve(lease, f"{EVE.prefix}concepts/c_1")
        waiter = service.claim(job_ids[1])
        service.store.reservations.reserve(waiter, f"{EVE.prefix}concepts/c_1")
        if state == "finished":
            service.finish(lease)
    service.redis.save()
    erasure = Erasure(service.services)
    erasure.complete(erasure.begin(EVE)[0])
    assert EVE.user not in service.everything()
    service.redis.restore()
    assert EVE.user in service.everything()
    service.reap()
    assert EVE.user not in service.everything()
    for job_id in job_ids:
        with pytest.raises(JobNotFound):
            service.jobs.get(EVE, job_id)
    assert service.jobs.get(ANN, kept).state is JobState.QUEUED
    assert not any(EVE.user in key for key in service.artifacts.objects)


def test_an_erased_edit_of_a_user_who_stays_does_not_come_back(service: Restorable) -> None:
    erased, kept = service.accept(), service.accept()
    service.work()
    service.redis.save()
    Erasure(service.services).edit(ANN, erased)
    service.redis.restore()
    service.reap()
    assert service.api.get(f"/edits/{erased}").status_code == 404
    assert erased not in service.everything()
    assert service.api.get(f"/edits/{kept}").json()["state"] == "succeeded"


def test_what_was_accepted_after_the_snapshot_is_entered_and_everything_is_finished(service: Restorable) -> None:
    before = [service.accept() for _ in range(3)]
    service.redis.save()
    after = [service.accept() for _ in range(3)]
    service.queue.messages.clear()
    service.redis.restore()
    service.reap()
    service.work()
    assert {service.jobs.get(ANN, job_id).state for job_id in before + after} == {JobState.SUCCEEDED}


def test_fences_grow_and_a_worker_from_before_publishes_nothing_more(service: Restorable) -> None:
    job_id = service.accept()
    first = service.store.leases.claim(job_id, lease_s=0.01)
    service.redis.save()
    time.sleep(0.05)
    last = service.claim(job_id)
    service.redis.restore()
    service.reap()
    again = service.claim(job_id)
    assert first is not None
    assert again.fence > last.fence > first.fence
    assert service.store.records.get(ANN, job_id).attempt == 2


def test_a_webhook_that_was_delivered_is_not_sent_again(service: Restorable) -> None:
    sent: list[bytes] = []

    def post(_url: str, body: bytes, _headers: dict[str, str]) -> int:
        sent.append(body)
        return 200

    service.accept(webhook_url="https://127.0.0.1/hook")
    service.work()
    service.redis.save()
    messenger = Messenger(service.services, post=post)
    while messenger.send_next():
        pass
    service.redis.restore()
    service.reap()
    while messenger.send_next():
        pass
    assert len(sent) == 1


def test_finished_jobs_cost_the_object_store_nothing_when_redis_restarts(service: Restorable) -> None:
    for _ in range(40):
        service.accept()
    service.work()
    waiting = service.accept()
    service.redis.save()
    service.redis.restore()
    service.artifacts.requests.clear()
    service.reap()
    assert service.artifacts.requests["get"] + service.artifacts.requests["exists"] < 10
    sequence = service.store.records.get(ANN, waiting).sequence
    service.redis.client().set("s2edit:restored", "")  # as a script does that meets a job without a record
    service.reap()
    assert service.store.records.get(ANN, waiting).sequence == sequence, "sequences are lifted once a life"
