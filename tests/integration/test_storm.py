"""A short storm: real processes are killed, and the promise holds."""

from __future__ import annotations

from lab.storm.run import Plan, storm


def test_a_short_storm_loses_repeats_and_mixes_up_nothing() -> None:
    plan = Plan(jobs=80, kills=20, seed=3, workers=2, lease_s=1.5, patience_s=60)
    result = storm(plan)
    assert result.findings.clean, f"{result.line()}: {result.findings}"
    assert len(result.history.asked) == plan.jobs
    assert result.kills >= 12, result.blows
    assert len(result.history.seen) > plan.jobs
    assert len(result.history.heard) > 10
