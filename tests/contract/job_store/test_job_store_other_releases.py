"""What another release has written into Redis stops neither claims nor followers."""

from __future__ import annotations

import json

import pytest

from s2edit_core.request.spec import Progress
from s2edit_jobs.records.record import JobState
from tests.contract.conftest import StoreCase
from tests.contract.job_store.jobs import ANN, REASON, end, enter, take

JOB, EVENTS = "s2edit:job:e_1", "s2edit:events:e_1"
NEWER = {
    "another field": {"light": "warm", "version": "9"},
    "another phase": {"phase": "upscaling"},
    "another kind": {"kind": "video"},
    "a failure with more": {"failure": json.dumps({"code": "a", "message": "b", "hint": "c"})},
    "a failure with less": {"failure": json.dumps({"code": "a"})},
    "a verdict with more": {"verdict": json.dumps({"code": "a", "message": "b", "hint": "c"})},
    "a verdict that is none": {"verdict": "[1"},
    "artifacts that are none": {"artifacts": "[]"},
    "a preview that is no number": {"preview": "latest"},
}


@pytest.mark.parametrize("what", NEWER)
def test_a_job_with_fields_of_a_newer_release_is_claimed_followed_and_finished(case: StoreCase, what: str) -> None:
    enter(case, "e_1")
    case.database.client.hset(JOB, mapping=NEWER[what])
    case.database.client.xadd(EVENTS, NEWER[what], id="2-0")
    case.database.client.hset(JOB, "sequence", "2")
    assert case.store.records.get(ANN, "e_1").state is JobState.QUEUED
    assert [record.sequence for record in case.store.events.since(ANN, "e_1", after=0)[0]] == [1, 2]
    lease = take(case)
    assert lease.job_id == "e_1"
    case.store.events.progress(lease, Progress("editing", 1, 2))
    end(case, lease)
    records, whole = case.store.events.since(ANN, "e_1", after=2)
    assert (records[-1].state, records[-1].phase, whole) == (JobState.SUCCEEDED, "editing", True)


@pytest.mark.parametrize("field", ["kind", "parent", "fence", "verdict", "preview", "device_faults", "learning_booked"])
def test_a_job_without_a_field_of_this_release_is_one_of_an_earlier_one(case: StoreCase, field: str) -> None:
    enter(case, "e_1")
    case.database.client.hdel(JOB, field)
    assert case.store.records.get(ANN, "e_1").kind == "edit"
    lease = take(case)
    end(case, lease)
    assert case.store.records.get(ANN, "e_1").state is JobState.SUCCEEDED


def test_an_event_in_a_state_that_only_a_newer_release_knows_is_a_gap(case: StoreCase) -> None:
    enter(case, "e_1")
    case.database.client.xadd(EVENTS, {"state": "paused"}, id="2-0")
    case.database.client.hset(JOB, "sequence", "2")
    end(case, take(case))
    records, whole = case.store.events.since(ANN, "e_1", after=1)
    assert ([record.state for record in records], whole) == ([JobState.RUNNING, JobState.SUCCEEDED], False)


def test_a_failure_of_this_release_comes_back_whole(case: StoreCase) -> None:
    enter(case, "e_1", failure=REASON)
    assert case.store.records.get(ANN, "e_1").failure == REASON
