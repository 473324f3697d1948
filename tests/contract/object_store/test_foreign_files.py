"""Files in the data folder that are not ours: no loop stops, nothing opens or closes, and an erasure takes them along."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from api.guard.device_tokens import DeviceTokens
from s2edit_core.request.spec import EditRequest
from s2edit_jobs.access.keys import KeyRing
from s2edit_jobs.access.revoked_tokens import end_tokens, sweep_ended
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.intake.drafts import draft
from s2edit_jobs.library.concepts import Library
from s2edit_jobs.library.erasure import Erasure
from s2edit_jobs.library.retention import Retention
from s2edit_jobs.library.uploads import Uploads
from s2edit_jobs.lifecycle.idempotency import Idempotency
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.lifecycle.survey import rebuild
from s2edit_jobs.lifecycle.unfinished import Unfinished
from s2edit_jobs.records.errors import ArtifactsUnavailable, DeletionRefused, RecordDamaged
from s2edit_jobs.records.record import JobState, Owner
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.artifacts import edit_key
from s2edit_jobs.stores.object_store.filesystem_artifacts import TEMPORARY, FilesystemArtifactStore
from s2edit_jobs.stores.object_store.presence import MARKER
from s2edit_jobs.stores.object_store.s3_artifacts import S3ArtifactStore, make_client
from tests.doubles import FakeEngine
from tests.stores import Database, MemoryJobQueue
from tests.unit.worker.conftest import ANN, FILES, REQUEST
from worker.attempts.runner import run_job
from worker.housekeeping.reaper import reap

FOREIGN: dict[str, Callable[[Path], Any]] = {
    ".DS_Store": lambda path: path.write_bytes(b"\0\0\0\1Bud1"),
    ".nfs0000000000a1": lambda path: path.write_bytes(b"a file that was deleted while it was open"),
    "Thumbs.db": lambda path: path.write_bytes(b"\xd0\xcf\x11\xe0"),
    "spec.json~": lambda path: path.write_bytes(b"{"),
    "spec.json.bak": lambda path: path.write_bytes(b"{"),
    "0": lambda path: path.write_bytes(b"a name of the right characters"),
    "a copy of it": lambda path: path.write_bytes(b"x"),
    "ünïcode": lambda path: path.write_bytes(b"x"),
    "lost+found": lambda path: path.mkdir(),
    "@eaDir": lambda path: (path.mkdir(), (path / "image.png").write_bytes(b"a preview of a photo")),
    "key.json": lambda path: path.mkdir(),
    "backup": lambda path: (path.mkdir(), (path / "spec.json").write_bytes(b"{}")),
    "link": lambda path: path.symlink_to(path.parent),
    "link-up": lambda path: path.symlink_to(path.parent.parent),
    "link-to-itself": lambda path: path.symlink_to(path),
    "link-to-nowhere": lambda path: path.symlink_to(path.parent / "nowhere"),
    "pipe": os.mkfifo,
}


class Service:
    """A service on a folder, with one of everything that is stored."""

    def __init__(self, root: Path, owner: Owner = ANN) -> None:
        self.root, self.owner = root, owner
        self.artifacts = FilesystemArtifactStore(root, "http://testserver", "key")
        self.database, self.queue = Database(), MemoryJobQueue()
        settings = Settings(data_dir=Path("/dev/null/nowhere"), lease_s=15, heartbeat_interval_s=0.01, max_attempts=3)
        self.services = Services(self.artifacts, self.database.store(), self.queue, settings)
        self.jobs, self.engine = Jobs(self.services), FakeEngine()
        self.tokens = DeviceTokens(self.artifacts, ["k" * 32])
        self.done = self.accept(webhook_url="https://app.example/hook", identity_ttl_s=3600)
        self.work()
        self.open = self.accept(EditRequest(prompt="a photo of a smiling woman"))
        spec = self.jobs.spec(owner, self.open)
        self.artifacts.put(f"pending/{self.open}", edit_key(owner, self.open, "spec.json").encode(), media_type="text/plain")
        Idempotency(self.jobs, owner, "key", "digest").begin(spec)
        self.upload = Uploads(self.services).announce(owner, media_type="image/png", size_bytes=1, sha256=None)
        self.token, _ = self.tokens.issue(owner, scopes=frozenset({"edits:write"}), expires_in_s=60, edits=2, uploads=0, key_id="")
        self.tokens.spend(self.token, "edits")

    def accept(self, request: EditRequest = REQUEST, **named: Any) -> str:
        return self.jobs.accept(draft(self.services, self.owner, request, FILES, **named), FILES).id

    def work(self) -> None:
        while self.queue.messages:
            run_job(self.queue.messages.popleft(), self.services, self.engine)

    def state(self, job_id: str) -> JobState:
        return self.jobs.get(self.owner, job_id).state

    def litter(self, name: str, make: Callable[[Path], Any]) -> int:
        """Put the foreign file into every folder of the store, and into those that are listed but do not exist yet."""
        places = [path for path in (self.root, *self.root.rglob("*")) if path.is_dir()]
        listed = [self.root / folder for folder in ("keys", "outbox", "pending", "erasing", "expiring", "ended", "models")]
        for path in {*places, *listed}:
            path.mkdir(exist_ok=True)
            if not (path / name).exists():
                make(path / name)
        with suppress(OSError):  # a link to nowhere
            os.utime(self.root / TEMPORARY / name, (1, 1))  # too old for a file that is being written
        return len(places)


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_file_in_every_folder_changes_nothing(tmp_path: Path, name: str) -> None:
    service = Service(tmp_path / "artifacts")
    artifacts, owner, library = service.artifacts, service.owner, Library(service.services)
    identities = [item.id for item in library.identities(owner, after=None, limit=9).items]
    assert service.litter(name, FOREIGN[name]) > 12

    assert not KeyRing(artifacts).exist(), "the service has no key, so it stays open"
    assert (list(KeyRing(artifacts).list()), KeyRing(artifacts).any_active()) == ([], False)
    service.database.empty()
    assert rebuild(service.services) == 1
    reap(service.services)
    assert Unfinished(service.services).reconcile() == 0
    assert [item.id for item in library.edits(owner, after=None, limit=9).items] == sorted(
        (service.open, service.done), reverse=True
    )
    assert [item.id for item in library.identities(owner, after=None, limit=9).items] == identities
    service.work()
    assert service.state(service.open) is JobState.SUCCEEDED

    end_tokens(artifacts, Owner("app", "bob"), now=1.0)
    service.tokens.spend(service.token, "edits")
    assert len(list(artifacts.list(service.token.prefix))) >= 2
    week_s = 7 * 86_400
    gone = Retention(service.services, clock=lambda: time.time() + week_s + 60).sweep()
    assert gone["requests"] == 1
    assert gone["uploads"] >= 1
    assert gone["inversions"] >= 3
    assert not list(artifacts.list(service.token.prefix))
    assert sweep_ended(artifacts, now=time.time()) == 1

    later = Erasure(service.services, clock=lambda: time.time() + 7200)
    assert later.erase_expired() == 1
    later.begin(owner)
    service.database.empty()  # with the lease of the erasing process, which counts as dead
    assert Erasure(service.services).resume() == 1
    left = [path for path in (tmp_path / "artifacts" / owner.prefix).rglob("*") if not path.name.startswith(".nfs")]
    assert [path for path in left if not path.is_dir()] == []
    assert (tmp_path / "artifacts" / MARKER).exists()


@pytest.mark.parametrize("user", ["requests", "uploads", "edits", "tokens", "u", "t", "inversions", "spec-json"])
def test_a_user_whose_name_is_a_folders_loses_nothing(tmp_path: Path, user: str) -> None:
    service = Service(tmp_path / "artifacts", Owner("app", user))
    before = {key for key in service.artifacts.list("") if "/requests/" + "0" not in key}
    assert Retention(service.services).sweep() == {}
    assert set(service.artifacts.list("")) == before
    service.database.empty()
    assert rebuild(service.services) == 1


class Unreadable:
    """The rights of files and folders, for tests that run as root."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.paths: set[Path] = set()
        for module, name in ((os, "scandir"), (os, "stat"), (os, "unlink"), (os, "open")):
            monkeypatch.setattr(module, name, self._checked(getattr(module, name)))
        monkeypatch.setattr("io.open", self._checked(open))

    def _checked(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def checked(path: Any, *values: Any, **named: Any) -> Any:
            if isinstance(path, str | Path) and any(Path(path) == one or one in Path(path).parents for one in self.paths):
                raise PermissionError(13, "Permission denied", str(path))
            return call(path, *values, **named)

        return checked


def test_one_unreadable_file_is_no_reason_for_the_others_to_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service(tmp_path / "artifacts")
    other = service.accept(EditRequest(prompt="a photo of a woman with a hat"))
    unreadable = Unreadable(monkeypatch)
    spec = tmp_path / "artifacts" / edit_key(ANN, service.open, "spec.json")
    unreadable.paths.add(spec)
    with pytest.raises(RecordDamaged, match="Permission denied"):
        service.artifacts.get(edit_key(ANN, service.open, "spec.json"))
    assert service.jobs.get(ANN, other).id == other


def test_an_unreadable_folder_is_set_aside_by_lists_and_refused_by_erasures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service(tmp_path / "artifacts")
    unreadable = Unreadable(monkeypatch)
    folder = edit_key(ANN, service.done, "")
    unreadable.paths.add(tmp_path / "artifacts" / folder.rstrip("/"))
    keys = list(service.artifacts.list("t/"))
    assert any(service.open in key for key in keys)
    assert not any(service.done in key for key in keys)
    with pytest.raises(ArtifactsUnavailable):
        list(service.artifacts.list(folder))
    erasure = Erasure(service.services)
    with pytest.raises(DeletionRefused):
        erasure.begin(ANN)
    unreadable.paths.clear()
    erasure.complete(erasure.begin(ANN)[0])
    assert not (tmp_path / "artifacts" / ANN.prefix).exists()


def test_a_file_that_cannot_be_deleted_leaves_the_erasure_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service(tmp_path / "artifacts")
    unlink = os.unlink

    def immutable(path: Any, *values: Any, **named: Any) -> None:
        if str(path).endswith("image.png"):
            raise PermissionError(1, "Operation not permitted", str(path))
        unlink(path, *values, **named)

    monkeypatch.setattr(os, "unlink", immutable)
    erasure = Erasure(service.services)
    with pytest.raises(DeletionRefused, match="not permitted"):
        erasure.begin(ANN)
    assert list(service.artifacts.list("erasing/"))


def test_a_store_whose_folder_is_unreadable_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service(tmp_path / "artifacts")
    unreadable = Unreadable(monkeypatch)
    unreadable.paths.add(tmp_path / "artifacts")
    for call in (
        lambda: service.artifacts.get(edit_key(ANN, service.open, "spec.json")),
        lambda: service.artifacts.exists("t/none"),
        lambda: list(service.artifacts.list("t/")),
        lambda: list(service.artifacts.folders("keys/")),
        lambda: service.artifacts.delete_prefix("t/none/"),
    ):
        with pytest.raises(ArtifactsUnavailable):
            call()


def test_a_key_that_cannot_be_read_does_not_open_the_service(tmp_path: Path) -> None:
    artifacts = FilesystemArtifactStore(tmp_path, "http://testserver", "key")
    key, _ = KeyRing(artifacts).create("app")
    (tmp_path / "keys" / key.id / "key.json").write_bytes(b"{")
    assert KeyRing(artifacts).exist()


def test_foreign_objects_in_a_bucket_are_not_listed_and_are_erased_with_their_user(moto: Settings) -> None:
    """Consoles make objects for folders, and people upload things."""
    client, bucket = make_client(moto, moto.s3_endpoint_url), f"bucket-{time.time_ns()}"
    client.create_bucket(Bucket=bucket)
    artifacts = S3ArtifactStore(client, bucket)
    artifacts.put(f"{ANN.prefix}edits/e_1/spec.json", b"{}", media_type="application/json")
    for key in (ANN.prefix, f"{ANN.prefix}.DS_Store", f"{ANN.prefix}edits/a copy/image.png", f"{ANN.prefix}edits/e_1/spec.json~"):
        client.put_object(Bucket=bucket, Key=key, Body=b"foreign")
    assert list(artifacts.list("t/")) == [f"{ANN.prefix}edits/e_1/spec.json"]
    assert list(artifacts.folders(f"{ANN.prefix}edits/")) == ["e_1"]
    artifacts.delete_prefix(ANN.prefix)
    assert [one["Key"] for one in client.list_objects_v2(Bucket=bucket)["Contents"]] == [MARKER]


def test_a_part_of_the_store_may_be_on_another_disk(tmp_path: Path) -> None:
    root, other = tmp_path / "artifacts", tmp_path / "other"
    artifacts = FilesystemArtifactStore(root, "http://testserver", "key")
    artifacts.prove()
    other.mkdir()
    (root / "t").symlink_to(other)
    artifacts.put("t/app/u/ann/edits/e_1/spec.json", json.dumps({}).encode(), media_type="application/json")
    assert list(artifacts.list("t/")) == ["t/app/u/ann/edits/e_1/spec.json"]
    assert list(artifacts.folders("t/")) == ["app"]
