"""A full disk: reading and erasing go on, readiness says so, and a log line that can't be written ends nothing."""

from __future__ import annotations

import errno
import io
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import pytest
import structlog
from fastapi.testclient import TestClient

from api.app import create_app
from s2edit_jobs.access.audit import FileAuditLog, StreamAuditLog, first_break
from s2edit_jobs.access.revoked_tokens import ended_at
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.intake.drafts import draft
from s2edit_jobs.library.erasure import Erasure
from s2edit_jobs.lifecycle.idempotency import Idempotency, accept_once
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.records.errors import ArtifactExists, ArtifactsUnavailable, JobErased
from s2edit_jobs.records.record import Owner
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.object_store import filesystem_artifacts
from s2edit_jobs.stores.object_store.filesystem_artifacts import FilesystemArtifactStore
from s2edit_jobs.stores.object_store.write_probe import CACHE_S, RETRY_S, WriteProbe
from tests.admin import admin_headers
from tests.logged import logging_to
from tests.stores import Database, MemoryArtifactStore, MemoryJobQueue
from tests.unit.worker.conftest import ANN, FILES, REQUEST

KEY = "t/app/u/ann/edits/e_1/outcome.json"


class Disk:
    """A disk of limited size that holds the store's folder. A file takes whole blocks of 4 KiB."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.blocks = root, 1 << 30
        write = os.write

        def checked(descriptor: int, data: Any) -> int:
            if self.used() + _blocks(len(data)) > self.blocks:
                raise OSError(errno.ENOSPC, "No space left on device")
            return write(descriptor, data)

        monkeypatch.setattr(os, "write", checked)

    def used(self) -> int:
        return sum(_blocks(path.stat().st_size) for path in self.root.rglob("*") if path.is_file())

    def fill(self) -> None:
        self.blocks = self.used()


def _blocks(size: int) -> int:
    return -(-size // 4096)


@pytest.fixture
def store(tmp_path: Path) -> FilesystemArtifactStore:
    return FilesystemArtifactStore(tmp_path / "artifacts", "http://testserver", "key")


@pytest.fixture
def disk(store: FilesystemArtifactStore, monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(store.root, monkeypatch)


@pytest.fixture
def services(store: FilesystemArtifactStore, tmp_path: Path) -> Services:
    settings = Settings(data_dir=tmp_path, lease_s=15, heartbeat_interval_s=0.01)
    return Services(store, Database().store(), MemoryJobQueue(), settings)


def accept(services: Services, owner: Owner = ANN) -> str:
    return Jobs(services).accept(draft(services, owner, REQUEST, FILES), FILES).id


class TestErasing:
    def test_a_user_is_erased_although_no_marker_can_be_written(self, services: Services, disk: Disk) -> None:
        accept(services)
        accept(services, Owner("app", "bob"))
        disk.fill()
        with pytest.raises(ArtifactsUnavailable, match="No space left"):
            accept(services)
        erasure = Erasure(services)
        begun, _ = erasure.begin(ANN)
        assert list(services.artifacts.list("erasing/")), "there is room for the marker now"
        erased = erasure.complete(begun)
        assert (erased.edits, list(services.artifacts.list(ANN.prefix))) == (1, [])
        assert ended_at(services.artifacts, ANN) is not None
        assert list(services.artifacts.list("t/app/u/bob/"))

    def test_an_edit_is_erased(self, services: Services, disk: Disk) -> None:
        job_id = accept(services)
        disk.fill()
        assert Erasure(services).edit(ANN, job_id) >= 3

    @pytest.mark.parametrize("erases", ["edit", "user"])
    def test_a_key_is_remembered_although_its_marker_can_not_be_written_at_first(
        self, services: Services, disk: Disk, erases: str
    ) -> None:
        jobs = Jobs(services)
        once = Idempotency(jobs, ANN, "key", "digest")
        spec = draft(services, ANN, REQUEST, FILES, key_marker=once.name)
        job_id = accept_once(jobs, spec, FILES, once, draft=lambda _: spec, charge=lambda: None).id
        disk.fill()
        erasure = Erasure(services)
        if erases == "edit":
            assert erasure.edit(ANN, job_id) == 3
        else:
            assert erasure.complete(erasure.begin(ANN)[0]).objects == 4
        disk.blocks += 9
        with pytest.raises(JobErased):
            once.check_not_erased()

    def test_over_http_with_a_receipt(self, services: Services, disk: Disk) -> None:
        owner = Owner("default", "ann")
        accept(services, owner)
        with TestClient(create_app(services)) as client:
            admin = admin_headers(services.artifacts)
            disk.fill()
            answer = client.delete("/users/ann", headers=admin)
            assert (answer.status_code, answer.json()["objects"] > 0) == (200, True)
        assert not list(services.artifacts.list(owner.prefix))

    def test_where_nothing_can_be_deleted_either_it_fails(self, services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
        accept(services)
        for name in ("put", "delete", "delete_prefix"):
            monkeypatch.setattr(services.artifacts, name, _down)
        with pytest.raises(ArtifactsUnavailable):
            Erasure(services).begin(ANN)

    def test_a_process_that_died_between_marker_and_end_of_tokens_is_made_good(
        self, services: Services, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        accept(services)
        with monkeypatch.context() as patch:
            patch.setattr("s2edit_jobs.library.erasure.end_tokens", _down)
            patch.setattr(Erasure, "_sweep", lambda self, erased: (erased, 0))
            with pytest.raises(ArtifactsUnavailable):
                Erasure(services).begin(ANN)
        assert ended_at(services.artifacts, ANN) is None
        assert Erasure(services).resume() == 1
        assert ended_at(services.artifacts, ANN) is not None


def _down(*_: Any, **__: Any) -> None:
    raise ArtifactsUnavailable("down")


class TestWriting:
    @pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO])
    def test_nothing_is_left_of_a_write_that_failed(
        self, store: FilesystemArtifactStore, monkeypatch: pytest.MonkeyPatch, code: int
    ) -> None:
        store.prove()

        def fail(*_: Any) -> int:
            raise OSError(code, os.strerror(code))

        with monkeypatch.context() as patch:
            patch.setattr(os, "write", fail)
            with pytest.raises(ArtifactsUnavailable):
                store.put(KEY, b"{}", media_type="application/json", only_if_absent=True)
        assert not store.exists(KEY)
        store.put(KEY, b"{}", media_type="application/json", only_if_absent=True)

    def test_a_write_whose_folder_cannot_be_synced_can_be_repeated(
        self, store: FilesystemArtifactStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store.prove()

        def fail(_: Path) -> None:
            raise OSError(errno.EIO, "Input/output error")

        with monkeypatch.context() as patch:
            patch.setattr(filesystem_artifacts, "_sync_folder", fail)
            with pytest.raises(ArtifactsUnavailable):
                store.put(KEY, b"ours", media_type="text/plain", only_if_absent=True)
        store.put(KEY, b"ours", media_type="text/plain", only_if_absent=True)
        with monkeypatch.context() as patch:
            patch.setattr(filesystem_artifacts, "_sync_folder", fail)
            with pytest.raises(ArtifactExists):
                store.put(KEY, b"theirs", media_type="text/plain", only_if_absent=True)
        assert store.get(KEY) == b"ours"

    def test_a_link_that_was_made_although_the_file_server_answered_that_it_exists(
        self, store: FilesystemArtifactStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """NFS repeats a request whose answer was lost."""
        store.prove()
        link = os.link

        def twice(source: Path, target: Path) -> None:
            link(source, target)
            link(source, target)

        with monkeypatch.context() as patch:
            patch.setattr(os, "link", twice)
            with pytest.raises(FileNotFoundError):
                os.link(store.root / "none", store.root / "other")
            (store.root / "t/app/u/ann/edits/e_1").mkdir(parents=True)
            store.put(KEY, b"ours", media_type="text/plain", only_if_absent=True)
            with pytest.raises(ArtifactExists):
                store.put(KEY, b"theirs", media_type="text/plain", only_if_absent=True)
        assert store.get(KEY) == b"ours"


class TestReadiness:
    def test_it_tries_a_write(self, services: Services, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
        now = [0.0]
        probe = WriteProbe(clock=lambda: now[0])
        object.__setattr__(services, "write_probe", probe)
        with TestClient(create_app(services)) as client:
            assert client.get("/readyz").status_code == 200
            disk.fill()
            now[0] += CACHE_S
            answer = client.get("/readyz")
            assert answer.status_code == 503
            assert "object store" in answer.text
            disk.blocks += 1
            now[0] += RETRY_S
            assert client.get("/readyz").status_code == 200

    def test_a_poll_a_second_costs_four_writes_a_minute(self) -> None:
        now, artifacts, writes = [0.0], MemoryArtifactStore(), 0
        probe, put = WriteProbe(clock=lambda: now[0]), artifacts.put

        def counted(*values: Any, **named: Any) -> None:
            nonlocal writes
            writes += 1
            put(*values, **named)

        artifacts.put = counted  # type: ignore[method-assign]
        for second in range(60):
            now[0] = float(second)
            assert probe.succeeds(artifacts)
        assert writes == 4


def _full() -> TextIO:
    """A file on a disk that is full. Closing it would write again, so the test leaves that to nobody."""
    return os.fdopen(os.open("/dev/full", os.O_WRONLY), "w", closefd=False)


class TestLogs:
    @pytest.fixture(autouse=True)
    def full(self) -> Iterator[None]:
        with logging_to(_full()):
            yield

    def test_a_request_is_answered_although_its_log_line_is_lost(self, services: Services) -> None:
        with TestClient(create_app(services)) as client:
            for _ in range(50):
                assert client.get("/healthz").status_code == 200
                assert client.get(f"/edits/e_{'0' * 32}").status_code == 404

    def test_a_line_that_is_longer_than_the_buffer_is_lost_as_quietly(self) -> None:
        for log in (structlog.get_logger(), logging.getLogger("some.library")):
            log.warning("x" * 10 * io.DEFAULT_BUFFER_SIZE)

    def test_an_audit_line_that_is_lost_stops_nothing(self) -> None:
        audit = StreamAuditLog("key", _full())
        for _ in range(3):
            audit.record("user.erase", ANN, None, "erased")

    def test_half_an_audit_line_is_taken_back(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path, write = tmp_path / "audit.jsonl", os.write
        audit = FileAuditLog(path, "key")
        audit.record("edit.accept", ANN, "e_1", "accepted")
        calls: list[int] = []

        def half(descriptor: int, data: Any) -> int:
            calls.append(1)
            if len(calls) == 2:
                raise OSError(errno.ENOSPC, "No space left on device")
            return write(descriptor, data[: len(data) // 2])

        with monkeypatch.context() as patch:
            patch.setattr(os, "write", half)
            audit.record("edit.accept", ANN, "e_2", "accepted")
        audit.record("edit.accept", ANN, "e_3", "accepted")
        lines = path.read_bytes().splitlines(keepends=True)
        assert [b"e_1" in lines[0], b"e_3" in lines[1], len(lines), first_break(lines)] == [True, True, 2, None]
