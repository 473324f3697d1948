"""What a process loads at its start is loaded without searching for garbage, and is never searched."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from s2edit_jobs.start import without_collection


@pytest.fixture(autouse=True)
def frozen(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """Return whether the collection was off at each call of `gc.freeze`. It is on after the test."""
    calls: list[bool] = []
    monkeypatch.setattr(gc, "freeze", lambda: calls.append(not gc.isenabled()))
    yield calls
    gc.enable()


def test_nothing_is_collected_while_loading(frozen: list[bool]) -> None:
    with without_collection():
        assert not gc.isenabled()
        assert frozen == []
    assert gc.isenabled()
    assert frozen == [True], "before the first collection"


def test_a_failed_start_collects_again() -> None:
    with pytest.raises(ImportError), without_collection():
        raise ImportError
    assert gc.isenabled()
