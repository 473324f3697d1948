"""A store that is away: nothing in it counts as missing, and nothing is written in its place."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from structlog.testing import capture_logs

from s2edit_jobs.bootstrap import build_artifacts, service_key
from s2edit_jobs.records.errors import ArtifactsUnavailable, StoreUnproven
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.object_store.filesystem_artifacts import FilesystemArtifactStore
from s2edit_jobs.stores.object_store.presence import MARKER, NoMemory, ProvenStore
from s2edit_jobs.stores.object_store.s3_artifacts import S3ArtifactStore, make_client
from s2edit_jobs.stores.redis_store.object_store_id import RedisStoreMemory
from tests.contract.object_store.disks import KEY, Disk, put
from tests.stores import Database

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

    def test_without_redis_a_new_store_is_not_to_blame(self, disk: Disk) -> None:
        store = FilesystemArtifactStore(disk.root, "http://x", "key", memory=RedisStoreMemory("redis://127.0.0.1:9"))
        with capture_logs() as lines, pytest.raises(StoreUnproven, match="Redis does not answer") as caught:
            put(store)
        assert "--adopt" not in str(caught.value), "it asks Redis too"
        assert [line["event"] for line in lines] == ["the object store may be new"]

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
        monkeypatch.setattr("s2edit_jobs.stores.object_store.presence.time.monotonic", lambda: 1e9)
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
        monkeypatch.setattr("s2edit_jobs.stores.object_store.presence.time.monotonic", lambda: now[0])
        store = self.bucket(moto, "emptied", Database())
        put(store)
        for key in (KEY, MARKER):
            store._client.delete_object(Bucket="emptied", Key=key)
        now[0] += 1.01
        with pytest.raises(ArtifactsUnavailable):
            store.get(KEY)


def test_no_memory_remembers_nothing() -> None:
    memory = NoMemory()
    memory.replace("1")
    assert (memory.recall(), memory.has_served(), memory.remember("2")) == (None, False, "2")
