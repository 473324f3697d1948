"""One item that cannot be handled stops none of the others."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from s2edit_jobs.records.errors import ArtifactsUnavailable, RecordDamaged
from s2edit_jobs.records.set_aside import LOG_AGAIN_S, count_aside, set_aside, set_aside_counts


def test_a_bad_item_is_counted_and_named_and_the_others_are_handled() -> None:
    before, handled = set_aside_counts().get("marker", 0), []
    with capture_logs() as lines:
        for key in ("a", "b", "c"):
            with set_aside("marker", key):
                if key == "b":
                    raise RecordDamaged(key)
                handled.append(key)
    assert handled == ["a", "c"]
    assert set_aside_counts()["marker"] == before + 1
    assert [(line["action"], line["kind"], line["key"]) for line in lines] == [("set_aside", "marker", "b")]


def test_a_service_that_is_down_ends_the_loop() -> None:
    before = set_aside_counts().get("marker", 0)
    with pytest.raises(ArtifactsUnavailable), set_aside("marker", "a"):
        raise ArtifactsUnavailable("down")
    assert set_aside_counts().get("marker", 0) == before


def test_an_item_that_comes_by_every_few_seconds_is_logged_once_an_hour_and_always_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    now, before = [1e9], set_aside_counts().get("card", 0)
    monkeypatch.setattr("s2edit_jobs.records.set_aside.time.monotonic", lambda: now[0])
    with capture_logs() as lines:
        for _ in range(3):
            for key in ("a", "b"):
                with set_aside("card", key):
                    raise RecordDamaged(key)
            now[0] += 5
        now[0] += LOG_AGAIN_S
        count_aside("card", "a", RecordDamaged("a"))
    assert [line["key"] for line in lines] == ["a", "b", "a"]
    assert set_aside_counts()["card"] == before + 7
