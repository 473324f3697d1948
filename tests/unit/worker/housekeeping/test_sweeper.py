"""The sweeper: idempotency keys are remembered for their TTL and then removed."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from s2edit_jobs.intake.drafts import draft
from s2edit_jobs.library import retention
from s2edit_jobs.library.uploads import SWEEP_AFTER_S, Uploads
from s2edit_jobs.lifecycle.idempotency import Idempotency
from s2edit_jobs.records.errors import ArtifactsUnavailable, DeletionRefused
from s2edit_jobs.records.record import JobState
from s2edit_jobs.stores.object_store.write_probe import PROBES
from tests.unit.worker.conftest import ANN, FILES, REQUEST, InProcessService
from tests.waiting import until
from worker.housekeeping import sweeper
from worker.housekeeping.sweeper import RETRY_S, SWEEP_S, Sweeper, sweep

LIFE_S = 7 * 24 * 3600
NOW = time.time()


def keyed(service: InProcessService, key: str, *, age_s: float) -> str:
    """Return the id of an edit accepted with `key`, `age_s` seconds ago."""
    spec = draft(service.services, ANN, REQUEST, FILES, created_at=time.time() - age_s)
    Idempotency(service.jobs, ANN, key, "digest").begin(spec)
    return service.jobs.accept(spec, FILES).id


def known(service: InProcessService, key: str) -> bool:
    once = Idempotency(service.jobs, ANN, key, "digest")
    return once.earlier(once.check_not_erased()) is not None


def test_old_notes_go_and_nothing_else_does(service: InProcessService) -> None:
    service.services.layout.begin(service.artifacts)
    old = keyed(service, "old", age_s=LIFE_S + 60)
    young = keyed(service, "young", age_s=LIFE_S - 60)
    kept = [key for key in service.artifacts.objects if "/requests/" not in key]
    assert sweep(service.services) == 1
    assert [key for key in service.artifacts.objects if "/requests/" not in key] == kept
    assert (known(service, "old"), known(service, "young")) == (False, True)
    assert {service.get(job_id).state for job_id in (old, young)} == {JobState.QUEUED}


def test_a_key_that_was_swept_up_can_be_used_anew(service: InProcessService) -> None:
    first = keyed(service, "order", age_s=LIFE_S + 60)
    sweep(service.services)
    assert keyed(service, "order", age_s=0) != first
    assert known(service, "order")


def test_one_worker_sweeps_and_the_others_let_be(service: InProcessService) -> None:
    assert [sweep(service.services) for _ in range(3)] == [0, None, None]
    service.now += SWEEP_S + 1
    assert sweep(service.services) == 0


def test_the_life_of_a_key_is_a_setting(service: InProcessService) -> None:
    keyed(service, "order", age_s=3700)
    settings = service.services.settings.model_copy(update={"idempotency_ttl_s": 3600})
    assert sweep(replace(service.services, settings=settings)) == 1


def test_a_note_that_is_damaged_goes_and_one_that_has_gone_meanwhile_is_no_matter(
    service: InProcessService, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = f"{ANN.prefix}requests/{'0' * 64}.json"
    service.artifacts.put(place, b"{", media_type="application/json")
    gone = f"{ANN.prefix}requests/{'1' * 64}.json"
    monkeypatch.setattr(service.artifacts, "list", lambda prefix, **_: iter([place, gone] if prefix == "t/" else []))
    assert sweep(service.services) == 1
    assert place not in service.artifacts.objects


def test_uploads_that_have_ended_go_too(service: InProcessService, monkeypatch: pytest.MonkeyPatch) -> None:
    life_s = service.services.settings.upload_ttl_s
    for age_s in (0.0, life_s - 60, life_s + SWEEP_AFTER_S + 60):
        monkeypatch.setattr("s2edit_jobs.library.uploads.time.time", lambda age_s=age_s: NOW - age_s)
        Uploads(service.services).announce(ANN, media_type="image/png", size_bytes=9, sha256=None)
    monkeypatch.setattr("s2edit_jobs.library.uploads.time.time", lambda: NOW)
    assert sweep(service.services) == 1
    assert len(list(service.artifacts.list(f"{ANN.prefix}uploads/"))) == 2


def test_a_sweeper_goes_on_after_a_round_that_failed(service: InProcessService, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds: list[int] = []

    def failing(_: object) -> None:
        rounds.append(1)
        if len(rounds) == 1:
            raise ArtifactsUnavailable("down")
        if len(rounds) == 2:
            raise RuntimeError("a fault of our own")

    monkeypatch.setattr(sweeper, "sweep", failing)
    one = Sweeper(service.services, poll_s=0.01)
    one.start()
    until(lambda: len(rounds) >= 3)
    one.stop()
    one.join(30)
    assert not one._thread.is_alive()


def test_what_tenants_store_is_measured_between_the_sweeps_too(service: InProcessService) -> None:
    usage = service.store.usage
    sweep(service.services)
    service.artifacts.put(f"{ANN.prefix}edits/e_1/image.png", b"x" * 70, media_type="image/png")
    assert usage.stored(ANN.tenant, bound=1000) == 0
    assert sweep(service.services) is None
    assert usage.stored(ANN.tenant, bound=1000) == 70


def test_a_sweep_that_failed_halfway_is_repeated_soon(service: InProcessService, monkeypatch: pytest.MonkeyPatch) -> None:
    keyed(service, "old", age_s=LIFE_S + 60)

    def fail(*_: object, **__: object) -> int:
        raise ArtifactsUnavailable("down")

    with monkeypatch.context() as down:
        down.setattr("s2edit_jobs.library.retention.sweep_marker", fail)
        with pytest.raises(ArtifactsUnavailable):
            sweep(service.services)
    assert sweep(service.services) is None  # not at once: a sweep lists the whole store
    service.now += RETRY_S + 1
    assert sweep(service.services) == 1
    service.now += RETRY_S + 1
    assert sweep(service.services) is None


def test_a_sweep_whose_process_died_is_begun_anew_by_another(service: InProcessService, monkeypatch: pytest.MonkeyPatch) -> None:
    keyed(service, "old", age_s=LIFE_S + 60)

    def die(*_: object, **__: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr("s2edit_jobs.library.retention.sweep_marker", die)
        dying.setattr(service.store.tasks, "hold_task", lambda *_, **__: None)  # a killed process releases nothing
        with pytest.raises(KeyboardInterrupt):
            sweep(service.services)
    service.now += RETRY_S + 1
    assert sweep(service.services) == 1


def test_a_long_sweep_keeps_others_away(service: InProcessService, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three keys, each of which takes most of the lease."""
    monkeypatch.setattr("s2edit_jobs.library.retention.FOLDERS", 1)
    for name in ("1", "2", "3"):
        keyed(service, name, age_s=LIFE_S + 60)
    others: list[int | None] = []
    remove = retention.sweep_marker

    def slow(*values: Any, **named: Any) -> int:
        service.now += RETRY_S - 60
        others.append(sweep(service.services))
        return remove(*values, **named)

    monkeypatch.setattr(retention, "sweep_marker", slow)
    assert sweep(service.services) == 3
    assert others == [None] * 3


def test_probes_that_cannot_be_deleted_stop_nothing(service: InProcessService, monkeypatch: pytest.MonkeyPatch) -> None:
    keyed(service, "old", age_s=LIFE_S + 60)
    delete = service.artifacts.delete_prefix

    def locked(prefix: str) -> int:
        if prefix == PROBES:
            raise DeletionRefused("locked")
        return delete(prefix)

    monkeypatch.setattr(service.artifacts, "delete_prefix", locked)
    assert sweep(service.services) == 1


def test_older_versions_of_the_reports_of_models_go(service: InProcessService, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket with versioning keeps each of the reports that a worker writes every 20 s."""
    asked: list[str] = []
    monkeypatch.setattr(service.artifacts, "delete_older_versions", asked.append)
    sweep(service.services)
    assert asked == ["models/"]
