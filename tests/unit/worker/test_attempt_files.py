"""When a job is over, its folder holds the files of the attempt that its outcome names, and of no other."""

from __future__ import annotations

from typing import Any

import pytest

from s2edit_jobs.intake.drafts import draft
from s2edit_jobs.lifecycle.survey import rebuild
from s2edit_jobs.lifecycle.unfinished import Unfinished
from s2edit_jobs.records.errors import ArtifactsUnavailable, DeletionRefused
from s2edit_jobs.records.record import JobState
from s2edit_jobs.stores.artifacts import edit_key
from tests.unit.worker.attempts.faults import down
from tests.unit.worker.conftest import ANN, FILES, REQUEST, InProcessService


class Killed(BaseException):
    """The end of a worker's process."""


def die_before(service: InProcessService, monkeypatch: pytest.MonkeyPatch, end: str, *, times: int) -> None:
    """Let the worker die before it writes an object whose key has this end."""
    put, lives = service.artifacts.put, [times]

    def dying(key: str, data: bytes, **options: Any) -> None:
        if key.endswith(end) and lives[0]:
            lives[0] -= 1
            raise Killed
        put(key, data, **options)

    monkeypatch.setattr(service.artifacts, "put", dying)


def die(service: InProcessService) -> None:
    """Handle a notification in a worker that dies."""
    with pytest.raises(Killed):
        service.handle()
    service.pass_time(400)


def files_of(service: InProcessService, job_id: str) -> set[str]:
    return {edit_key(ANN, job_id, name) for name in service.published(job_id) if name.startswith(("result", "report", "mask-"))}


def test_attempts_that_died_before_their_outcome_leave_nothing(service: InProcessService, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = service.accept()
    die_before(service, monkeypatch, "outcome.json", times=2)
    die(service)
    die(service)
    assert len(files_of(service, job_id)) == 4
    service.handle()
    record = service.get(job_id)
    assert record.state is JobState.SUCCEEDED
    assert files_of(service, job_id) == {record.artifacts["result"], record.artifacts["report"]}
    assert all(service.artifacts.exists(key) for key in record.artifacts.values())


def test_a_job_that_is_given_up_keeps_what_was_accepted(service: InProcessService, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = service.accept()
    die_before(service, monkeypatch, "outcome.json", times=3)
    for _ in range(3):
        die(service)
    service.handle()
    failure = service.get(job_id).failure
    assert failure is not None
    assert failure.code == "parked"
    assert service.published(job_id) == ["outcome.json"]
    assert all(service.artifacts.exists(file.key) for file in service.jobs.spec(ANN, job_id).inputs.values())


def test_after_a_crash_just_behind_the_outcome_the_next_worker_removes_them(
    service: InProcessService, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = service.accept()
    die_before(service, monkeypatch, "outcome.json", times=1)
    die(service)
    with monkeypatch.context() as patch:
        patch.setattr("s2edit_jobs.lifecycle.history.History.add", down(Killed()))
        die(service)
    assert len(files_of(service, job_id)) == 4
    service.handle()
    record = service.get(job_id)
    assert files_of(service, job_id) == {record.artifacts["result"], record.artifacts["report"]}


def test_while_the_store_is_away_they_wait_for_the_reaper(service: InProcessService, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = service.accept()
    die_before(service, monkeypatch, "outcome.json", times=1)
    die(service)
    with monkeypatch.context() as patch:
        patch.setattr("s2edit_jobs.lifecycle.jobs.drop_unnamed", down(ArtifactsUnavailable("down")))
        service.handle()
    record = service.get(job_id)
    assert record.state is JobState.SUCCEEDED
    assert len(files_of(service, job_id)) == 4
    Unfinished(service.services).reconcile()
    assert files_of(service, job_id) == {record.artifacts["result"], record.artifacts["report"]}
    assert list(service.artifacts.list("unfinished/")) == []


def test_a_mask_that_was_found_stays(service: InProcessService, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = {"image": FILES["image"]}
    job_id = service.jobs.accept(draft(service.services, ANN, REQUEST, photo), photo).id
    die_before(service, monkeypatch, "outcome.json", times=1)
    die(service)
    service.handle()
    named = {*service.get(job_id).artifacts.values()}
    assert edit_key(ANN, job_id, "mask-found.png") in named
    assert files_of(service, job_id) == named | {edit_key(ANN, job_id, "mask-found.json")}


def test_an_outcome_that_nobody_can_read_keeps_all(service: InProcessService) -> None:
    job_id = service.accept()
    service.work()
    before = files_of(service, job_id)
    service.artifacts.put(edit_key(ANN, job_id, "outcome.json"), b"{", media_type="application/json")
    service.artifacts.put(f"unfinished/{job_id}-00000000", edit_key(ANN, job_id, "spec.json").encode(), media_type="text/plain")
    service.database.empty()
    rebuild(service.services)
    assert list(service.artifacts.list("unfinished/")) == []
    assert files_of(service, job_id) == before


def test_a_store_that_permits_no_deletion_delays_no_end(service: InProcessService, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = service.accept()
    die_before(service, monkeypatch, "outcome.json", times=1)
    die(service)
    delete = service.artifacts.delete_prefix

    def refusing(prefix: str) -> int:
        if "/result-" in prefix or "/report-" in prefix:
            raise DeletionRefused("the right is missing")
        return delete(prefix)

    monkeypatch.setattr(service.artifacts, "delete_prefix", refusing)
    service.handle()
    assert service.get(job_id).state is JobState.SUCCEEDED
    assert list(service.artifacts.list("unfinished/")) == []
