"""The load bench drives the running service: every kind of user, with the engine without a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.load.run import draw_people, observe, served
from lab.load.scenario import Scenario

LIMIT_S = 300.0
"""Far from what a busy machine needs. The run ends with its last user."""


@pytest.mark.timeout(600)
def test_users_edit_a_running_service(tmp_path: Path) -> None:
    with served(tmp_path / "data", jobs=16, fake=True) as url:
        people = draw_people(tmp_path, 4)
        found = observe(Scenario(url, people, LIMIT_S, crowd=2, single=True, flood=2, edits=2), tmp_path)
    assert found.seconds < LIMIT_S
    assert {each.state for each in found.edits} == {"succeeded"}
    for user in ("single-0", "crowd-0", "crowd-1"):
        first, further = (each for each in found.edits if each.user == user)
        assert {"queue", "preparing", "learning", "inverting", "editing", "delivery"} == set(first.seconds)
        assert "learning" not in further.seconds
        assert further.identity == first.identity
    assert any(each.user == "flood-0" for each in found.edits)
    assert found.refused == {}
    assert len(found.requests["GET /edits/{id}, a poll"]) >= 2  # of crowd-1; the others follow streams
    assert len(found.requests["POST /edits, an identity"]) == 3
