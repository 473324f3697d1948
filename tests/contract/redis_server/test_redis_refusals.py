"""A Redis that answers but refuses: its memory or disk is full, it was demoted, it starts, it runs a long script.

Each refusal is made with a real server and meets every method of every port. The method works or raises `StoreUnavailable`; what
was refused has written nothing.
"""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import get_type_hints

import pytest
import redis
from fastapi.testclient import TestClient
from redis._parsers.base import BaseParser

from api.app import create_app
from api.guard.rates import Rates, Standing
from s2edit_core.request.spec import Progress
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.records.errors import LeaseLost, QueueUnavailable, StoreUnavailable
from s2edit_jobs.records.record import DailyUsage, JobRecord, JobState, Lease, Measurement, Outcome, Owner
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.celery_queue import CeleryQueue
from s2edit_jobs.stores.job_store import JobStore
from s2edit_jobs.stores.redis_errors import NO_CLUSTER, outage
from s2edit_jobs.stores.redis_store import redis_job_store
from s2edit_jobs.stores.redis_store.server import connection
from tests.contract.redis_server.refusals import READABLE, SILENT, loading
from tests.servers.redis_servers import OwnRedis
from tests.stores import MemoryArtifactStore
from tests.unit.api.model_folder import write_model_folder
from tests.unit.api.pictures import mask, photo
from worker.housekeeping.reaper import reap

ANN = Owner("app", "ann")
CONCEPT = "t/app/u/ann/concepts/c_1"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[OwnRedis]:
    with OwnRedis(tmp_path) as server:
        yield server


@pytest.fixture(autouse=True)
def ask_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LET_ALONE_S", 0.0)


def new(job_id: str) -> JobRecord:
    return JobRecord(id=job_id, owner=ANN, state=JobState.QUEUED, sequence=1, created_at=1.0, updated_at=1.0)


def ended() -> Outcome:
    return Outcome(JobState.SUCCEEDED, attempt=1, finished_at=2.0)


@dataclass
class Populated:
    """A store with jobs in all states."""

    store: JobStore

    def __post_init__(self) -> None:
        for number in range(1, 9):
            self.store.records.add(new(f"e_{number}"))
        self.learner, self.waiter, self.running, self.ending = (self.claim(f"e_{number}") for number in range(1, 5))
        self.store.reservations.reserve(self.learner, CONCEPT)
        self.store.reservations.reserve(self.waiter, CONCEPT)
        self.store.outbox.announce("e_9", "acme")

    def claim(self, job_id: str) -> Lease:
        lease = self.store.leases.claim(job_id, lease_s=60)
        assert lease is not None
        return lease

    def listen(self) -> object:
        """It never raises: while Redis refuses, nothing comes."""
        stop = threading.Event()
        stop.set()
        return list(self.store.events.changes(stop))

    def calls(self) -> Mapping[str, Callable[[], object]]:
        """Every method of every port, each on jobs of its own."""
        s = self.store
        return {
            "records.add": lambda: s.records.add(new("e_new")),
            "records.get": lambda: s.records.get(ANN, "e_5"),
            "records.find": lambda: s.records.find(["e_5", "e_none"]),
            "records.unfinished": lambda: s.records.unfinished(ANN),
            "records.request_cancel": lambda: s.records.request_cancel(ANN, "e_5"),
            "records.finish": lambda: s.records.finish("e_4", ANN, ended()),
            "records.overdue": s.records.overdue,
            "recovery.settle": lambda: list(s.recovery.settle("a life")),
            "leases.claim": lambda: s.leases.claim(lease_s=60),
            "leases.renew": lambda: s.leases.renew(self.running),
            "leases.hand_back": lambda: s.leases.hand_back(self.ending),
            "leases.orphans": s.leases.orphans,
            "events.progress": lambda: s.events.progress(self.running, Progress("editing", 1, 2)),
            "events.preview": lambda: s.events.preview(ANN, "e_3"),
            "events.since": lambda: s.events.since(ANN, "e_3", after=0),
            "events.changes": self.listen,
            "reservations.reserve": lambda: s.reservations.reserve(self.running, f"{CONCEPT}2"),
            "reservations.release": lambda: s.reservations.release(self.learner),
            "admission.take_slot": lambda: s.admission.take_slot(ANN, "e_x", of_owner=99, of_tenant=99, in_all=99),
            "admission.leave_slot": lambda: s.admission.leave_slot(ANN, "e_x"),
            "estimates.measured": lambda: s.estimates.measured("instant", {"total": 1.0}),
            "estimates.outlook": lambda: s.estimates.outlook(ANN, "e_6"),
            "estimates.prospect": lambda: s.estimates.prospect(ANN, "instant"),
            "outbox.announce": lambda: s.outbox.announce("e_y", "acme"),
            "outbox.take": lambda: s.outbox.take(lease_s=60, at_once=9),
            "outbox.put_off": lambda: s.outbox.put_off("e_9", 5),
            "outbox.end": lambda: s.outbox.end("e_9"),
            "usage.book": lambda: s.usage.book("app", DailyUsage(1, 2.0)),
            "usage.book_learning": lambda: s.usage.book_learning(self.running),
            "usage.spent": lambda: s.usage.spent("app"),
            "usage.book_stored": lambda: s.usage.book_stored("app", 5),
            "usage.stored": lambda: s.usage.stored("app", bound=1),
            "usage.take_measurement": s.usage.take_measurement,
            "usage.measured": lambda: s.usage.measured(Measurement("app", 5), 5),
            "usage.count_refusal": lambda: s.usage.count_refusal("prompt"),
            "usage.refusals": s.usage.refusals,
            "tasks.take_task": lambda: s.tasks.take_task("sweep", every_s=9),
            "tasks.hold_task": lambda: s.tasks.hold_task("sweep", for_s=9),
            "recovery.unfinished": lambda: list(s.recovery.unfinished()),
            "tasks.clock": s.tasks.clock,
            "tasks.report_alive": lambda: s.tasks.report_alive("housekeeper"),
            "tasks.last_alive_s": lambda: s.tasks.last_alive_s("housekeeper"),
            "recovery.lost": s.recovery.lost,
            "recovery.restored": lambda: s.recovery.restored("a life"),
            "erasure.compact": s.erasure.compact,
            "erasure.learning": lambda: s.erasure.learning(ANN, "e_7"),
            "erasure.erase": lambda: s.erasure.erase(ANN, "e_7"),
            "erasure.erase_owner": lambda: s.erasure.erase_owner(Owner("app", "bob")),
        }


def test_the_table_has_every_method_of_every_port(server: OwnRedis) -> None:
    ports = get_type_hints(JobStore)
    methods = {
        f"{role.name}.{name}"
        for role in fields(JobStore)
        for name, _ in inspect.getmembers(ports[role.name], inspect.isfunction)
        if not name.startswith("_")
    }
    assert set(Populated(redis_job_store(server.url)).calls()) == methods


IN_STEPS = ("recovery.settle", "erasure.erase_owner")
"""Methods that go through all keys. Each step is whole, and they are repeated until they have come through."""


def held(client: redis.Redis) -> dict[str, object]:
    """Everything of ours in Redis."""
    read: dict[str, Callable[[str], object]] = {
        "string": client.get,
        "hash": client.hgetall,
        "set": client.smembers,
        "zset": lambda key: client.zrange(key, 0, -1, withscores=True),
        "stream": client.xrange,
    }
    return {str(key): read[str(client.type(key))](str(key)) for key in client.scan_iter("s2edit:*")}


@pytest.mark.parametrize("name", READABLE)
def test_every_method_works_or_says_that_redis_is_unavailable_and_has_written_nothing(server: OwnRedis, name: str) -> None:
    populated = Populated(redis_job_store(server.url, timeout_s=2.0))
    refused = set()
    with server.client() as admin, READABLE[name](server):
        for method, call in populated.calls().items():
            before = held(admin)
            try:
                call()
            except StoreUnavailable:
                if method not in IN_STEPS:
                    assert held(admin) == before, f"{method} has written"
                refused.add(method)
            except LeaseLost:
                assert method.startswith(("events.", "reservations.", "leases."))
    assert refused >= {"records.add", "leases.claim", "leases.renew", "usage.book", "tasks.take_task", "outbox.take"}
    assert not refused & {"records.get", "events.since", "estimates.outlook", "usage.refusals", "records.overdue"}
    if name == "full memory":  # what makes room works
        assert not refused & {"records.finish", "erasure.erase", "erasure.erase_owner", "outbox.end"}


@pytest.mark.parametrize("name", SILENT)
def test_a_redis_that_refuses_everything_is_unavailable_to_every_method(server: OwnRedis, name: str) -> None:
    populated = Populated(redis_job_store(server.url, timeout_s=2.0))
    with server.client() as admin:
        before = held(admin)
    with SILENT[name](server):
        for method, call in populated.calls().items():
            if method == "events.changes" or (name, method) == ("forbidden", "erasure.compact"):
                assert not call()
                continue
            with pytest.raises(StoreUnavailable):
                call()
    with server.client() as admin:
        assert held(admin) == before
    assert populated.store.records.get(ANN, "e_5").state is JobState.QUEUED, "the same connection works again"


def test_a_redis_that_loads_is_unavailable_and_then_works(server: OwnRedis) -> None:
    populated = Populated(redis_job_store(server.url, timeout_s=2.0))
    with loading(server):
        for call in (
            populated.store.leases.orphans,
            lambda: populated.store.records.add(new("e_new")),
            populated.store.recovery.lost,
        ):
            with pytest.raises(StoreUnavailable):
                call()
    deadline = time.monotonic() + 60
    while True:
        try:
            assert populated.store.records.get(ANN, "e_5").state is JobState.QUEUED
            return
        except StoreUnavailable:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_scripts_that_the_server_has_forgotten_are_sent_again(server: OwnRedis) -> None:
    populated = Populated(redis_job_store(server.url, timeout_s=2.0))
    with server.client() as admin:
        admin.script_flush()
        populated.store.leases.renew(populated.running)
        admin.script_flush()
        assert populated.store.leases.claim(lease_s=60) is not None


def test_a_script_that_began_before_the_memory_was_full_ends_whole(server: OwnRedis) -> None:
    """Redis looks at the memory before a script's first write and never between two."""
    store = redis_job_store(server.url, timeout_s=2.0)
    store.records.add(new("e_0"))
    with server.client() as admin:
        used = int(admin.info("memory")["used_memory"])  # type: ignore[index]
        admin.config_set("maxmemory", used + 300_000)
        entered, refused = set(), set()
        for number in range(1, 3000):
            job_id = f"e_{number}"
            try:
                store.records.add(new(job_id))
                entered.add(job_id)
            except StoreUnavailable:
                refused.add(job_id)
        assert entered
        assert refused
        for job_id in entered | refused:
            there = job_id in entered
            assert admin.exists(f"s2edit:job:{job_id}", f"s2edit:events:{job_id}") == 2 * there
            assert (admin.zscore("s2edit:due", job_id) is not None) == there
            assert (admin.zscore("s2edit:line:app/ann", job_id) is not None) == there
            assert bool(admin.sismember("s2edit:open:app/ann", job_id)) == there


@pytest.mark.parametrize("name", [*READABLE, *SILENT])
def test_the_queue_is_unavailable(server: OwnRedis, name: str) -> None:
    queue = CeleryQueue(server.url)
    queue.notify("e_0")
    with (READABLE | SILENT)[name](server):
        for call in (lambda: queue.notify("e_1"), queue.waiting):
            with suppress(QueueUnavailable):
                call()
        with pytest.raises(QueueUnavailable):
            queue.notify("e_1")
    queue.notify("e_2")
    assert queue.waiting() == 2


@pytest.mark.parametrize("name", [*READABLE, *SILENT])
def test_rates_are_counted_by_the_process_and_by_redis_again_afterwards(server: OwnRedis, name: str, tmp_path: Path) -> None:
    now = [0.0]
    settings = Settings(redis_url=server.url, data_dir=tmp_path, user_writes_per_minute=50)
    rates, others = Rates(settings, clock=lambda: now[0]), Rates(settings)

    def left(rates: Rates) -> int:
        standings: list[Standing] = []
        rates.take(ANN, "POST", standings)
        return standings[0].left

    assert left(rates) == 49
    with (READABLE | SILENT)[name](server):
        assert left(rates) == 49, "counted by this process"
    now[0] += 3
    assert left(rates) == 48
    assert left(others) == 47, "counted by all together"


@pytest.mark.parametrize("name", [*READABLE, *SILENT])
def test_an_api_is_not_ready_loses_nothing_and_answers_no_500(server: OwnRedis, name: str, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, redis_url=server.url, model=str(write_model_folder(tmp_path / "model")))
    services = Services(MemoryArtifactStore(), redis_job_store(server.url, timeout_s=2.0), CeleryQueue(server.url), settings)
    form = {"image": photo(), "mask": mask()}
    with TestClient(create_app(services), base_url="http://127.0.0.1") as client:

        def post() -> str:
            answer = client.post("/edits", files=form, data={"prompt": "a photo of a woman smiling"})
            assert answer.status_code == 202, answer.text
            location: str = answer.headers["location"]
            return location

        before = post()
        assert client.get("/readyz").status_code == 200
        with (READABLE | SILENT)[name](server):
            answer = client.get("/readyz")
            assert (answer.status_code, "the job store does not answer" in answer.text) == (503, True)
            meanwhile = post()
            assert client.get(before).status_code == (200 if name in READABLE else 503)
            assert client.get(meanwhile).status_code in (200, 503)
            assert client.post(f"{before}/cancel").status_code == 503
        assert client.get("/readyz").status_code == 200
        reap(services)
        kept = "canceled" if name in READABLE else "queued"  # where the job was found, its cancellation was recorded first
        assert [client.get(edit).json()["state"] for edit in (before, meanwhile)] == [kept, "queued"]
        with server.client() as admin:
            assert admin.ttl("s2edit:task:readyz") > 0, "what the check writes goes by itself"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("MOVED 866 10.0.0.2:6379", NO_CLUSTER),
        ("ASK 866 10.0.0.2:6379", NO_CLUSTER),
        ("CROSSSLOT Keys in request don't hash to the same slot", NO_CLUSTER),
        ("CLUSTERDOWN Hash slot not served", NO_CLUSTER),
        (
            "ERR Error running script (call to f_1): @user_script:9: Script attempted to access a non local key in a cluster node",
            NO_CLUSTER,
        ),
        ("TRYAGAIN Multiple keys request during rehashing of slot", "TryAgainError"),
        ("EXECABORT Transaction discarded because of previous errors.", "ExecAbortError"),
        ("NOSCRIPT No matching script. Please use EVAL.", "NoScriptError"),
        ("NOAUTH Authentication required.", "AuthenticationError"),
        ("ERR max number of clients reached", "ConnectionError"),
        ("ERR Error running script (call to f_1): @user_script: 98: -OOM command not allowed", "OOM"),
        ("ERR unknown command `FOO`", None),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", None),
        ("ERR value is not an integer or out of range", None),
    ],
)
def test_the_code_of_an_error_says_whether_it_will_pass(answer: str, why: str | None) -> None:
    reason = outage(BaseParser.parse_error(answer))
    assert reason is None if why is None else (reason or "").endswith(why)


def test_after_a_failover_all_clients_follow_the_name_to_the_new_primary(tmp_path: Path) -> None:
    """The name is a link here, as it is a DNS entry elsewhere. The former primary stays up, as a replica."""
    now = [0.0]
    with OwnRedis(tmp_path / "a") as former, OwnRedis(tmp_path / "b") as new_one, former.client() as admin:
        name = tmp_path / "primary.sock"
        name.symlink_to(former.url.removeprefix("unix://"))
        store, queue = redis_job_store(f"unix://{name}", timeout_s=2.0), CeleryQueue(f"unix://{name}")
        settings = Settings(redis_url=f"unix://{name}", data_dir=tmp_path, user_writes_per_minute=50)
        rates = Rates(settings, clock=lambda: now[0])

        def write() -> None:
            store.records.add(new("e_1"))
            queue.notify("e_1")
            rates.take(ANN, "POST", [])

        write()
        admin.execute_command("REPLICAOF", "127.0.0.1", "1")
        name.unlink()
        name.symlink_to(new_one.url.removeprefix("unix://"))
        with pytest.raises(StoreUnavailable):
            store.records.add(new("e_1"))
        with pytest.raises(QueueUnavailable):
            queue.notify("e_1")
        rates.take(ANN, "POST", [])
        now[0] += 3
        write()
        assert queue.waiting() == 1
        with new_one.client() as client:
            assert client.exists("s2edit:job:e_1") == 1
            assert any(str(key).startswith("s2edit:rates") for key in client.scan_iter("*"))
