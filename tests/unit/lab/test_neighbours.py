"""The bench of one tenant's behaviour against another: each behaviour runs, and the table says what missed its bar."""

from __future__ import annotations

import pytest

from lab import neighbours


@pytest.mark.parametrize("name", ["slow_senders", "dripping_receivers"])
def test_a_behaviour_is_measured(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "SLOW", 5)
    result = neighbours.table([name], 0.5)
    row = result["behaviours"][name]
    assert row["gets"] > 0
    assert row["edits"] > 0
    assert 0 < row["get_p50_ms"] <= row["get_p99_ms"]
    assert 0 < row["webhook_max_s"] < neighbours.HOOK_TIMEOUT_S
    assert 20 < row["api_memory_mb"] < neighbours.MEMORY_MB
    monkeypatch.setattr(neighbours, "table", lambda *_: {"behaviours": {name: {**row, "within": False}}})
    assert neighbours.main([]) == 1
