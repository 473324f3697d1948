"""A short run of `lab.fuzz.run`: no answer is a server error, and the description names every answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.fuzz.run import fuzz

REQUESTS = 2800  # the first round, of every part and bound, takes some 2,400


@pytest.mark.timeout(600)
def test_every_answer_is_described(tmp_path: Path) -> None:
    found = fuzz(REQUESTS, 1, tmp_path, cases=6)
    assert not found.failures, "\n".join(found.failures)
    assert found.requests >= REQUESTS
    assert not found.unasked
    unaccepted = {name for name, statuses in found.answers.items() if min(statuses) >= "3"}
    assert unaccepted == {"no operation"}  # an operation without a success would hardly be tested
