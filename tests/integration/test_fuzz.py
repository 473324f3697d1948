"""A short run of `lab.fuzz`: whatever is asked, no answer is a server error and none is missing from the description."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.fuzz import fuzz

REQUESTS = 1500


@pytest.mark.timeout(600)
def test_every_answer_is_described(tmp_path: Path) -> None:
    found = fuzz(REQUESTS, 1, tmp_path, cases=6)
    assert not found.failures, "\n".join(found.failures)
    assert found.requests >= REQUESTS
    statuses = {name: set(of_operation) for name, of_operation in found.answers.items()}
    assert len(statuses) == 26  # every operation, and what is none
    unaccepted = {name for name, of_operation in statuses.items() if not of_operation & {"200", "201", "202", "204", "206"}}
    assert unaccepted == {"no operation"}  # else the run says nothing of what is behind
