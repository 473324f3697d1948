"""A short storm: real processes are killed, and no edit is lost, repeated or mixed up."""

from __future__ import annotations

from lab.storm.run import Plan, storm


def test_a_short_storm_violates_no_guarantee() -> None:
    plan = Plan(jobs=80, kills=20, seed=3, workers=2, lease_s=1.5, patience_s=60)
    result = storm(plan)
    assert result.findings.clean, f"{result.line()}: {result.findings}"
    assert len(result.history.accepted) == plan.jobs
    assert result.kills >= 12, result.disturbances
    assert len(result.history.polls) > plan.jobs
    assert len(result.history.events) > 10
