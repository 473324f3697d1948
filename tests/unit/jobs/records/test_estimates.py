"""How long a job still takes, from the means of the phases that it still has."""

from __future__ import annotations

from typing import Any

import pytest

from s2edit_jobs.records.estimates import estimate_s, seconds_left, shared_measurements
from s2edit_jobs.records.record import JobRecord, JobState, Outlook, Owner

MEANS = {"preparing": 1.0, "learning": 40.0, "inverting": 10.0, "editing": 20.0, "finishing": 0.5, "total": 50.0}
QUEUED, RUNNING = {"state": JobState.QUEUED}, {"state": JobState.RUNNING}
KNOWN = {"identity": "c_1"}


def record(**values: Any) -> JobRecord:
    usual = {"id": "e_1", "owner": Owner("t", "u"), "sequence": 1, "created_at": 0.0, "updated_at": 0.0, "preset": "balanced"}
    return JobRecord(**{**usual, **QUEUED, **values})


def at(phase: str, step: int, total: int) -> dict[str, Any]:
    return {**RUNNING, "phase": phase, "step": step, "total": total}


@pytest.mark.parametrize(
    ("stands", "ahead", "running", "left"),
    [
        (QUEUED, 0, 0, 71.5),
        (QUEUED, 4, 2, 171.5),
        (QUEUED | KNOWN, 0, 0, 30.5),
        (QUEUED | KNOWN, 1, 1, 80.5),
        (RUNNING, 3, 1, 71.5),
        (RUNNING | KNOWN, 0, 1, 30.5),
        (at("preparing", 1, 1), 0, 1, 70.5),
        (at("preparing", 1, 1) | KNOWN, 0, 1, 30.5),
        (at("learning", 30, 40), 0, 1, 40.5),
        (at("inverting", 5, 10), 0, 1, 25.5),
        (at("editing", 15, 20) | KNOWN, 0, 1, 5.5),
        (at("finishing", 0, 1), 0, 1, 0.5),
        (at("editing", 0, 0), 0, 1, 20.5),
        (QUEUED | {"kind": "identity"}, 0, 0, 41.5),
        (QUEUED | {"kind": "attribute"}, 0, 0, 41.5),
        (at("learning", 20, 40) | {"kind": "identity"}, 0, 1, 20.5),
        (QUEUED | {"kind": "mask"}, 0, 0, 1.5),
    ],
)
def test_a_job_takes_the_phases_that_it_still_has(stands: dict[str, Any], ahead: int, running: int, left: float) -> None:
    assert seconds_left(record(**stands), Outlook(ahead, running, MEANS)) == pytest.approx(left)


@pytest.mark.parametrize(
    ("stands", "missing"),
    [
        (QUEUED, "learning"),
        (QUEUED, "editing"),
        (QUEUED | KNOWN, "inverting"),
        (at("learning", 1, 2), "learning"),
        (at("learning", 1, 2), "editing"),
        (QUEUED | {"kind": "identity"}, "learning"),
        (QUEUED | {"kind": "mask"}, "preparing"),
    ],
)
def test_without_a_main_phase_there_is_no_estimate(stands: dict[str, Any], missing: str) -> None:
    means = {phase: seconds for phase, seconds in MEANS.items() if phase != missing}
    assert seconds_left(record(**stands), Outlook(0, 1, means)) is None


def test_phases_that_are_over_or_not_needed_may_lack_a_mean() -> None:
    assert seconds_left(record(**KNOWN), Outlook(0, 0, {"inverting": 1.0, "editing": 2.0})) == 3.0
    assert seconds_left(record(**at("editing", 1, 2)), Outlook(0, 1, {"editing": 2.0})) == 1.0
    assert seconds_left(record(kind="identity"), Outlook(1, 1, {"learning": 2.0})) == 4.0, "the job ahead is like this one"


def test_a_dry_run_and_the_accepted_edit_have_one_estimate() -> None:
    for outlook in (Outlook(0, 0, MEANS), Outlook(3, 2, MEANS)):
        assert seconds_left(record(**KNOWN), outlook) == estimate_s(outlook, learns=False)
        assert seconds_left(record(), outlook) == estimate_s(outlook, learns=True, finds_mask=True)


@pytest.mark.parametrize(
    ("measured", "others"),
    [
        ("balanced", ["identity:balanced"]),
        ("identity:balanced", ["balanced"]),
        ("balanced:x2", ["balanced", "identity:balanced"]),
        ("balanced:s10", ["balanced", "identity:balanced"]),
        ("balanced:x2:s10", ["balanced", "identity:balanced"]),
        ("test:balanced", ["test:identity:balanced"]),
        ("test:identity:balanced", ["test:balanced"]),
        ("test:balanced:x4", ["test:balanced", "test:identity:balanced"]),
        ("attribute:balanced", []),
        ("test:attribute:balanced", []),
        ("mask", []),
        ("test:mask", []),
    ],
)
def test_learning_an_identity_is_measured_for_edits_and_identities_of_a_preset(measured: str, others: list[str]) -> None:
    assert shared_measurements(measured, MEANS) == {key: {"learning": 40.0} for key in others}
    assert shared_measurements(measured, {"editing": 1.0, "total": 1.0}) == {}
