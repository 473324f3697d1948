"""The audit log: its content, what it must not contain, and the detection of changes."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.contextvars import bound_contextvars

from s2edit_core.errors import PolicyRefused
from s2edit_core.request.spec import EditRequest
from s2edit_jobs.access.audit import NO_PREVIOUS, FileAuditLog, MemoryAudit, NoAudit, StreamAuditLog, first_break, pseudonym
from s2edit_jobs.bootstrap import build_services
from s2edit_jobs.intake.drafts import draft
from s2edit_jobs.library.erasure import Erasure
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.records.record import Owner
from s2edit_jobs.settings import Settings
from tests.doubles import FakeEngine
from tests.logged import logging_to_memory
from tests.stores import Database, MemoryArtifactStore, MemoryJobQueue
from tests.unit.worker.conftest import FILES, InProcessService
from tests.waiting import until
from worker.attempts.runner import run_job

ANN, BOB = Owner("app", "canary-ann"), Owner("app", "bob")


def write(path: str, number: int) -> None:
    for one in range(number):
        FileAuditLog(Path(path), "key").record("edit.accept", ANN, f"e_{one}", "accepted")


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def test_a_line_says_who_did_what_and_when_under_a_pseudonym(tmp_path: Path) -> None:
    path = tmp_path / "made" / "audit.jsonl"
    with bound_contextvars(request_id="r1", trace_id="t1", job_id="other"):
        FileAuditLog(path, "key").record("edit.erase", ANN, "e_1", "erased")
    (line,) = lines(path)
    values = json.loads(line)
    assert values.pop("at") > 1.7e9
    assert values == {
        "action": "edit.erase",
        "tenant": "app",
        "user": pseudonym("key", ANN),
        "what": "e_1",
        "outcome": "erased",
        "request_id": "r1",
        "trace_id": "t1",
        "previous": NO_PREVIOUS,
    }
    assert b"canary" not in line
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_pseudonym_is_one_users_and_one_keys() -> None:
    names = {pseudonym(key, owner) for key in ("a", "b") for owner in (ANN, BOB, Owner("other", "bob"))}
    assert len(names) == 6


def test_processes_and_threads_share_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    context = multiprocessing.get_context("spawn")
    others = [context.Process(target=write, args=(str(path), 20)) for _ in range(2)]
    others += [threading.Thread(target=write, args=(str(path), 20)) for _ in range(2)]  # type: ignore[list-item]
    for other in others:
        other.start()
    for other in others:
        other.join()
    assert len(lines(path)) == 80
    assert first_break(lines(path)) is None


def test_lines_that_come_while_another_is_written_share_one_wait_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, waits, syncs = tmp_path / "audit.jsonl", threading.Event(), []
    log, fsync = FileAuditLog(path, "key"), os.fsync

    def slow(descriptor: int) -> None:
        syncs.append(descriptor)
        waits.wait(20)
        fsync(descriptor)

    monkeypatch.setattr("s2edit_jobs.access.audit.os.fsync", slow)
    threads = [threading.Thread(target=log.record, args=("edit.accept", ANN, f"e_{one}", "accepted")) for one in range(6)]
    threads[0].start()
    until(lambda: len(syncs) == 1)
    for thread in threads[1:]:
        thread.start()
    until(lambda: len(log._pending) == 5)
    waits.set()
    for thread in threads:
        thread.join()
    assert len(syncs) == 2
    assert len(lines(path)) == 6
    assert first_break(lines(path)) is None


def test_each_of_those_that_were_to_be_written_together_tells_that_they_were_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = FileAuditLog(tmp_path / "audit.jsonl", "key")

    def full(entries: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(log, "_write_lines", full)
    with logging_to_memory() as said:
        write_all = [threading.Thread(target=log.record, args=("edit.accept", ANN, f"e_{one}", "accepted")) for one in range(3)]
        for thread in write_all:
            thread.start()
        for thread in write_all:
            thread.join()
    assert said.getvalue().count("audit_failed") == 3


@pytest.mark.parametrize(
    ("meddle", "shows_at"),
    [
        (lambda kept: [*kept[:2], kept[2].replace(b"e_2", b"e_9"), *kept[3:]], 4),
        (lambda kept: [*kept[:2], *kept[3:]], 3),
        (lambda kept: kept[1:], 1),
        (lambda kept: [kept[1], kept[0], *kept[2:]], 1),
        (lambda kept: [*kept[:3], b"rubbish\n", *kept[3:]], 4),
        (lambda kept: [*kept, b"[]\n"], 6),
    ],
    ids=["changed", "taken out", "begun later", "swapped", "put in", "not an object"],
)
def test_meddling_shows(tmp_path: Path, meddle: object, shows_at: int) -> None:
    path = tmp_path / "audit.jsonl"
    write(str(path), 5)
    assert callable(meddle)
    assert first_break(lines(path)) is None
    assert first_break(meddle(lines(path))) == shows_at


def test_a_torn_line_costs_no_other(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    write(str(path), 1)
    with path.open("ab") as file:
        file.write(b'{"at": 1, "acti')
    write(str(path), 2)
    assert len(lines(path)) == 4
    assert first_break(lines(path)) == 2
    assert [json.loads(line)["what"] for line in lines(path)[2:]] == ["e_0", "e_1"]


def test_after_the_file_was_moved_away_a_new_one_begins(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    audit = FileAuditLog(path, "key")
    audit.record("edit.accept", ANN, "e_1", "accepted")
    path.rename(tmp_path / "audit.jsonl.1")
    audit.record("edit.accept", ANN, "e_2", "accepted")
    assert first_break(lines(path)) is None


def test_a_disk_that_is_full_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with logging_to_memory() as logged:
        FileAuditLog(tmp_path / "file" / "audit.jsonl", "key").record("user.erase", ANN, None, "erased")
    (line,) = logged.of("audit_failed")
    assert line["audited"] == "user.erase"
    assert "canary" not in logged.text


def test_standard_output_has_a_chain_too() -> None:
    stream = io.StringIO()
    audit = StreamAuditLog("key", stream)
    for number in range(3):
        audit.record("edit.accept", ANN, f"e_{number}", "accepted")
    assert first_break(stream.getvalue().encode().splitlines()) is None
    assert len(stream.getvalue().splitlines()) == 3


@pytest.mark.parametrize(("setting", "kind"), [(None, FileAuditLog), ("-", StreamAuditLog), ("off", NoAudit)])
def test_the_settings_say_where_it_goes(tmp_path: Path, setting: str | None, kind: type) -> None:
    parts = {"artifacts": MemoryArtifactStore(), "store": Database().store(), "queue": MemoryJobQueue()}
    services = build_services(Settings(data_dir=tmp_path, audit_log=setting), **parts)  # type: ignore[arg-type]
    assert isinstance(services.audit, kind)
    services.audit.record("edit.accept", ANN, "e_1", "accepted")
    assert (tmp_path / "audit.jsonl").exists() == (setting is None)


def test_everything_that_counts_is_recorded_once() -> None:
    service, audit = InProcessService(), MemoryAudit()
    services = replace(service.services, audit=audit)
    jobs, erasure = Jobs(services), Erasure(services)
    request = EditRequest(prompt="a photo of a woman, canary")
    spec = draft(services, ANN, request, FILES, consent="yes")
    jobs.accept(spec, FILES)
    run_job(spec.id, services, FakeEngine())
    with pytest.raises(PolicyRefused):
        draft(services, ANN, EditRequest(prompt="a photo of a naked woman"), FILES)
    waiting = draft(services, ANN, request, FILES)
    jobs.accept(waiting, FILES)
    jobs.cancel(ANN, waiting.id)
    identity = jobs.get(ANN, spec.id).identity or ""
    erasure.identity(ANN, identity)
    erasure.edit(ANN, spec.id)
    erasure.complete(erasure.begin(ANN)[0])
    assert audit.lines == [
        ("edit.accept", ANN, spec.id, "accepted"),
        ("identity.learn", ANN, identity, "with consent"),
        ("edit.end", ANN, spec.id, "succeeded"),
        ("edit.refuse", ANN, None, "policy_refused"),
        ("edit.accept", ANN, waiting.id, "accepted"),
        ("edit.cancel", ANN, waiting.id, "queued"),
        ("edit.end", ANN, waiting.id, "canceled"),
        ("identity.erase", ANN, identity, "erased"),
        ("edit.erase", ANN, spec.id, "erased"),
        ("user.erase", ANN, None, "erased"),
    ]
    assert "naked" not in str(audit.lines)
