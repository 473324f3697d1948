"""The reaper: it recovers every job and does not flood the queue."""

from __future__ import annotations

import pytest

from s2edit_jobs.records.errors import StoreUnavailable
from s2edit_jobs.records.record import JobRecord, JobState, Outcome
from s2edit_jobs.stores.job_store import PAGE
from s2edit_jobs.stores.object_store.layout import LAYOUT
from tests.unit.worker.conftest import ANN, InProcessService
from tests.waiting import until
from worker.housekeeping.reaper import PENDING_S, Reaper, reap


def test_a_lost_notification_is_sent_again(service: InProcessService) -> None:
    job_id = service.accept()
    service.queue.messages.clear()
    assert reap(service.services) == 1
    assert list(service.queue.messages) == [job_id]


def test_workers_are_notified_of_a_job_whose_worker_died_once_its_lease_expires(service: InProcessService) -> None:
    job_id = service.accept()
    service.queue.messages.clear()
    service.store.leases.claim(job_id, lease_s=15)
    assert reap(service.services) == 0
    service.now += 16
    assert reap(service.services) == 1
    service.work()
    assert service.get(job_id).state is JobState.SUCCEEDED


def test_waiting_jobs_cause_no_further_notifications(service: InProcessService) -> None:
    for _ in range(20):
        service.accept()
    for _ in range(10):
        reap(service.services)
    assert len(service.queue.messages) == 20


def test_rings_that_were_all_lost_but_some_come_back(service: InProcessService) -> None:
    jobs = [service.accept() for _ in range(5)]
    for _ in range(4):
        service.queue.messages.pop()
    reap(service.services)
    assert set(service.queue.messages) == set(jobs)
    while service.queue.messages:
        service.work()
    assert {service.get(job_id).state for job_id in jobs} == {JobState.SUCCEEDED}
    assert service.engine.learned == 1
    assert reap(service.services) == 0


def test_an_emptied_store_is_rebuilt_and_workers_are_notified(service: InProcessService) -> None:
    over, waiting = service.accept(), service.accept()
    service.work()
    reap(service.services)
    service.database.empty()
    service.queue.messages.clear()
    assert reap(service.services) == 1
    assert list(service.queue.messages) == [waiting]
    assert service.get(over).state is JobState.SUCCEEDED
    assert service.store.recovery.lost() is None


@pytest.mark.parametrize("loss", ["record", "field"])
def test_a_job_whose_record_is_lost_is_finished_and_holds_up_no_other(service: InProcessService, loss: str) -> None:
    reap(service.services)
    lost, *others = [service.accept() for _ in range(4)]
    key = f"s2edit:job:{lost}"
    if loss == "record":
        service.database.client.delete(key)
    else:
        service.database.client.hdel(key, "attempt")
    while service.queue.messages:
        service.work()
    assert {service.get(job_id).state for job_id in others} == {JobState.SUCCEEDED}
    assert reap(service.services) == 1
    service.work()
    assert service.get(lost).state is JobState.SUCCEEDED
    assert reap(service.services) == 0
    assert service.store.recovery.lost() is None


def test_a_finished_job_whose_record_is_damaged_is_read_from_the_object_store(service: InProcessService) -> None:
    job_id = service.accept()
    service.work()
    before = service.get(job_id)
    service.database.client.hset(f"s2edit:job:{job_id}", "artifacts", '{"result":')
    after = service.get(job_id)
    assert (after.state, after.artifacts) == (JobState.SUCCEEDED, before.artifacts)
    assert service.jobs.events(ANN, job_id, after=before.sequence)[0][-1].state is JobState.SUCCEEDED


def test_a_job_accepted_while_the_store_was_down_is_entered_and_workers_are_notified(
    service: InProcessService, monkeypatch: pytest.MonkeyPatch
) -> None:
    reap(service.services)

    def unavailable(_: object) -> None:
        raise StoreUnavailable("down")

    with monkeypatch.context() as patch:
        patch.setattr(service.store.records, "add", unavailable)
        job_id = service.accept()
    service.queue.messages.clear()
    service.now += PENDING_S
    reap(service.services)
    assert list(service.queue.messages) == [job_id]


def test_a_waiting_job_past_its_deadline_ends_without_a_worker(service: InProcessService) -> None:
    late, other = service.accept(deadline_s=30), service.accept()
    service.now += 31
    reap(service.services)
    failure = service.get(late).failure
    assert failure is not None
    assert failure.code == "deadline_exceeded"
    assert service.store.leases.orphans() == [other]


def test_an_overdue_job_that_was_erased_is_let_go_and_nothing_is_written_for_it(service: InProcessService) -> None:
    service.accept(deadline_s=30)
    service.artifacts.delete_prefix(ANN.prefix)
    service.now += 31
    reap(service.services)
    assert [key for key in service.artifacts.objects if key != LAYOUT] == []
    assert service.store.leases.orphans() == []


def test_only_missing_notifications_are_sent(service: InProcessService) -> None:
    for _ in range(20):
        service.accept()
    for _ in range(3):
        service.queue.messages.pop()
    assert reap(service.services) == 3
    assert len(service.queue.messages) == 20


def test_a_round_rings_for_a_page_of_a_long_queue_and_no_more(service: InProcessService) -> None:
    reap(service.services)
    for i in range(PAGE + 30):
        service.store.records.add(JobRecord(f"e_{i:04}", ANN, JobState.QUEUED, sequence=1, created_at=1.0, updated_at=1.0))
    assert [reap(service.services, pending=False) for _ in range(3)] == [PAGE, 0, 0]
    for _ in range(10):
        service.queue.messages.popleft()
    assert reap(service.services, pending=False) == 10
    for _ in range(PAGE):
        lease = service.store.leases.claim(lease_s=60)
        assert lease is not None
        service.store.records.finish(lease.job_id, ANN, Outcome(JobState.CANCELED, attempt=1, finished_at=1.0))
    service.queue.messages.clear()
    assert reap(service.services, pending=False) == 30, "those not on an earlier page"


def test_a_reaper_goes_on_after_a_round_that_failed(service: InProcessService, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds: list[int] = []
    orphans = service.store.leases.orphans

    def failing() -> list[str]:
        rounds.append(1)
        if len(rounds) == 1:
            raise StoreUnavailable("down")
        if len(rounds) == 2:
            raise RuntimeError("a fault of our own")
        return orphans()

    monkeypatch.setattr(service.store.leases, "orphans", failing)
    job_id = service.accept()
    service.queue.messages.clear()
    reaper = Reaper(service.services, interval_s=0.01)
    reaper.start()
    until(lambda: list(service.queue.messages) == [job_id])
    reaper.stop()
    reaper.join(30)
    assert not reaper._thread.is_alive()
