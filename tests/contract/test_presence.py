"""A store that is away: nothing in it counts as missing, and nothing is written in its place."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from s2edit_jobs.access.ended_tokens import ended_at
from s2edit_jobs.access.keys import KeyRing
from s2edit_jobs.bootstrap import Services, build_artifacts, service_key
from s2edit_jobs.intake.drafts import draft
from s2edit_jobs.jobs.jobs import Jobs
from s2edit_jobs.jobs.survey import Survey, rebuild
from s2edit_jobs.jobs.unfinished import Unfinished
from s2edit_jobs.library.erasure import Erasure
from s2edit_jobs.library.library import Library
from s2edit_jobs.library.retention import Retention
from s2edit_jobs.records.errors import ArtifactsUnavailable, DeletionRefused, JobNotFound, ServiceUnavailable
from s2edit_jobs.records.record import JobState, Owner
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.filesystem_artifacts import FilesystemArtifactStore
from s2edit_jobs.stores.presence import MARKER, NoMemory, ProvenStore
from s2edit_jobs.stores.redis_store.store_memory import RedisStoreMemory
from s2edit_jobs.stores.s3_artifacts import S3ArtifactStore, make_client
from tests.admin import admin_headers
from tests.doubles import FakeEngine
from tests.stores import Database, MemoryJobQueue
from tests.unit.worker.conftest import ANN, FILES, REQUEST
from tests.waiting import until
from worker.attempts.runner import run_job
from worker.housekeeping.reaper import reap
from worker.housekeeping.sweeper import sweep

KEY = "t/app/u/ann/edits/e_1/spec.json"


@dataclass
class Disk:
    """A data folder that can be unmounted, and processes that use it."""

    tmp_path: Path
    database: Database = field(default_factory=Database)

    @property
    def root(self) -> Path:
        return self.tmp_path / "data" / "artifacts"

    def process(self, *, redis: bool = True) -> FilesystemArtifactStore:
        """The store in a process that has just started."""
        memory = RedisStoreMemory(self.database.url, timeout_s=5.0) if redis else None
        return FilesystemArtifactStore(self.root, "http://testserver", "key", memory=memory)

    @contextmanager
    def unmounted(self, *, mount_point: bool = True) -> Iterator[None]:
        """Take the folder away. Its mount point, an empty folder, stays in its place, or nothing does."""
        elsewhere = self.tmp_path / "elsewhere"
        self.root.rename(elsewhere)
        if mount_point:
            self.root.mkdir()
        try:
            yield
            assert not self.root.exists() or list(self.root.iterdir()) == [], "something was written into the mount point"
        finally:
            shutil.rmtree(self.root, ignore_errors=True)
            elsewhere.rename(self.root)


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


def put(store: ProvenStore, key: str = KEY) -> None:
    store.put(key, b"{}", media_type="application/json")


CALLS: dict[str, Callable[[ProvenStore], Any]] = {
    "put": put,
    "put if absent": lambda store: store.put(KEY, b"{}", media_type="application/json", only_if_absent=True),
    "get": lambda store: store.get(KEY),
    "exists": lambda store: store.exists(KEY),
    "exists, of another": lambda store: store.exists("t/app/u/ann/edits/e_2/spec.json"),
    "size": lambda store: store.size_bytes(KEY),
    "list": lambda store: list(store.list("t/")),
    "list of all": lambda store: list(store.list("")),
    "list after a key": lambda store: list(store.list("t/", after="t/app")),
    "folders": lambda store: list(store.folders("t/app/u/")),
    "delete": lambda store: store.delete([KEY]),
    "delete nothing": lambda store: store.delete([]),
    "delete a prefix": lambda store: store.delete_prefix("t/app/"),
}


class TestEveryCall:
    @pytest.mark.parametrize("mount_point", [True, False], ids=["an empty folder stays", "nothing stays"])
    @pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
    def test_nothing_is_missing_in_a_folder_that_is_away(
        self, disk: Disk, call: Callable[[ProvenStore], Any], mount_point: bool
    ) -> None:
        store = disk.process()
        put(store)
        with disk.unmounted(mount_point=mount_point):
            for process in (store, disk.process()):  # one that has seen the folder, one that starts now
                with pytest.raises(ArtifactsUnavailable):
                    call(process)
        assert store.get(KEY) == b"{}"

    @pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
    def test_a_process_without_redis_remembers_what_it_has_seen(self, disk: Disk, call: Callable[[ProvenStore], Any]) -> None:
        store = disk.process(redis=False)
        put(store)
        with disk.unmounted(), pytest.raises(ArtifactsUnavailable):
            call(store)

    @pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
    def test_another_folder_is_not_taken_for_it(self, disk: Disk, call: Callable[[ProvenStore], Any]) -> None:
        store = disk.process()
        put(store)
        disk.root.rename(disk.tmp_path / "first")
        put(disk.process(redis=False), "t/app/u/bob/edits/e_9/spec.json")
        for process in (store, disk.process()):
            with pytest.raises(ArtifactsUnavailable, match="but the service uses"):
                process.exists("t/app/u/ann/edits/e_2/spec.json")
        with pytest.raises(ArtifactsUnavailable, match="but the service uses"):
            call(disk.process())

    def test_a_link_to_a_file_that_is_away_is_unavailable(self, disk: Disk) -> None:
        store = disk.process()
        put(store)
        with disk.unmounted(), pytest.raises(ArtifactsUnavailable):
            store.verify(KEY, **signed(store))

    def test_a_list_during_which_the_folder_goes_away_is_not_cut_short(self, disk: Disk) -> None:
        store = disk.process()
        for number in range(3):
            put(store, f"t/app/u/ann/edits/e_{number}/spec.json")
        keys = store.list("t/")
        assert next(keys).endswith("e_0/spec.json")
        with disk.unmounted(), pytest.raises(ArtifactsUnavailable):
            list(keys)

    @pytest.mark.parametrize("only_if_absent", [True, False])
    def test_a_writer_whose_folder_goes_away_leaves_nothing_in_its_place(
        self, disk: Disk, monkeypatch: pytest.MonkeyPatch, only_if_absent: bool
    ) -> None:
        store, write = disk.process(), FilesystemArtifactStore._put
        put(store)
        away = disk.unmounted()

        def goes_away_first(*values: Any) -> None:
            away.__enter__()
            write(*values)

        monkeypatch.setattr(FilesystemArtifactStore, "_put", goes_away_first)
        with pytest.raises(ArtifactsUnavailable):
            store.put("t/app/u/ann/edits/e_2/spec.json", b"{}", media_type="application/json", only_if_absent=only_if_absent)
        away.__exit__(None, None, None)
        assert not store.exists("t/app/u/ann/edits/e_2/spec.json")


def signed(store: FilesystemArtifactStore) -> dict[str, Any]:
    query = dict(parse_qsl(urlsplit(store.presigned_get(KEY, expires_s=60)).query))
    return {"expires": query["expires"], "name": None, "signature": query["signature"]}


class TestWhoMarksAStore:
    def test_the_first_process_marks_it_and_redis_remembers(self, disk: Disk) -> None:
        put(disk.process())
        marker = (disk.root / MARKER).read_bytes()
        put(disk.process())
        assert (disk.root / MARKER).read_bytes() == marker
        assert RedisStoreMemory(disk.database.url).recall() in marker.decode()

    def test_many_that_start_at_once_agree(self, disk: Disk) -> None:
        failures: list[BaseException] = []
        starting = threading.Barrier(12)

        def start(number: int) -> None:
            try:
                store = disk.process()
                starting.wait()
                put(store, f"t/app/u/ann/edits/e_{number}/spec.json")
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=start, args=(number,)) for number in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert len(list(disk.process().folders("t/app/u/ann/edits/"))) == 12

    def test_a_store_of_the_last_release_is_adopted(self, disk: Disk) -> None:
        put(disk.process())
        (disk.root / MARKER).unlink()
        disk.database.empty()
        disk.database.client.set("s2edit:restored", "a worker of the last release")
        assert disk.process().get(KEY) == b"{}"
        assert (disk.root / MARKER).exists()

    def test_one_that_is_empty_is_not_adopted_where_a_worker_has_run(self, disk: Disk) -> None:
        """The folder was unmounted when the new release was started."""
        disk.root.mkdir(parents=True)
        disk.database.client.set("s2edit:restored", "a worker of the last release")
        with pytest.raises(ArtifactsUnavailable, match="doctor --adopt"):
            disk.process().exists(KEY)
        assert list(disk.root.iterdir()) == []

    def test_redis_learns_it_again_after_it_was_emptied(self, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
        store = disk.process()
        put(store)
        disk.database.empty()
        monkeypatch.setattr("s2edit_jobs.stores.presence.time.monotonic", lambda: 1e9)
        store.exists("t/none")
        with disk.unmounted(), pytest.raises(ArtifactsUnavailable):
            disk.process().exists(KEY)

    def test_without_redis_a_starting_process_believes_a_marker_but_not_its_absence(self, disk: Disk) -> None:
        put(disk.process())

        def starting() -> FilesystemArtifactStore:
            memory = RedisStoreMemory("redis://127.0.0.1:1/0")
            return FilesystemArtifactStore(disk.root, "http://testserver", "key", memory=memory)

        assert not starting().exists("t/none")
        with disk.unmounted(), pytest.raises(ArtifactsUnavailable, match="Redis"):
            starting().exists(KEY)

    def test_the_operator_decides(self, disk: Disk) -> None:
        running = disk.process()
        put(running)
        disk.root.rename(disk.tmp_path / "first")
        for call in (running, disk.process()):
            with pytest.raises(ArtifactsUnavailable, match="doctor --adopt"):
                call.exists(KEY)
        disk.process().adopt()
        assert not running.exists(KEY)
        assert not disk.process().exists(KEY)

    def test_a_damaged_marker_is_no_proof(self, disk: Disk) -> None:
        put(disk.process())
        (disk.root / MARKER).write_text("{")
        with pytest.raises(ArtifactsUnavailable, match="damaged"):
            disk.process().exists(KEY)

    def test_the_marker_is_neither_listed_nor_swept_up(self, disk: Disk) -> None:
        store = disk.process()
        put(store)
        store.delete_prefix("t/")
        assert list(store.list("")) == []
        assert (disk.root / MARKER).exists()

    def test_two_stores_do_not_share_a_redis(self, disk: Disk, tmp_path: Path) -> None:
        put(disk.process())
        other = FilesystemArtifactStore(tmp_path / "b", "http://x", "key", memory=RedisStoreMemory(disk.database.url))
        with pytest.raises(ArtifactsUnavailable):
            put(other)


class TestKeysOfTheService:
    @pytest.mark.parametrize("name", ["signing.key", "token.key", "receipt.key", "audit.key"])
    def test_none_is_made_where_the_data_folder_is_away(self, tmp_path: Path, name: str) -> None:
        settings = Settings(data_dir=tmp_path / "data", redis_url=Database().url)
        build_artifacts(settings).prove()
        key = service_key(settings, name)
        settings.data_dir.rename(tmp_path / "elsewhere")
        settings.data_dir.mkdir()
        with pytest.raises(ArtifactsUnavailable):
            service_key(settings, name)
        assert list(settings.data_dir.iterdir()) == []
        settings.data_dir.rmdir()
        (tmp_path / "elsewhere").rename(settings.data_dir)
        assert service_key(settings, name) == key


class TestBuckets:
    def bucket(self, moto: Settings, name: str, database: Database) -> S3ArtifactStore:
        client = make_client(moto, moto.s3_endpoint_url)
        client.create_bucket(Bucket=name)
        return S3ArtifactStore(client, name, memory=RedisStoreMemory(database.url, timeout_s=5.0))

    def test_a_bucket_named_by_mistake_holds_no_absence(self, moto: Settings) -> None:
        database = Database()
        put(self.bucket(moto, "the-right-one", database))
        wrong = self.bucket(moto, "the-wrong-one", database)
        for call in CALLS.values():
            with pytest.raises(ArtifactsUnavailable):
                call(wrong)

    def test_an_emptied_bucket_is_noticed_within_a_second(self, moto: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        now = [1000.0]
        monkeypatch.setattr("s2edit_jobs.stores.presence.time.monotonic", lambda: now[0])
        store = self.bucket(moto, "emptied", Database())
        put(store)
        for key in (KEY, MARKER):
            store._client.delete_object(Bucket="emptied", Key=key)
        now[0] += 1.01
        with pytest.raises(ArtifactsUnavailable):
            store.get(KEY)


class Service:
    """The whole service on a data folder, with a fake engine."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self.engine = FakeEngine()
        self.queue = MemoryJobQueue()
        settings = Settings(data_dir=Path("/dev/null/nowhere"), lease_s=15, heartbeat_interval_s=0.01, max_attempts=3)
        self.services = Services(disk.process(), disk.database.store(), self.queue, settings)
        self.jobs = Jobs(self.services)

    def restarted(self) -> Service:
        """Another process of the same service."""
        other = Service(self.disk)
        other.queue = self.queue
        other.services = replace(other.services, queue=self.queue)
        other.jobs = Jobs(other.services)
        return other

    def accept(self, owner: Owner = ANN) -> str:
        return self.jobs.accept(draft(self.services, owner, REQUEST, FILES), FILES).id

    def reap(self) -> None:
        with suppress(ServiceUnavailable):
            reap(self.services)

    def work(self) -> None:
        """Handle every notification once, and send missing ones."""
        for _ in range(len(self.queue.messages)):
            run_job(self.queue.messages.popleft(), self.services, self.engine)
        self.reap()

    def states(self, owner: Owner, ids: list[str]) -> set[JobState]:
        return {self.jobs.get(owner, each).state for each in ids}


@pytest.fixture
def service(disk: Disk) -> Service:
    return Service(disk)


def test_no_accepted_edit_is_forgotten_while_the_folder_is_away(service: Service) -> None:
    service.reap()
    owners = [Owner("app", f"user-{number}") for number in range(16)]
    ids = {owner: service.accept(owner) for owner in owners}
    starting = service.restarted()
    with service.disk.unmounted():
        for _ in range(4):
            service.work()
            starting.work()
            for owner, job_id in ids.items():
                for process in (service, starting):
                    with pytest.raises(ServiceUnavailable):
                        process.jobs.spec(owner, job_id)
        service.disk.database.empty()  # and Redis loses everything meanwhile
        for _ in range(3):
            service.work()
            with pytest.raises(ServiceUnavailable):
                rebuild(service.services)
    for _ in range(40):
        service.work()
    assert {owner.user for owner, job_id in ids.items() if service.jobs.get(owner, job_id).state is JobState.SUCCEEDED} == {
        owner.user for owner in owners
    }
    assert {service.jobs.get(owner, job_id).attempt for owner, job_id in ids.items()} == {1}, "no attempt was counted meanwhile"


@pytest.mark.parametrize("phase", ["learning", "inverting", "editing"])
def test_a_running_edit_survives_that_its_folder_goes_away(service: Service, phase: str) -> None:
    job_id, gone = service.accept(), []

    def leave(progress: Any) -> None:
        if progress.phase == phase and not gone:
            gone.append(service.disk.unmounted())
            gone[0].__enter__()

    service.engine.on_step = leave
    service.work()
    assert service.jobs.get(ANN, job_id).state is not JobState.FAILED
    gone[0].__exit__(None, None, None)

    def is_done() -> bool:
        service.work()
        return service.jobs.get(ANN, job_id).state is JobState.SUCCEEDED

    until(is_done)  # it has left the queue for a second


def test_an_erasure_of_a_folder_that_is_away_stays_open(service: Service) -> None:
    service.accept()
    erasure = Erasure(service.services)
    begun, _ = erasure.begin(ANN)
    put(service.services.artifacts, f"{ANN.prefix}edits/e_late/result-1.png")  # type: ignore[arg-type]
    with service.disk.unmounted():
        for step in (lambda: erasure.begin(ANN), lambda: erasure.complete(begun), erasure.resume, erasure.erase_expired):
            with pytest.raises(ServiceUnavailable):
                step()
    assert list(service.services.artifacts.list(ANN.prefix))
    erasure.complete(begun)
    assert not list(service.services.artifacts.list(ANN.prefix))


def test_nothing_is_erased_by_mistake_nor_reported_as_erased(service: Service) -> None:
    job_id = service.accept()
    erasure, library = Erasure(service.services), Library(service.services)
    with service.disk.unmounted():
        for step in (
            lambda: erasure.edit(ANN, job_id),
            lambda: erasure.identity(ANN, f"c_{'0' * 32}"),
            lambda: erasure.attribute(ANN, f"a_{'0' * 32}"),
            lambda: library.identity(ANN, f"c_{'0' * 32}"),
            Unfinished(service.services).reconcile,
            lambda: rebuild(service.services),
            Survey(service.services).complete,
        ):
            with pytest.raises(ServiceUnavailable):
                step()
    assert service.jobs.get(ANN, job_id).state is JobState.QUEUED


def test_a_sweep_of_a_folder_that_is_away_removes_nothing(service: Service) -> None:
    artifacts = service.services.artifacts
    for step in (
        lambda: sweep(service.services),
        lambda: Retention(service.services).sweep(),
    ):
        put(artifacts)  # type: ignore[arg-type]
        with service.disk.unmounted(), pytest.raises(ServiceUnavailable):
            step()


def test_a_valid_key_is_not_unknown_in_a_folder_that_is_away(service: Service) -> None:
    keys = KeyRing(service.services.artifacts)
    key, _ = keys.create("app")
    with service.disk.unmounted():
        for process in (service, service.restarted()):
            ring = KeyRing(process.services.artifacts)
            for asked in (
                lambda ring=ring: ring.find(key.id),
                ring.exist,
                ring.any_active,
                lambda ring=ring: list(ring.list()),
                lambda ring=ring: ring.revoke(key.id),
                lambda process=process: ended_at(process.services.artifacts, ANN),
            ):
                with pytest.raises(ServiceUnavailable):
                    asked()
    assert keys.exist()


def test_a_job_that_was_erased_is_still_not_found(service: Service) -> None:
    job_id = service.accept()
    Erasure(service.services).edit(ANN, job_id)
    with pytest.raises(JobNotFound):
        service.jobs.get(ANN, job_id)


def test_no_memory_remembers_nothing() -> None:
    memory = NoMemory()
    memory.replace("1")
    assert (memory.recall(), memory.has_served(), memory.remember("2")) == (None, False, "2")


def test_over_http_a_store_that_is_away_is_503_for_everybody(disk: Disk, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data", auth="keys", public_url="http://testserver")
    services = Services(disk.process(), disk.database.store(), MemoryJobQueue(), settings)
    put(disk.process(), "t/app/u/ann/edits/e_1/result-1.png")
    _, text = KeyRing(services.artifacts).create("app", scopes=["edits:read", "admin"])
    headers = {"Authorization": f"Bearer {text}", "S2Edit-User": "ann"}
    with TestClient(create_app(services), headers=headers) as client:
        link = services.artifacts.presigned_get("t/app/u/ann/edits/e_1/result-1.png", expires_s=60)
        requests = [("GET", "/edits"), ("GET", f"/edits/e_{'0' * 32}"), ("DELETE", "/users/ann"), ("GET", link), ("GET", "/readyz")]
        with disk.unmounted():
            answers = {path: client.request(method, path) for method, path in requests}
        assert {path: answer.status_code for path, answer in answers.items()} == {path: 503 for _, path in requests}
        assert answers["/edits"].json()["code"] == "artifacts_unavailable"
        assert [client.request(method, path).status_code for method, path in requests] == [200, 404, 200, 404, 200]


def test_over_http_an_erasure_that_the_store_refuses_has_no_receipt_and_stays_open(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = Services(disk.process(), disk.database.store(), MemoryJobQueue(), Settings(data_dir=tmp_path / "data"))
    owner = Owner("default", "ann")
    Jobs(services).accept(draft(services, owner, REQUEST, FILES), FILES)

    def refused(*_: Any) -> int:
        raise DeletionRefused("the object store refuses GetBucketVersioning: AccessDenied")

    admin = admin_headers(services.artifacts)
    with TestClient(create_app(services)) as client:
        with monkeypatch.context() as patch:
            patch.setattr(services.artifacts, "_delete_prefix", refused)
            answer = client.delete("/users/ann", headers=admin)
            assert (answer.status_code, answer.json()["code"], answer.json()["retryable"]) == (500, "deletion_refused", False)
            assert "receipt" not in answer.json()
        assert list(services.artifacts.list("erasing/"))
        answer = client.delete("/users/ann", headers=admin)
        assert (answer.status_code, "receipt" in answer.json()) == (200, True)
