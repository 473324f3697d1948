"""Markers of unfinished jobs: what falls between the two stores is found, at a cost that does not grow with history."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from s2edit_core.request.spec import EditRequest
from s2edit_jobs.intake.drafts import draft
from s2edit_jobs.library.concepts import Library
from s2edit_jobs.library.erasure import Erasure
from s2edit_jobs.lifecycle.survey import ABANDONED_S, Survey, rebuild, rebuild_if_lost, survey_if_outdated
from s2edit_jobs.lifecycle.unfinished import LEASE_S, Unfinished
from s2edit_jobs.records.errors import ArtifactsUnavailable, JobNotFound, StoreUnavailable
from s2edit_jobs.records.record import JobState, Outcome, Owner, new_job_id, tenant_of_test_mode
from s2edit_jobs.stores.artifacts import edit_key
from s2edit_jobs.stores.object_store.layout import LAYOUT, LayoutWatch
from tests.unit.worker.attempts.erasures import WEBHOOK
from tests.unit.worker.attempts.faults import down
from tests.unit.worker.conftest import ANN, FILES, REQUEST, InProcessService
from worker.housekeeping.reaper import PENDING_S, reap
from worker.housekeeping.sweeper import sweep

TEST = Owner(tenant_of_test_mode("app"), "ann")


def markers(service: InProcessService) -> list[str]:
    return list(service.artifacts.list("unfinished/"))


def ended(state: JobState = JobState.CANCELED) -> Outcome:
    return Outcome(state=state, attempt=1, finished_at=time.time())


def unmarked(service: InProcessService) -> str:
    """Accept a job as the last release does: its spec accepts it, and there is no marker."""
    spec = draft(service.services, ANN, REQUEST, FILES)
    service.artifacts.put(
        edit_key(ANN, spec.id, "spec.json"), spec.to_json().replace(b'"by_marker": true, ', b""), media_type="x/y"
    )
    for name, upload in FILES.items():
        service.artifacts.put(spec.inputs[name].key, upload.data, media_type="x/y")
    assert not service.jobs.spec(ANN, spec.id).by_marker
    return spec.id


def learned(service: InProcessService) -> str:
    job_id = service.accept()
    service.work()
    return service.get(job_id).identity or ""


def listed(service: InProcessService) -> dict[str, JobState]:
    return {record.id: record.state for record in Library(service.services).edits(ANN, after=None, limit=100).items}


@pytest.fixture
def requests(service: InProcessService) -> Counter[str]:
    """Count the requests to the object store."""
    counted: Counter[str] = Counter()

    def count(name: str) -> Callable[..., Any]:
        method = getattr(type(service.artifacts), name)

        def call(*values: Any, **options: Any) -> Any:
            counted[name] += 1
            return method(service.artifacts, *values, **options)

        return call

    for name in ("put", "get", "exists", "list", "folders", "delete_prefix", "delete", "size_bytes"):
        setattr(service.artifacts, name, count(name))
    return counted


@pytest.fixture
def current(service: InProcessService) -> InProcessService:
    """The service over a store of this release."""
    service.services.layout.begin(service.artifacts)
    return service


def test_a_marker_lasts_from_the_acceptance_to_the_end(service: InProcessService) -> None:
    done, canceled = service.accept(), service.accept()
    assert len(markers(service)) == 2
    service.work()
    service.jobs.cancel(ANN, canceled)
    assert service.get(done).state is JobState.SUCCEEDED
    assert markers(service) == []


def test_a_job_that_the_job_store_lost_alone_comes_back_without_a_loss_of_redis(current: InProcessService) -> None:
    reap(current.services)
    lost, kept = current.accept(), current.accept()
    before = current.get(lost).sequence
    current.store.erasure.erase(ANN, lost)
    current.queue.messages.clear()
    current.now += PENDING_S
    reap(current.services)
    assert sorted(current.queue.messages) == sorted([lost, kept])
    assert current.get(lost).sequence > before


@pytest.mark.parametrize("owner", [ANN, TEST], ids=["live", "test mode"])
def test_a_job_that_only_the_job_store_knows_gets_a_marker(current: InProcessService, owner: Owner) -> None:
    job_id = current.jobs.accept(draft(current.services, owner, REQUEST, FILES), FILES).id
    current.artifacts.delete_prefix("unfinished/")
    Unfinished(current.services).reconcile()
    assert [marker.partition("-")[0] for marker in markers(current)] == [f"unfinished/{job_id}"]
    current.database.empty()
    assert rebuild(current.services) == 1


def test_a_job_whose_place_in_the_queue_was_lost_gets_it_back(current: InProcessService) -> None:
    job_id = current.accept()
    for name in ("due", "line:app/ann", "turns"):
        current.database.client.delete(f"s2edit:{name}")
    assert Unfinished(current.services).reconcile() == 0
    assert current.store.leases.orphans() == [job_id]


def test_a_job_that_was_erased_is_forgotten_by_both(current: InProcessService) -> None:
    current.accept()
    current.artifacts.delete_prefix(ANN.prefix)
    Unfinished(current.services).reconcile()  # its worker would forget it
    current.database.empty()
    assert Unfinished(current.services).reconcile() == 0
    assert markers(current) == []
    current.accept()
    current.artifacts.delete_prefix(ANN.prefix)
    current.artifacts.delete_prefix("unfinished/")
    Unfinished(current.services).reconcile()
    assert current.database.jobs_of(ANN) == []


STEPS = {
    "the index": lambda service, fail: fail(service.jobs.history, "add"),
    "Redis": lambda service, fail: fail(service.store.records, "finish"),
    "the marker": lambda service, fail: fail(service.artifacts, "delete_prefix"),
}


@pytest.mark.parametrize("lose_redis", [False, True], ids=["", "and Redis is lost"])
@pytest.mark.parametrize("step", STEPS)
def test_a_process_that_dies_between_two_steps_of_the_end_leaves_them_to_the_reconciliation(
    current: InProcessService, step: str, lose_redis: bool
) -> None:
    job_id = current.accept(webhook_url="https://app.example.com/hook")
    with pytest.MonkeyPatch.context() as patch:
        STEPS[step](current, lambda port, name: patch.setattr(port, name, down(KeyboardInterrupt())))
        with pytest.raises(KeyboardInterrupt):
            current.jobs.finish(ANN, job_id, ended())
    if lose_redis:
        current.database.empty()
    rebuild_if_lost(current.services)
    Unfinished(current.services).reconcile()
    while current.queue.messages:  # a worker finds the outcome of a job that Redis calls unfinished
        current.work()
    assert markers(current) == []
    assert listed(current) == {job_id: JobState.CANCELED}
    assert current.store.outbox.take(lease_s=9, at_once=9) == (job_id, 1)


def test_a_cancellation_that_dies_half_way_is_completed_without_a_worker(current: InProcessService) -> None:
    job_id = current.accept()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(current.jobs), "finish", down(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            current.jobs.cancel(ANN, job_id)
    assert current.get(job_id).state is JobState.QUEUED
    Unfinished(current.services).reconcile()
    assert current.get(job_id).state is JobState.CANCELED


def test_a_job_that_ends_while_redis_is_empty_is_announced_all_the_same(current: InProcessService) -> None:
    job_id = current.accept(webhook_url="https://app.example.com/hook")
    current.database.empty()
    current.jobs.finish(ANN, job_id, ended())
    assert current.store.outbox.take(lease_s=9, at_once=9) == (job_id, 1)


def test_one_odd_marker_stops_nothing(current: InProcessService) -> None:
    jobs = [current.accept() for _ in range(3)]
    odd = sorted(markers(current))[1]
    for content in (b"", b"not a key", b"t/app/u/ann/edits", b"\xff"):
        current.artifacts.put(odd, content, media_type="text/plain")
        current.database.empty()
        assert rebuild(current.services) == 2
    current.artifacts.put("unfinished/README", b"hello", media_type="text/plain")
    current.database.empty()
    assert rebuild(current.services) == 2
    assert len(jobs) == 3


def test_a_rebuild_costs_as_much_as_there_is_unfinished(current: InProcessService, requests: Counter[str]) -> None:
    costs = []
    for finished in (0, 20):
        for _ in range(finished):
            current.jobs.cancel(ANN, current.accept())
        for _ in range(3):
            current.accept()
        requests.clear()
        current.database.empty()
        assert rebuild(current.services) == 3 * (len(costs) + 1)
        costs.append(requests.total())
    assert costs[1] - costs[0] == pytest.approx(costs[0], abs=5), "three more unfinished jobs, whatever has finished"
    requests.clear()
    Unfinished(current.services).reconcile()
    assert requests.total() <= 3


def test_of_many_reapers_one_rebuilds_and_another_takes_over_if_it_dies(
    current: InProcessService, monkeypatch: pytest.MonkeyPatch
) -> None:
    current.accept()
    rebuild_if_lost(current.services)
    current.database.empty()
    walks: list[int] = []
    find = current.store.records.find

    def dies(job_ids: list[str]) -> Any:
        walks.append(1)
        assert rebuild_if_lost(current.services) is None, "the others leave it alone"
        if len(walks) == 1:
            raise KeyboardInterrupt
        return find(job_ids)

    monkeypatch.setattr(current.store.records, "find", dies)
    monkeypatch.setattr(current.store.tasks, "hold_task", lambda *_, **__: None)  # a killed process releases nothing
    with pytest.raises(KeyboardInterrupt):
        rebuild_if_lost(current.services)
    assert rebuild_if_lost(current.services) is None
    current.now += LEASE_S + 1
    assert rebuild_if_lost(current.services) == 1
    assert current.store.recovery.lost() is None


def test_a_rebuild_that_an_error_ends_is_begun_again_at_once(current: InProcessService, monkeypatch: pytest.MonkeyPatch) -> None:
    current.accept()
    rebuild_if_lost(current.services)
    current.database.empty()
    with monkeypatch.context() as patch:
        patch.setattr(current.store.records, "find", down(StoreUnavailable("down")))
        with pytest.raises(StoreUnavailable):
            rebuild_if_lost(current.services)
    assert rebuild_if_lost(current.services) == 1


class TestUpgrade:
    """A store of the last release: no markers, no index."""

    @pytest.fixture
    def old(self, service: InProcessService) -> tuple[InProcessService, str, str]:
        """The service, an unfinished job and a finished one."""
        waiting, over = unmarked(service), unmarked(service)
        service.artifacts.put(edit_key(ANN, over, "outcome.json"), ended().to_json(), media_type="x/y")
        return service, waiting, over

    def test_it_is_rebuilt_before_its_survey(self, old: tuple[InProcessService, str, str]) -> None:
        service, waiting, _ = old
        assert rebuild(service.services) == 1
        assert service.store.leases.orphans() == [waiting]
        assert len(markers(service)) == 1

    def test_its_survey_writes_markers_and_entries_once(self, old: tuple[InProcessService, str, str]) -> None:
        service, waiting, over = old
        reap(service.services)
        assert not service.artifacts.exists(LAYOUT)
        before = listed(service)
        assert survey_if_outdated(service.services) == 1
        assert survey_if_outdated(service.services) is None
        assert service.artifacts.exists(LAYOUT)
        assert listed(service) == before == {waiting: JobState.QUEUED, over: JobState.CANCELED}
        assert Survey(service.services).complete() == 0, "safe to repeat"
        assert len(markers(service)) == 1

    def test_it_runs_with_the_first_sweep(self, old: tuple[InProcessService, str, str]) -> None:
        service, _, over = old
        sweep(service.services)
        assert service.services.layout.is_current(service.artifacts)
        assert [entry for entry in service.artifacts.objects if over in listed(service) and "/index/" in entry]

    def test_a_survey_that_dies_says_nothing_is_done(self, old: tuple[InProcessService, str, str]) -> None:
        service, _, over = old
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(service.artifacts, "put", down(ArtifactsUnavailable("down")))
            with pytest.raises(ArtifactsUnavailable):
                survey_if_outdated(service.services)
        assert not LayoutWatch().is_current(service.artifacts)
        assert survey_if_outdated(service.services) == 1
        assert over in listed(service)

    def test_a_process_of_the_last_release_still_accepts_and_finishes_jobs(self, current: InProcessService) -> None:
        """A rolling upgrade. It writes specs and outcomes, but neither markers nor entries."""
        waiting, over = unmarked(current), unmarked(current)
        current.artifacts.put(edit_key(ANN, over, "outcome.json"), ended().to_json(), media_type="x/y")
        assert current.get(waiting).state is JobState.QUEUED, "a job of the last release is accepted by its spec"
        Unfinished(current.services).reconcile()
        current.database.empty()
        assert rebuild(current.services) == 1
        assert listed(current) == {waiting: JobState.QUEUED}
        sweep(current.services)
        assert listed(current) == {waiting: JobState.QUEUED, over: JobState.CANCELED}

    def test_its_pending_jobs_are_entered_and_marked(self, current: InProcessService) -> None:
        job_id = unmarked(current)
        current.artifacts.put(f"pending/{job_id}", edit_key(ANN, job_id, "spec.json").encode(), media_type="text/plain")
        assert Unfinished(current.services).reconcile() == 1
        Unfinished(current.services).reconcile()
        assert list(current.artifacts.list("pending/")) == []
        assert len(markers(current)) == 1


class TestRemains:
    """What a request or an erasure left that died."""

    def test_a_request_that_died_before_its_marker_is_removed_after_a_day(self, current: InProcessService) -> None:
        for age_s, is_left in ((ABANDONED_S - 60, True), (ABANDONED_S + 60, False)):
            job_id = new_job_id(time.time() - age_s)
            spec = draft(current.services, ANN, REQUEST, FILES, job_id=job_id, webhook_url=WEBHOOK)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("s2edit_jobs.lifecycle.jobs.unfinished_key", down(KeyboardInterrupt()))
                with pytest.raises(KeyboardInterrupt):
                    current.jobs.accept(spec, FILES)
                patch.undo()
                patch.setattr(type(current.jobs), "_check_complete", down(KeyboardInterrupt()))
                with pytest.raises(KeyboardInterrupt):
                    current.jobs.accept(spec, FILES)
            assert current.jobs.exists(ANN, job_id)
            with pytest.raises(JobNotFound):
                current.get(job_id)
            assert listed(current) == {}
            Survey(current.services).complete()
            assert any(job_id in key for key in current.artifacts.objects) == is_left

    @pytest.mark.parametrize("missing", ["spec.json", "image.png"])
    def test_so_are_the_files_of_an_erasure_that_died(self, current: InProcessService, missing: str) -> None:
        """Without its spec a job does not exist; a job without a photo does, and its worker reports that."""
        job_id = current.jobs.accept(
            draft(current.services, ANN, REQUEST, FILES, job_id=new_job_id(time.time() - ABANDONED_S - 60)), FILES
        ).id
        current.artifacts.delete_prefix(edit_key(ANN, job_id, missing))
        Survey(current.services).complete()
        assert any(job_id in key for key in current.artifacts.list(ANN.prefix)) == (missing != "spec.json")

    def test_a_request_whose_spec_was_not_stored_leaves_no_webhook(self, current: InProcessService) -> None:
        """An edit by identity has no input files, so nothing else would lead an erasure of the user to the marker."""
        request = EditRequest(prompt="a photo of a smiling woman", identity=learned(current))
        spec = draft(current.services, ANN, request, {}, webhook_url=WEBHOOK)
        put = current.artifacts.put

        def without_spec(key: str, data: bytes, **options: Any) -> None:
            if key.endswith("spec.json"):
                raise ArtifactsUnavailable("down")
            put(key, data, **options)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(current.artifacts, "put", without_spec)
            patch.setattr(current.artifacts, "delete_prefix", down(ArtifactsUnavailable("down")))
            with pytest.raises(ArtifactsUnavailable):
                current.jobs.accept(spec, {})
        assert list(current.artifacts.list("outbox/")) == []

    @pytest.mark.parametrize(("age_s", "is_left"), [(ABANDONED_S - 60, True), (ABANDONED_S + 60, False)])
    def test_the_webhook_of_a_job_that_does_not_exist_is_removed_after_a_day(
        self, current: InProcessService, age_s: float, is_left: bool
    ) -> None:
        accepted, lost = (new_job_id(time.time() - age_s) for _ in range(2))
        current.jobs.accept(draft(current.services, ANN, REQUEST, FILES, job_id=accepted, webhook_url=WEBHOOK), FILES)
        current.artifacts.put(f"outbox/{lost}", edit_key(ANN, lost, "spec.json").encode(), media_type="text/plain")
        Survey(current.services).complete()
        assert set(current.artifacts.list("outbox/")) == {f"outbox/{each}" for each in [accepted, *[lost] * is_left]}

    def test_an_entry_whose_job_was_erased_is_removed(self, current: InProcessService) -> None:
        job_id = current.accept()
        current.jobs.cancel(ANN, job_id)
        current.artifacts.delete_prefix(edit_key(ANN, job_id, ""))
        Survey(current.services).complete()
        assert list(current.artifacts.list(ANN.prefix)) == []

    def test_a_job_in_the_queue_is_never_taken_for_one_that_was_not_accepted(self, current: InProcessService) -> None:
        spec = draft(current.services, ANN, REQUEST, FILES, job_id=new_job_id(time.time() - ABANDONED_S - 60))
        current.jobs.accept(spec, FILES)
        current.artifacts.delete_prefix("unfinished/")
        Survey(current.services).complete()
        assert len(markers(current)) == 1
        assert current.get(spec.id).state is JobState.QUEUED

    def test_an_erased_edit_leaves_no_marker_and_no_entry(self, current: InProcessService) -> None:
        over, waiting = current.accept(), current.accept()
        current.work()
        for job_id in (over, waiting):
            Erasure(current.services).edit(ANN, job_id)
        assert markers(current) == []
        assert list(current.artifacts.list(f"{ANN.prefix}index/")) == []
