"""What every store promises to whoever erases."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis

from api.guard.rates import Rates
from s2edit_core.request.spec import Progress
from s2edit_jobs.records.errors import ArtifactMissing, JobNotFound, LeaseLost
from s2edit_jobs.records.record import JobRecord, JobState, Outcome, Owner
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.artifacts import ArtifactStore
from s2edit_jobs.stores.embedded_redis import EmbeddedRedis
from s2edit_jobs.stores.object_store.filesystem_artifacts import TEMPORARY, FilesystemArtifactStore
from s2edit_jobs.stores.object_store.presence import MARKER
from s2edit_jobs.stores.object_store.s3_artifacts import S3ArtifactStore
from s2edit_jobs.stores.redis_store import redis_job_store
from tests.contract.conftest import StoreCase
from tests.waiting import until

ANN, BOB = Owner("app", "ann"), Owner("app", "bob")
CONCEPT = f"{ANN.prefix}concepts/c_1/concept.safetensors"


def queued(job_id: str, owner: Owner = ANN) -> JobRecord:
    return JobRecord(
        job_id, owner, JobState.QUEUED, sequence=1, created_at=1.0, updated_at=1.0, preset="balanced", deadline_at=1.0, webhook=True
    )


class TestObjects:
    def test_named_objects_are_deleted_and_no_others(self, artifacts: ArtifactStore) -> None:
        for key in ("a/1", "a/12", "a/2"):
            artifacts.put(key, b"x", media_type="text/plain")
        artifacts.delete(["a/1", "a/2", "a/none"])
        assert list(artifacts.list("a/")) == ["a/12"]
        artifacts.delete([])

    def test_a_key_that_could_leave_the_store_is_refused(self, artifacts: ArtifactStore) -> None:
        with pytest.raises(ValueError, match="key"):
            artifacts.delete(["a/../b"])

    def test_a_folder_is_not_deleted_by_its_name(self, artifacts: ArtifactStore) -> None:
        artifacts.put("a/1", b"x", media_type="text/plain")
        artifacts.delete(["a"])
        assert artifacts.exists("a/1")

    def test_of_a_versioned_bucket_no_version_is_left(self, artifacts: ArtifactStore) -> None:
        if not isinstance(artifacts, S3ArtifactStore):
            return  # the others keep no versions
        client, bucket = artifacts._client, artifacts._bucket
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        for text in (b"old", b"new"):
            for number in range(12):
                artifacts.put(f"a/{number:02}", text, media_type="text/plain")
        artifacts.put("b/1", b"bob's", media_type="text/plain")
        artifacts.delete(["a/03"])
        assert artifacts.delete_prefix("a/") == 11
        left = client.list_object_versions(Bucket=bucket)
        assert {one["Key"] for one in [*left.get("Versions", ()), *left.get("DeleteMarkers", ())]} == {"b/1", MARKER}

    def test_of_the_reports_of_models_no_older_version_is_left(self, artifacts: ArtifactStore) -> None:
        if isinstance(artifacts, S3ArtifactStore):
            artifacts._client.put_bucket_versioning(Bucket=artifacts._bucket, VersioningConfiguration={"Status": "Enabled"})
        for number in range(8):
            for key in ("models/1.json", "models/12.json", "modest"):
                artifacts.put(key, str(number).encode(), media_type="text/plain")
        artifacts.delete_older_versions("models/")
        assert {artifacts.get(key) for key in ("models/1.json", "models/12.json", "modest")} == {b"7"}
        if isinstance(artifacts, S3ArtifactStore):
            there = artifacts._client.list_object_versions(Bucket=artifacts._bucket, Prefix="mod").get("Versions", ())
            assert sorted(one["Key"] for one in there) == ["models/1.json", "models/12.json", *["modest"] * 8]

    def test_of_a_replaced_object_no_older_version_is_left(self, artifacts: ArtifactStore) -> None:
        if isinstance(artifacts, S3ArtifactStore):
            artifacts._client.put_bucket_versioning(Bucket=artifacts._bucket, VersioningConfiguration={"Status": "Enabled"})
        for key in ("a/1", "a/12"):
            artifacts.put(key, b"old", media_type="text/plain")
        for text in (b"new", b"newer"):
            artifacts.replace("a/1", text, media_type="text/plain")
            assert (artifacts.get("a/1"), artifacts.get("a/12")) == (text, b"old")
            if isinstance(artifacts, S3ArtifactStore):
                there = artifacts._client.list_object_versions(Bucket=artifacts._bucket, Prefix="a/").get("Versions", ())
                assert sorted(one["Key"] for one in there) == ["a/1", "a/12"]

    def test_half_written_files_of_the_dead_are_removed_and_those_of_the_living_stay(self, tmp_path: Path) -> None:
        store = FilesystemArtifactStore(tmp_path, "http://127.0.0.1:8000", "key")
        store.put("a/1", b"x", media_type="text/plain")
        old, fresh = tmp_path / TEMPORARY / "old", tmp_path / TEMPORARY / "fresh"
        for path in (old, fresh):
            path.write_bytes(b"half a photo")
        os.utime(old, (1, 1))
        store.delete_prefix("a/")
        assert (old.exists(), fresh.exists()) == (False, True)

    def test_they_are_removed_also_where_nothing_is_deleted(self, tmp_path: Path) -> None:
        """A reaper lists every few seconds."""
        now = [time.time()]
        store = FilesystemArtifactStore(tmp_path, "http://127.0.0.1:8000", "key", clock=lambda: now[0])
        store.put("a/1", b"x", media_type="text/plain")
        list(store.list("a/"))
        left = tmp_path / TEMPORARY / "left"
        left.write_bytes(b"half a photo")
        list(store.list("a/"))
        assert left.exists()
        now[0] += 21
        assert list(store.list("a/")) == ["a/1"]
        assert not left.exists()


class TestJobs:
    def test_an_erased_job_is_unknown_and_its_lease_is_lost(self, case: StoreCase) -> None:
        case.store.records.add(queued("e_1"))
        lease = case.store.leases.claim(lease_s=30)
        assert lease is not None
        assert case.store.erasure.learning(ANN, "e_1") is None
        case.store.erasure.erase(ANN, "e_1")
        for asked in (
            lambda: case.store.records.get(ANN, "e_1"),
            lambda: case.store.events.since(ANN, "e_1", after=0),
        ):
            with pytest.raises(JobNotFound):
                asked()
        for held in (
            lambda: case.store.leases.renew(lease),
            lambda: case.store.events.progress(lease, Progress("learning", 1, 2)),
        ):
            with pytest.raises(LeaseLost):
                held()
        case.store.leases.hand_back(lease)
        assert case.store.reservations.release(lease) == []
        assert case.store.leases.claim(lease_s=30) is None
        assert (case.store.leases.orphans(), case.store.records.overdue(), case.store.outbox.take(lease_s=1, at_once=9)) == (
            [],
            [],
            None,
        )
        assert case.store.admission.take_slot(ANN, "e_2", of_owner=0, of_tenant=0, in_all=0).in_all == 0
        case.store.erasure.erase(ANN, "e_1")

    def test_an_erased_owners_places_are_free(self, case: StoreCase) -> None:
        case.store.admission.take_slot(ANN, "e_1", of_owner=9, of_tenant=9, in_all=9)
        case.store.admission.take_slot(BOB, "e_2", of_owner=9, of_tenant=9, in_all=9)
        case.store.erasure.erase_owner(ANN)
        load = case.store.admission.take_slot(ANN, "e_3", of_owner=9, of_tenant=9, in_all=9)
        assert (load.of_owner, load.in_all) == (0, 1)

    def test_another_owners_job_is_not_erased(self, case: StoreCase) -> None:
        case.store.records.add(queued("e_1"))
        case.store.erasure.erase(BOB, "e_1")
        assert case.store.records.get(ANN, "e_1").state is JobState.QUEUED

    def test_what_it_was_learning_is_told_and_those_who_wait_for_it_go_on(self, case: StoreCase) -> None:
        for number in (1, 2):
            case.store.records.add(queued(f"e_{number}"))
        first, second = case.store.leases.claim(lease_s=30), case.store.leases.claim(lease_s=30)
        assert first is not None
        assert second is not None
        assert case.store.reservations.reserve(first, CONCEPT)
        assert not case.store.reservations.reserve(second, CONCEPT)
        assert case.store.erasure.learning(BOB, "e_1") is None
        assert case.store.erasure.learning(ANN, "e_2") is None
        assert case.store.erasure.learning(ANN, "e_1") == CONCEPT
        case.store.erasure.erase(ANN, "e_1")
        assert case.store.erasure.learning(ANN, "e_1") is None
        case.let_pass(2.2)
        assert case.store.leases.orphans() == ["e_2"]

    def test_of_an_owner_nothing_is_kept_and_of_others_everything(self, case: StoreCase) -> None:
        almost = [BOB, Owner("app", "ann-2"), Owner("app", "an"), Owner("ap", "ann"), Owner("u", "ann"), Owner("t", "app")]
        for number, owner in enumerate(almost):
            case.store.records.add(queued(f"e_b{number}", owner))
        for number in range(4):
            case.store.records.add(queued(f"e_{number}"))
        done, learner, waiter = (case.store.leases.claim(f"e_{number}", lease_s=30) for number in range(3))
        assert learner is not None
        assert waiter is not None
        assert done is not None
        case.store.records.finish("e_0", ANN, Outcome(JobState.SUCCEEDED, 1, 1.0))
        case.store.reservations.reserve(learner, CONCEPT)
        case.store.reservations.reserve(waiter, CONCEPT)
        assert case.store.erasure.erase_owner(ANN) == 1
        for number in range(4):
            with pytest.raises(JobNotFound):
                case.store.records.get(ANN, f"e_{number}")
        for number, owner in enumerate(almost):
            assert case.store.records.get(owner, f"e_b{number}").state is JobState.QUEUED
        assert case.store.leases.orphans() == [f"e_b{number}" for number in range(len(almost))]
        assert case.store.admission.take_slot(ANN, "e_4", of_owner=0, of_tenant=0, in_all=0).of_owner == 0
        _assert_nowhere(
            redis.Redis.from_url(case.database.url), b"ann", allowed={b"s2edit:job:e_b1", b"s2edit:job:e_b3", b"s2edit:job:e_b4"}
        )

    def test_a_claim_between_the_steps_of_an_erasure_finds_the_next_owners_job_and_leaves_nothing(self, case: StoreCase) -> None:
        """Erasing an owner looks at the keys one after the other. Here it has come to the queue, and to nothing else."""
        case.store.records.add(queued("e_1"))
        case.store.records.add(queued("e_2", BOB))
        case.database.client.delete("s2edit:line:app/ann")
        lease = case.store.leases.claim(lease_s=30)
        assert lease is not None
        assert lease.job_id == "e_2"
        lost = case.store.leases.claim(lease_s=30)  # a job whose queue was lost is queued again: the erasure has not come to it
        assert lost is None or lost.job_id == "e_1"
        case.store.erasure.erase_owner(ANN)
        case.let_pass(40)
        again = case.store.leases.claim(lease_s=30)
        assert again is not None
        assert again.job_id == "e_2"
        assert case.store.leases.claim(lease_s=30) is None
        assert [key for key in case.database.client.scan_iter("*") if "ann" in str(key) or "e_1" in str(key)] == []

    def test_an_erased_owner_comes_back_as_new(self, case: StoreCase) -> None:
        case.store.records.add(queued("e_1"))
        case.store.erasure.erase_owner(ANN)
        case.store.records.add(queued("e_2"))
        lease = case.store.leases.claim(lease_s=30)
        assert lease is not None
        assert lease.job_id == "e_2"


def _assert_nowhere(client: redis.Redis, word: bytes, *, allowed: set[bytes]) -> None:
    """Neither in a key nor in a value, but for other owners whose names hold it too."""
    for key in client.keys("*"):
        others = any(name in key for name in (b"ann-2", b"ap/ann", b"u/ann")) or key.startswith(b"s2edit:users:") or key in allowed
        assert others or (word not in key and word not in (client.dump(key) or b"")), key
    assert b"app/ann" not in client.zrange("s2edit:users:app", 0, -1)


def test_the_counts_of_an_erased_users_requests_go_too(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as server:
        rates = Rates(Settings(redis_url=server.url, data_dir=tmp_path, user_writes_per_minute=5))
        for owner in (ANN, BOB):
            rates.take(owner, "POST", [])
        client = redis.Redis.from_url(server.url)
        assert [key for key in client.keys("*") if b"app/ann/" in key]
        redis_job_store(server.url, timeout_s=5.0).erasure.erase_owner(ANN)
        assert not [key for key in client.keys("*") if b"app/ann/" in key]
        assert [key for key in client.keys("*") if b"app/bob/" in key]


def test_the_counts_of_a_user_whose_number_and_name_look_like_another_owner_stay(tmp_path: Path) -> None:
    """`…/user-writes/other/app/5/…` holds "app/5", which is no owner there, but the name of a user and a limit."""
    with EmbeddedRedis(tmp_path) as server:
        Rates(Settings(redis_url=server.url, data_dir=tmp_path, user_writes_per_minute=5)).take(Owner("other", "app"), "POST", [])
        client = redis.Redis.from_url(server.url)
        before = client.keys("s2edit:rates*")
        assert [key for key in before if b"/app/5/" in key]
        redis_job_store(server.url, timeout_s=5.0).erasure.erase_owner(Owner("app", "5"))
        assert sorted(client.keys("s2edit:rates*")) == sorted(before)


@pytest.mark.parametrize("snapshots", [False, True], ids=["append-only file", "and snapshots"])
def test_nothing_erased_is_left_in_the_files_of_redis(tmp_path: Path, snapshots: bool) -> None:
    owner = Owner("app", "canary-7f3a")
    with EmbeddedRedis(tmp_path) as server:
        store = redis_job_store(server.url, timeout_s=5.0)
        client = redis.Redis.from_url(server.url)
        store.records.add(queued("e_b", BOB))
        for number in range(5):
            store.records.add(replace(queued(f"e_{number}", owner), preset="canary-7f3a"))
        if snapshots:
            client.config_set("save", "3600 1")
            client.save()
        until(lambda: bool(_holders(tmp_path, b"canary-7f3a")))  # Redis may write its file later while an fsync is under way
        store.erasure.erase_owner(owner)
        assert _holders(tmp_path, b"canary-7f3a"), "the files still hold it before they are written anew"
        assert store.erasure.compact()
        assert _holders(tmp_path, b"canary-7f3a") == []
        assert store.records.get(BOB, "e_b").state is JobState.QUEUED


def _holders(folder: Path, word: bytes) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file() and word in path.read_bytes()]


@pytest.fixture
def on_disk(tmp_path: Path) -> Iterator[str]:
    """The URL of a Redis that keeps files, as the service's own does and that of the other tests does not."""
    with EmbeddedRedis(tmp_path) as server:
        yield server.url


def test_a_redis_that_forbids_it_says_so(monkeypatch: pytest.MonkeyPatch, on_disk: str) -> None:
    store = redis_job_store(on_disk, timeout_s=5.0)
    execute = redis.Redis.execute_command

    def forbidden(client: redis.Redis, *command: Any, **options: Any) -> Any:
        if command[0] == "BGREWRITEAOF":
            raise redis.ResponseError("unknown command 'BGREWRITEAOF'")
        return execute(client, *command, **options)

    monkeypatch.setattr(redis.Redis, "execute_command", forbidden)
    assert store.erasure.compact() is False


def test_many_may_ask_for_it_at_once(on_disk: str) -> None:
    stores = [redis_job_store(on_disk, timeout_s=5.0) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(lambda store: store.erasure.compact(), stores)) == [True] * 6


def test_a_missing_object_stays_missing(artifacts: ArtifactStore) -> None:
    artifacts.delete(["a/none"])
    with pytest.raises(ArtifactMissing):
        artifacts.get("a/none")
