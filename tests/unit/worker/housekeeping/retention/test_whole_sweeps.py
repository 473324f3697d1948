"""A sweep as a whole: bad items stop nothing, several sweeps do no harm, and one costs no more than what it has to look at."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from api.guard.device_tokens import DeviceTokens
from s2edit_core.request.spec import Progress
from s2edit_jobs.access.spent_units import SWEEP_AFTER_S
from s2edit_jobs.intake.drafts import draft
from s2edit_jobs.library.concepts import Library
from s2edit_jobs.library.last_use import DAY_S
from s2edit_jobs.records.errors import JobNotFound
from s2edit_jobs.records.record import JobState, Outcome, Owner, new_job_id
from s2edit_jobs.records.set_aside import set_aside_counts
from s2edit_jobs.stores.artifacts import edit_key
from s2edit_jobs.stores.user_folders import SEEK_AFTER
from tests.doubles import FakeEngine
from tests.unit.worker.conftest import ANN, FILES, REQUEST, InProcessService
from tests.unit.worker.housekeeping.retention.sweeps import (
    BOB,
    WEEK_S,
    configured,
    done,
    inversions,
    slid,
    sweep,
)


@pytest.mark.parametrize(
    "key",
    [
        f"{ANN.prefix}edits/e_0000000003e87000{'8' * 16}/outcome.json",
        f"{ANN.prefix}edits/not-ours/outcome.json",
        f"{ANN.prefix}concepts/not-ours/used-x",
        f"{ANN.prefix}requests/{'0' * 32}.json",
        f"{ANN.prefix}uploads/u_{'0' * 32}/upload.json",
        f"{ANN.prefix}inversions/not-ours",
        f"{ANN.prefix}notes.txt",
        "t/readme.txt",
        "t/app/u/ann",
    ],
)
@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"state": "flying", "finished_at": "soon"}', b"\xff\xfe"])
def test_one_bad_item_stops_nothing(service: InProcessService, pass_time: Callable[[float], None], key: str, data: bytes) -> None:
    first = done(service)
    configured(service, edit_ttl_s=DAY_S)
    pass_time(WEEK_S + 60)
    service.artifacts.objects = {key: data} | service.artifacts.objects
    gone = sweep(service)
    assert (gone["edits"], gone["inversions"] >= 3) == (1, True)
    with pytest.raises(JobNotFound):
        service.get(first)


@pytest.mark.parametrize("name", ["outcome.json", "spec.json"])
@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"version": 99}'])
def test_an_edit_whose_record_is_damaged_or_newer_expires_like_any_other(
    service: InProcessService, pass_time: Callable[[float], None], name: str, data: bytes
) -> None:
    job_id = done(service)
    service.artifacts.put(edit_key(ANN, job_id, name), data, media_type="x/y")
    configured(service, edit_ttl_s=2 * DAY_S, result_ttl_s=DAY_S)
    pass_time(DAY_S + 1)
    assert sweep(service) == {"pictures": 3}
    pass_time(DAY_S)
    assert sweep(service) == {"edits": 1}
    assert [key for key in service.artifacts.objects if job_id in key] == []


def test_an_error_about_one_folder_is_counted_as_set_aside(
    service: InProcessService, pass_time: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = done(service)
    pass_time(1)
    second = done(service)
    configured(service, edit_ttl_s=DAY_S)
    pass_time(DAY_S + 1)
    drop = service.jobs.drop

    def fail_first(_self: object, owner: Owner, job_id: str) -> int:
        if job_id == first:
            raise RuntimeError("a fault of our own")
        return drop(owner, job_id)

    monkeypatch.setattr("s2edit_jobs.lifecycle.jobs.Jobs.drop", fail_first)
    before = set_aside_counts().get("expiring edits", 0)
    assert sweep(service) == {"edits": 1}
    assert set_aside_counts()["expiring edits"] == before + 1
    with pytest.raises(JobNotFound):
        service.get(second)


def test_several_sweeps_at_a_time_do_no_harm(service: InProcessService, pass_time: Callable[[float], None]) -> None:
    jobs = [done(service, slid(1 + notch)) for notch in range(6)]
    configured(service, edit_ttl_s=DAY_S)
    pass_time(WEEK_S + 60)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: sweep(service), range(4)))
    assert inversions(service) == set()
    assert [key for key in service.artifacts.objects if any(job_id in key for job_id in jobs)] == []


@contextmanager
def counted(service: InProcessService) -> Iterator[dict[str, int]]:
    """Count the keys that listings yield, and the objects that are read."""
    counts = {"listed": 0, "read": 0}
    listing, get = service.artifacts.list, service.artifacts.get

    def count_keys(prefix: str, *, after: str | None = None) -> Iterator[str]:
        for key in listing(prefix, after=after):
            counts["listed"] += 1
            yield key

    def count_reads(key: str) -> bytes:
        counts["read"] += 1
        return get(key)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service.artifacts, "list", count_keys)
        patch.setattr(service.artifacts, "get", count_reads)
        yield counts


def with_history(service: InProcessService, edits: int, *, ages_s: float) -> None:
    """Store the objects of finished edits of `ANN`, of that age."""
    now = time.time()
    outcome = Outcome(state=JobState.CANCELED, attempt=1, finished_at=now).to_json()
    for number in range(edits):
        job_id = new_job_id(now - ages_s + number / 1000)
        for name in ("image.png", "mask.png", "outcome.json", "report-1.json", "result-1.png", "spec.json"):
            service.artifacts.objects[edit_key(ANN, job_id, name)] = outcome
        service.artifacts.objects[f"{ANN.prefix}index/all/edit-canceled/{number:05}"] = b""


@pytest.mark.parametrize("settings", [{}, {"edit_ttl_s": 30 * DAY_S}, {"result_ttl_s": 30 * DAY_S}])
def test_a_sweep_passes_over_edits_that_cannot_have_expired(service: InProcessService, settings: dict[str, float]) -> None:
    with_history(service, 5000, ages_s=DAY_S)
    configured(service, **settings)
    with counted(service) as counts:
        assert sweep(service) == {}
    assert counts["listed"] < 2 * SEEK_AFTER + 100  # of the edits, and of the index
    assert counts["read"] == 0


def test_a_sweep_reads_only_edits_that_may_have_expired(service: InProcessService) -> None:
    with_history(service, 300, ages_s=DAY_S)
    with_history(service, 20, ages_s=40 * DAY_S)  # ended just now
    configured(service, edit_ttl_s=30 * DAY_S)
    with counted(service) as counts:
        assert sweep(service) == {}
    assert counts["read"] == 20


def test_one_listing_serves_every_kind(service: InProcessService, monkeypatch: pytest.MonkeyPatch) -> None:
    done(service)
    for user in (ANN, BOB, Owner("zoo", "ann")):
        service.jobs.accept(draft(service.services, user, REQUEST, FILES), FILES)
    prefixes: list[str] = []
    listing = service.artifacts.list

    def note(prefix: str, **options: Any) -> Iterator[str]:
        prefixes.append(prefix)
        return listing(prefix, **options)

    monkeypatch.setattr(service.artifacts, "list", note)
    sweep(service)
    assert prefixes == ["t/"]


def test_what_is_learned_anew_while_the_sweep_goes_on_stays(
    service: InProcessService, pass_time: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sweep has listed old checkpoints. Before it comes to delete them, the user sends the photo again."""
    service.engine = FakeEngine(checkpoint_every=1)
    first = service.accept()

    def cancel(progress: Progress) -> None:
        if progress.phase == "learning" and progress.step == 3:
            service.jobs.cancel(ANN, first)
            service.stop.set()

    service.engine.on_step = cancel
    service.handle()
    service.engine.on_step, _ = None, service.stop.clear()
    service.jobs.cancel(ANN, first)
    service.queue.messages.clear()
    sweep(service)  # dates the checkpoints
    pass_time(service.services.settings.checkpoint_ttl_s + 10)
    again, listing = service.accept(), service.artifacts.list
    folders = f"{ANN.prefix}concepts/"

    def meanwhile(prefix: str, **how: Any) -> Iterator[str]:
        if prefix.startswith(folders) and prefix != folders and service.get(again).state is JobState.QUEUED:
            service.work()
        return listing(prefix, **how)

    monkeypatch.setattr(service.artifacts, "list", meanwhile)
    sweep(service)
    record = service.get(again)
    assert record.state is JobState.SUCCEEDED
    assert record.identity is not None
    assert Library(service.services).identity(ANN, record.identity)


def test_what_a_phone_that_never_returned_has_spent_is_removed(
    service: InProcessService, pass_time: Callable[[float], None]
) -> None:
    owners = [Owner("app", f"phone-{number}") for number in range(3)]
    tokens = DeviceTokens(service.artifacts, ["k" * 40])
    for owner in owners:
        token, _ = tokens.issue(owner, scopes=frozenset({"edits:write"}), expires_in_s=600, edits=3, uploads=3, key_id="")
        tokens.spend(token, "edits")
    assert sweep(service) == {}
    pass_time(600 + SWEEP_AFTER_S + 1)
    assert sweep(service)["tokens"] == 3
    assert not [key for key in service.artifacts.list("t/") if "/tokens/" in key]
