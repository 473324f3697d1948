"""Several erasures of one user at a time, and erasures whose processes have died or seem to."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from s2edit_jobs.library import erasure_markers
from s2edit_jobs.library.erasure import Erased, Erasure
from s2edit_jobs.library.erasure_markers import TAKEOVER_S, ErasureMarkers
from s2edit_jobs.records.errors import BeingErased, StoreUnavailable
from s2edit_jobs.records.record import JobState
from s2edit_jobs.stores.markers import erasing_key, owner_mark
from tests.unit.worker.attempts.erasures import BOB, erase_user, left_of
from tests.unit.worker.attempts.faults import down
from tests.unit.worker.conftest import ANN, InProcessService
from tests.waiting import until
from worker.housekeeping.reaper import PENDING_S, reap


def markers(service: InProcessService) -> list[str]:
    return list(service.artifacts.list("erasing/"))


def is_refused(service: InProcessService) -> bool:
    try:
        service.jobs.take_slot(ANN, "e_1")
    except BeingErased:
        return True
    return False


def late_write(service: InProcessService) -> None:
    service.artifacts.put(f"{ANN.prefix}edits/e_late/result-1.png", b"late", media_type="image/png")


def during_the_sweep_of(monkeypatch: pytest.MonkeyPatch, erasure: Erasure, act: Callable[[], None]) -> None:
    """Call `act` before each sweep of this object."""
    sweep = erasure._sweep

    def acting(erased: Erased) -> Any:
        act()
        return sweep(erased)

    monkeypatch.setattr(erasure, "_sweep", acting)


def test_a_repeated_request_erases_nothing_that_was_accepted_after_the_first_receipt(service: InProcessService) -> None:
    service.accept()
    first, second = Erasure(service.services), Erasure(service.services)
    began_first, began_second = first.begin(ANN)[0], second.begin(ANN)[0]
    first.complete(began_first)
    with pytest.raises(BeingErased):
        service.accept()
    late_write(service)
    second.complete(began_second)
    assert left_of(service) == []
    assert markers(service) == []
    assert service.get(service.accept()).state is JobState.QUEUED


def test_the_one_that_began_last_may_end_first(service: InProcessService) -> None:
    erasure = Erasure(service.services)
    first, second = erasure.begin(ANN)[0], erasure.begin(ANN)[0]
    erasure.complete(second)
    assert is_refused(service)
    assert erasure.complete(first).disk_rewritten
    assert not is_refused(service)


def test_the_second_one_waits_for_the_workers_that_the_first_one_has_stopped(service: InProcessService) -> None:
    """Its sweep finds none of their jobs any more."""
    waits = list[float]()
    service.engine.on_step = lambda _: waits.extend(Erasure(service.services).begin(ANN)[1] for _ in range(2))
    service.accept()
    service.work()
    assert waits[:2] == [service.services.settings.lease_s] * 2


@pytest.mark.parametrize("ahead_s", [0.0, 3600.0])
def test_the_reaper_leaves_a_living_erasure_alone_whatever_its_clock_says(service: InProcessService, ahead_s: float) -> None:
    service.accept()
    erasure = Erasure(service.services)
    begun, _ = erasure.begin(ANN)
    service.now += service.services.settings.lease_s + TAKEOVER_S - 1
    assert Erasure(service.services, clock=lambda: time.time() + ahead_s).resume() == 0
    assert is_refused(service)
    assert erasure.complete(begun).edits == 1
    assert not is_refused(service)


def test_a_long_sweep_renews_its_lease(service: InProcessService, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both sweeps take longer than a lease, by the clock of the job store."""
    monkeypatch.setattr(erasure_markers, "RENEW_S", 0.01)
    erasure, reaper, resumed, renewed = Erasure(service.services), Erasure(service.services), list[int](), list[str]()
    hold = service.store.tasks.hold_task

    def counted(name: str, *, for_s: float) -> None:
        hold(name, for_s=for_s)
        renewed.append(name)

    monkeypatch.setattr(service.store.tasks, "hold_task", counted)

    def take_long() -> None:
        for _ in range(3):
            service.now += TAKEOVER_S - 1
            wanted = len(renewed) + 2  # the first one may have begun before
            until(lambda wanted=wanted: len(renewed) >= wanted)  # type: ignore[misc]
            resumed.append(reaper.resume())

    during_the_sweep_of(monkeypatch, erasure, take_long)
    erasure.complete(erasure.begin(ANN)[0])
    assert resumed == [0] * 6
    assert markers(service) == []


def test_the_reaper_completes_an_erasure_whose_process_died(service: InProcessService) -> None:
    service.accept()
    Erasure(service.services).begin(ANN)
    late_write(service)
    service.now += service.services.settings.lease_s + TAKEOVER_S
    reap(service.services)
    assert left_of(service) == []
    assert markers(service) == []
    assert not is_refused(service)


def test_it_does_so_where_the_process_died_just_after_its_promise(service: InProcessService) -> None:
    service.accept()
    ErasureMarkers(service.services).write(ANN, erasing_key(ANN), began_at=1000.0)
    reap(service.services)
    assert left_of(service) == []
    assert not is_refused(service)


def test_a_reaper_that_dies_over_it_is_followed_by_another(service: InProcessService, monkeypatch: pytest.MonkeyPatch) -> None:
    service.accept()
    ErasureMarkers(service.services).write(ANN, erasing_key(ANN), began_at=1000.0)
    with monkeypatch.context() as patch:
        patch.setattr(service.store.erasure, "compact", down(StoreUnavailable("down")))
        with pytest.raises(StoreUnavailable):
            reap(service.services)
    assert is_refused(service)
    service.now += TAKEOVER_S + PENDING_S
    reap(service.services)
    assert not is_refused(service)


def test_a_process_that_was_taken_for_dead_sweeps_no_more(service: InProcessService) -> None:
    service.accept()
    erasure = Erasure(service.services)
    begun, _ = erasure.begin(ANN)
    service.now += service.services.settings.lease_s + TAKEOVER_S
    assert Erasure(service.services).resume() == 1
    new = service.accept()
    erased = erasure.complete(begun)
    assert (erased.edits, erased.disk_rewritten) == (1, True), "its receipt says what it has erased"
    assert service.get(new).state is JobState.QUEUED


def test_nor_does_it_give_a_receipt_before_the_other_one_is_done(
    service: InProcessService, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, reaper, refused = Erasure(service.services), Erasure(service.services), list[str]()
    begun, _ = slow.begin(ANN)
    service.now += service.services.settings.lease_s + TAKEOVER_S

    def complete_too() -> None:
        with pytest.raises(BeingErased) as caught:
            slow.complete(begun)
        refused.append(str(caught.value))

    during_the_sweep_of(monkeypatch, reaper, complete_too)
    assert reaper.resume() == 1
    assert len(refused) == 1
    slow.complete(begun)


def test_a_process_that_wakes_up_as_the_other_one_ends_sweeps_no_more(service: InProcessService) -> None:
    """The reaper has read the marker, and its process completes the erasure before the reaper takes it over."""
    erasure, markers_ = Erasure(service.services), ErasureMarkers(service.services)
    begun, _ = erasure.begin(ANN)
    service.now += service.services.settings.lease_s + TAKEOVER_S
    erasure.complete(begun)
    assert not markers_.take_over(begun.marker)


def test_an_erasure_stands_for_those_that_have_failed(service: InProcessService, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client repeats its request while Redis is down. The user need not wait for the reaper, which has one erasure less to do."""
    service.accept()
    with monkeypatch.context() as patch:
        patch.setattr(service.store.erasure, "erase_owner", down(StoreUnavailable("down")))
        for _ in range(3):
            with pytest.raises(StoreUnavailable):
                Erasure(service.services).begin(ANN)
    other = Erasure(service.services)
    begun_bob, _ = other.begin(BOB)
    assert len(markers(service)) == 4
    erase_user(service)
    assert markers(service) == [begun_bob.marker]
    assert not is_refused(service)


def test_the_reaper_completes_several_of_one_user_at_once(service: InProcessService) -> None:
    service.accept()
    for _ in range(3):
        ErasureMarkers(service.services).write(ANN, erasing_key(ANN), began_at=1000.0)
    assert Erasure(service.services).resume() == 1
    assert markers(service) == []
    assert left_of(service) == []


def test_a_marker_of_an_earlier_release_stands_beside_those_of_this_one(service: InProcessService) -> None:
    old = f"erasing/{owner_mark(ANN)}"
    ErasureMarkers(service.services).write(ANN, old, began_at=1000.0)
    assert is_refused(service)
    begun, _ = Erasure(service.services).begin(ANN)
    assert Erasure(service.services).resume() == 1
    assert markers(service) == [begun.marker]
    assert is_refused(service)
