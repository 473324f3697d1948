"""Idempotency keys live as long as they were promised to, and then make room."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from s2edit_jobs.intake.drafts import draft
from s2edit_jobs.jobs.idempotency import Idempotency, sweep_notes
from s2edit_jobs.library.uploads import SWEEP_AFTER_S, Uploads
from s2edit_jobs.records.errors import ArtifactsUnavailable
from s2edit_jobs.records.record import JobState
from tests.unit.worker.conftest import ANN, FILES, REQUEST, Shop
from tests.waiting import until
from worker.housekeeping import sweeper
from worker.housekeeping.sweeper import SWEEP_S, Sweeper, sweep

LIFE_S = 7 * 24 * 3600
NOW = time.time()


def keyed(shop: Shop, key: str, *, age_s: float) -> str:
    """An edit that was asked for with `key`, so long ago."""
    spec = draft(shop.services, ANN, REQUEST, FILES, created_at=time.time() - age_s)
    Idempotency(shop.jobs, ANN, key, "digest").begin(spec)
    return shop.jobs.accept(spec, FILES).id


def known(shop: Shop, key: str) -> bool:
    return Idempotency(shop.jobs, ANN, key, "digest").earlier() is not None


def test_old_notes_go_and_nothing_else_does(shop: Shop) -> None:
    old = keyed(shop, "old", age_s=LIFE_S + 60)
    young = keyed(shop, "young", age_s=LIFE_S - 60)
    kept = [key for key in shop.artifacts.objects if "/requests/" not in key]
    assert sweep(shop.services) == 1
    assert (known(shop, "old"), known(shop, "young")) == (False, True)
    assert [key for key in shop.artifacts.objects if "/requests/" not in key] == kept
    assert {shop.get(job_id).state for job_id in (old, young)} == {JobState.QUEUED}


def test_a_key_that_was_swept_up_can_be_used_anew(shop: Shop) -> None:
    first = keyed(shop, "order", age_s=LIFE_S + 60)
    sweep(shop.services)
    assert keyed(shop, "order", age_s=0) != first
    assert known(shop, "order")


def test_one_worker_sweeps_and_the_others_let_be(shop: Shop) -> None:
    assert [sweep(shop.services) for _ in range(3)] == [0, None, None]
    shop.now += SWEEP_S + 1
    assert sweep(shop.services) == 0


def test_the_life_of_a_key_is_a_setting(shop: Shop) -> None:
    keyed(shop, "order", age_s=3700)
    settings = shop.services.settings.model_copy(update={"idempotency_ttl_s": 3600})
    assert sweep(replace(shop.services, settings=settings)) == 1


def test_a_note_that_is_damaged_goes_and_one_that_has_gone_meanwhile_is_no_matter(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = f"{ANN.prefix}requests/{'0' * 32}.json"
    shop.artifacts.put(place, b"{", media_type="application/json")
    gone = f"{ANN.prefix}requests/{'1' * 32}.json"
    monkeypatch.setattr(shop.artifacts, "list", lambda _: iter([place, gone]))
    assert sweep_notes(shop.artifacts, older_than_s=LIFE_S) == 1
    assert place not in shop.artifacts.objects


def test_uploads_that_have_ended_go_too(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    life_s = shop.services.settings.upload_ttl_s
    for age_s in (0.0, life_s - 60, life_s + SWEEP_AFTER_S + 60):
        monkeypatch.setattr("s2edit_jobs.library.uploads.time.time", lambda age_s=age_s: NOW - age_s)
        Uploads(shop.services).announce(ANN, media_type="image/png", size_bytes=9, sha256=None)
    monkeypatch.setattr("s2edit_jobs.library.uploads.time.time", lambda: NOW)
    assert sweep(shop.services) == 1
    assert len(list(shop.artifacts.list(f"{ANN.prefix}uploads/"))) == 2


def test_a_sweeper_goes_on_after_a_round_that_failed(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds: list[int] = []

    def failing(_: object) -> None:
        rounds.append(1)
        if len(rounds) == 1:
            raise ArtifactsUnavailable("down")
        if len(rounds) == 2:
            raise RuntimeError("a fault of our own")

    monkeypatch.setattr(sweeper, "sweep", failing)
    one = Sweeper(shop.services, look_s=0.01)
    one.start()
    until(lambda: len(rounds) >= 3)
    one.stop()
    time.sleep(0.05)
    done = len(rounds)
    time.sleep(0.05)
    assert len(rounds) == done
