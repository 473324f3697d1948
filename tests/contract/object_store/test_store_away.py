"""Accepted edits, erasures and sweeps while the object store is away: nothing is forgotten, and nothing is erased by mistake."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from s2edit_jobs.access.keys import KeyRing
from s2edit_jobs.access.revoked_tokens import ended_at
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.intake.drafts import draft
from s2edit_jobs.library.concepts import Library
from s2edit_jobs.library.erasure import Erasure
from s2edit_jobs.library.retention import Retention
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.lifecycle.survey import Survey, rebuild
from s2edit_jobs.lifecycle.unfinished import Unfinished
from s2edit_jobs.records.errors import DeletionRefused, JobNotFound, ServiceUnavailable
from s2edit_jobs.records.record import JobState, Owner
from s2edit_jobs.settings import Settings
from tests.admin import admin_headers
from tests.contract.object_store.disks import Disk, put
from tests.doubles import FakeEngine
from tests.stores import MemoryJobQueue
from tests.unit.worker.conftest import ANN, FILES, REQUEST
from tests.waiting import until
from worker.attempts.runner import run_job
from worker.housekeeping.reaper import reap
from worker.housekeeping.sweeper import sweep


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
