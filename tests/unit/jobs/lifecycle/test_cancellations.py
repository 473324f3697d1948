"""A cancellation that was accepted outlives the job store."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from s2edit_jobs.library.erasure import Erasure
from s2edit_jobs.lifecycle.jobs import CANCELLATION
from s2edit_jobs.lifecycle.survey import rebuild, rebuild_if_lost
from s2edit_jobs.records.errors import ArtifactsUnavailable, JobNotFound, StoreUnavailable
from s2edit_jobs.records.record import JobState
from s2edit_jobs.stores.artifacts import edit_key
from tests.unit.jobs.lifecycle.test_jobs import ANN, Parts, down, ended, parts

__all__ = ["parts"]


def running(parts: Parts) -> str:
    record = parts.accept()
    assert parts.store.leases.claim(lease_s=9) is not None
    return record.id


def emptied(parts: Parts) -> None:
    parts.database.empty()
    rebuild(parts.services)


def read_from_an_empty_one(parts: Parts) -> None:
    parts.database.empty()


def older(parts: Parts, job_id: str) -> None:
    """Redis comes back from a snapshot in which the job runs and nobody has canceled it."""
    parts.database.client.hset(f"s2edit:job:{job_id}", "cancel_requested", "")
    parts.database.client.delete("s2edit:restored", "s2edit:life")
    rebuild_if_lost(parts.services)


@pytest.mark.parametrize("lose", [emptied, read_from_an_empty_one])
def test_a_running_job_whose_cancellation_redis_lost_is_canceled(parts: Parts, lose: Callable[[Parts], None]) -> None:
    job_id = running(parts)
    assert parts.jobs.cancel(ANN, job_id).cancel_requested
    lose(parts)
    assert parts.jobs.get(ANN, job_id).state is JobState.CANCELED
    assert parts.store.leases.claim(lease_s=9) is None


def test_nor_is_it_lost_if_redis_comes_back_older(parts: Parts) -> None:
    job_id = running(parts)
    rebuild_if_lost(parts.services)
    parts.jobs.cancel(ANN, job_id)
    older(parts, job_id)
    assert parts.jobs.get(ANN, job_id).cancel_requested


def test_nor_if_it_is_emptied_while_the_cancellation_is_accepted(parts: Parts) -> None:
    job_id = running(parts)
    request_cancel, asked = parts.store.records.request_cancel, list[str]()

    def lost_first(*place: object) -> object:
        asked.append("")
        if len(asked) == 1:
            parts.database.empty()
            raise JobNotFound(job_id)
        return request_cancel(*place)  # type: ignore[arg-type]

    parts.store.records.request_cancel = lost_first  # type: ignore[method-assign, assignment]
    assert parts.jobs.cancel(ANN, job_id).state is JobState.CANCELED


def test_a_job_that_nobody_has_canceled_goes_on(parts: Parts) -> None:
    job_id = running(parts)
    emptied(parts)
    assert parts.jobs.get(ANN, job_id).state is JobState.QUEUED


def test_a_job_that_was_canceled_says_that_this_was_requested_also_without_redis(parts: Parts) -> None:
    job_id = running(parts)
    parts.jobs.cancel(ANN, job_id)
    parts.jobs.finish(ANN, job_id, ended(JobState.CANCELED))
    assert parts.jobs.get(ANN, job_id).cancel_requested
    emptied(parts)
    assert parts.jobs.get(ANN, job_id).cancel_requested


def test_an_end_that_was_written_first_stands(parts: Parts) -> None:
    job_id = running(parts)
    parts.jobs.cancel(ANN, job_id)
    parts.jobs.finish(ANN, job_id, ended(JobState.SUCCEEDED))
    emptied(parts)
    assert parts.jobs.get(ANN, job_id).state is JobState.SUCCEEDED


def test_a_job_that_is_over_gets_no_record_of_a_cancellation(parts: Parts) -> None:
    job_id = running(parts)
    parts.jobs.finish(ANN, job_id, ended(JobState.SUCCEEDED))
    assert parts.jobs.cancel(ANN, job_id).state is JobState.SUCCEEDED
    assert not parts.artifacts.exists(edit_key(ANN, job_id, CANCELLATION))


def test_what_can_not_be_recorded_is_not_accepted_and_can_be_repeated(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = running(parts)
    for port, call, error in (
        (parts.artifacts, "put", ArtifactsUnavailable("full")),
        (parts.store.records, "request_cancel", StoreUnavailable("down")),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(port, call, down(error))
            with pytest.raises(type(error)):
                parts.jobs.cancel(ANN, job_id)
    for _ in range(2):
        assert parts.jobs.cancel(ANN, job_id).cancel_requested


def test_the_record_of_a_cancellation_is_erased_with_its_job(parts: Parts) -> None:
    job_id = running(parts)
    parts.jobs.cancel(ANN, job_id)
    Erasure(parts.services).edit(ANN, job_id)
    assert [key for key in parts.artifacts.objects if job_id in key] == []


def test_nor_does_it_stay_if_the_job_is_erased_while_it_is_written(parts: Parts) -> None:
    job_id = running(parts)
    put = parts.artifacts.put

    def erase_first(key: str, data: bytes, **options: object) -> None:
        if key.endswith(CANCELLATION):
            Erasure(parts.services).edit(ANN, job_id)
        put(key, data, **options)  # type: ignore[arg-type]

    parts.artifacts.put = erase_first  # type: ignore[method-assign]
    with pytest.raises(JobNotFound):
        parts.jobs.cancel(ANN, job_id)
    assert [key for key in parts.artifacts.objects if job_id in key] == []
