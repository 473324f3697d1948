"""A short storm: real processes are killed, Redis is emptied, and no edit is lost, repeated or mixed up."""

from __future__ import annotations

import pytest

from lab.storm.plan import MIN_EMPTYINGS, Plan
from lab.storm.run import storm


@pytest.mark.timeout(900)
def test_a_short_storm_violates_no_guarantee() -> None:
    plan = Plan(jobs=60, kills=14, seed=3, workers=3, lease_s=1.0, patience_s=120, limit_s=800)
    result = storm(plan)
    assert result.findings.clean, f"{result.line()}: {result.findings}"
    assert result.unlooked == plan.jobs // 3
    assert result.emptied >= MIN_EMPTYINGS
    assert result.kills >= 8, result.disturbances
    assert result.disturbances["cut redis"] >= 1
    assert result.webhook_tries["refused"] >= plan.jobs // 2
    assert len(result.history.polls) > plan.jobs
    assert len(result.history.events) > 10
