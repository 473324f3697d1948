"""No job is forgotten, and no queue is flooded."""

from __future__ import annotations

import time

import pytest

from s2edit_jobs.records.errors import StoreUnavailable
from s2edit_jobs.records.record import JobRecord, JobState, Outcome
from s2edit_jobs.stores.job_store import PAGE
from tests.unit.worker.conftest import ANN, Shop
from tests.waiting import until
from worker.housekeeping.reaper import Reaper, reap


def test_a_job_whose_ring_was_lost_is_rung_for(shop: Shop) -> None:
    job_id = shop.accept()
    shop.queue.rings.clear()
    assert reap(shop.services) == 1
    assert list(shop.queue.rings) == [job_id]


def test_a_job_whose_worker_died_is_rung_for_once_its_lease_ran_out(shop: Shop) -> None:
    job_id = shop.accept()
    shop.queue.rings.clear()
    shop.store.leases.claim(job_id, lease_s=15)
    assert reap(shop.services) == 0
    shop.now += 16
    assert reap(shop.services) == 1
    shop.work()
    assert shop.get(job_id).state is JobState.SUCCEEDED


def test_waiting_jobs_are_not_rung_for_again_and_again(shop: Shop) -> None:
    for _ in range(20):
        shop.accept()
    for _ in range(10):
        reap(shop.services)
    assert len(shop.queue.rings) == 20


def test_rings_that_were_all_lost_but_some_come_back(shop: Shop) -> None:
    jobs = [shop.accept() for _ in range(5)]
    for _ in range(4):
        shop.queue.rings.pop()
    reap(shop.services)
    assert set(shop.queue.rings) == set(jobs)
    while shop.queue.rings:
        shop.work()
    assert {shop.get(job_id).state for job_id in jobs} == {JobState.SUCCEEDED}
    assert shop.engine.learned == 1
    assert reap(shop.services) == 0


def test_an_emptied_store_is_rebuilt_and_its_jobs_are_rung_for(shop: Shop) -> None:
    over, waiting = shop.accept(), shop.accept()
    shop.work()
    reap(shop.services)
    shop.database.empty()
    shop.queue.rings.clear()
    assert reap(shop.services) == 1
    assert list(shop.queue.rings) == [waiting]
    assert shop.get(over).state is JobState.SUCCEEDED
    assert shop.store.maintenance.lost() is None


def test_a_job_accepted_while_the_store_was_down_is_entered_and_rung_for(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    reap(shop.services)

    def unavailable(_: object) -> None:
        raise StoreUnavailable("down")

    with monkeypatch.context() as patch:
        patch.setattr(shop.store.records, "add", unavailable)
        job_id = shop.accept()
    assert not shop.queue.rings
    reap(shop.services)
    assert list(shop.queue.rings) == [job_id]


def test_a_waiting_job_past_its_deadline_ends_without_a_worker(shop: Shop) -> None:
    late, other = shop.accept(deadline_s=30), shop.accept()
    shop.now += 31
    reap(shop.services)
    failure = shop.get(late).failure
    assert failure is not None
    assert failure.code == "deadline_exceeded"
    assert shop.store.leases.orphans() == [other]


def test_an_overdue_job_that_was_erased_is_let_go_and_nothing_is_written_for_it(shop: Shop) -> None:
    shop.accept(deadline_s=30)
    shop.artifacts.delete_prefix(ANN.prefix)
    shop.now += 31
    reap(shop.services)
    assert shop.artifacts.objects == {}
    assert shop.store.leases.orphans() == []


def test_only_the_rings_that_are_missing_are_rung(shop: Shop) -> None:
    for _ in range(20):
        shop.accept()
    for _ in range(3):
        shop.queue.rings.pop()
    assert reap(shop.services) == 3
    assert len(shop.queue.rings) == 20


def test_a_round_rings_for_a_page_of_a_long_queue_and_no_more(shop: Shop) -> None:
    for i in range(PAGE + 30):
        shop.store.records.add(JobRecord(f"e_{i:04}", ANN, JobState.QUEUED, sequence=1, created_at=1.0, updated_at=1.0))
    assert [reap(shop.services) for _ in range(3)] == [PAGE, 0, 0]
    for _ in range(10):
        shop.queue.rings.popleft()
    assert reap(shop.services) == 10
    for _ in range(PAGE):
        lease = shop.store.leases.claim(lease_s=60)
        assert lease is not None
        shop.store.records.finish(lease.job_id, ANN, Outcome(JobState.CANCELED, attempt=1, finished_at=1.0))
    shop.queue.rings.clear()
    assert reap(shop.services) == 30, "those that no page had shown before"


def test_a_reaper_goes_on_after_a_round_that_failed(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds: list[int] = []
    orphans = shop.store.leases.orphans

    def failing() -> list[str]:
        rounds.append(1)
        if len(rounds) == 1:
            raise StoreUnavailable("down")
        if len(rounds) == 2:
            raise RuntimeError("a fault of our own")
        return orphans()

    monkeypatch.setattr(shop.store.leases, "orphans", failing)
    job_id = shop.accept()
    shop.queue.rings.clear()
    reaper = Reaper(shop.services, interval_s=0.01)
    reaper.start()
    until(lambda: list(shop.queue.rings) == [job_id])
    reaper.stop()
    time.sleep(0.05)
    done = len(rounds)
    time.sleep(0.05)
    assert len(rounds) == done
