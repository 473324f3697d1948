"""A marker of ended tokens that can't be read ends all tokens issued so far, and is mended by the next sweep."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from s2edit_jobs.access.keys import CACHE_S, LOOKUP_MARGIN_S
from s2edit_jobs.access.revoked_tokens import ENDED, MARKER_TTL_S, CachedEnds, end_tokens, ended_at, sweep_ended
from s2edit_jobs.records.record import Owner
from tests.stores import MemoryArtifactStore

ANN = Owner("app", "ann")


@pytest.mark.parametrize("content", [b"", b"[1]", b'"now"', b"NaN", b"{}"])
def test_damage_reopens_no_ended_token(content: bytes) -> None:
    artifacts = MemoryArtifactStore()
    end_tokens(artifacts, ANN, now=1e9)
    [key] = artifacts.list(ENDED)
    artifacts.put(key, content, media_type="application/json")
    ended = ended_at(artifacts, ANN)
    assert ended is not None
    assert ended == pytest.approx(time.time(), abs=5)
    assert sweep_ended(artifacts, now=1.5e9) == 0
    assert ended_at(artifacts, ANN) == int(1.5e9), "from then on the user can have tokens again"
    assert sweep_ended(artifacts, now=1.5e9 + MARKER_TTL_S + 1) == 1


def test_a_marker_of_a_newer_release_is_left_to_it() -> None:
    artifacts = MemoryArtifactStore()
    end_tokens(artifacts, ANN, now=1e9)
    [key] = artifacts.list(ENDED)
    artifacts.put(key, b'{"version": 2, "ended": 1}', media_type="application/json")
    assert ended_at(artifacts, ANN) == pytest.approx(time.time(), abs=5)
    assert sweep_ended(artifacts, now=time.time()) == 0
    assert artifacts.get(key) == b'{"version": 2, "ended": 1}'


class Counting(MemoryArtifactStore):
    """Counts what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def get(self, key: str) -> bytes:
        self.asked += 1
        return super().get(key)

    def list(self, prefix: str, *, after: str | None = None) -> Iterator[str]:
        self.asked += 1
        return super().list(prefix, after=after)


def test_the_cost_does_not_depend_on_the_number_of_users() -> None:
    artifacts, now = Counting(), [0.0]
    ends = CachedEnds(artifacts, clock=lambda: now[0])
    end_tokens(artifacts, ANN, now=1e9)
    for _ in range(3):
        assert {ends.find(Owner("app", f"u{number}")) for number in range(1000)} == {None}
        assert ends.find(ANN) == ended_at(artifacts, ANN)
    assert artifacts.asked == 2 + 3, "the list and Ann's marker; and three for this test"


@pytest.mark.parametrize("listed", [0, 1000])
def test_an_end_is_seen_when_the_time_is_up(listed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where there are too many markers to list them."""
    monkeypatch.setattr("s2edit_jobs.access.revoked_tokens.MAX_LISTED", listed)
    artifacts, now = Counting(), [0.0]
    end_tokens(artifacts, Owner("app", "bob"), now=1e9)
    ends = CachedEnds(artifacts, clock=lambda: now[0])
    assert not ends.is_cached(ANN)
    assert ends.find(ANN) is None
    end_tokens(artifacts, ANN, now=1e9)
    asked = artifacts.asked
    for at, is_cached in ((0.0, True), (CACHE_S - LOOKUP_MARGIN_S - 0.01, True), (CACHE_S - LOOKUP_MARGIN_S, False)):
        now[0] = at
        assert ends.is_cached(ANN) is is_cached
        assert ends.find(ANN) is None
    assert artifacts.asked == asked
    now[0] = CACHE_S
    assert ends.find(ANN) == 1e9 + 5
    assert ends.is_cached(ANN)


def test_what_this_process_ends_is_seen_at_once() -> None:
    artifacts = MemoryArtifactStore()
    ends = CachedEnds(artifacts)
    assert ends.find(ANN) is None
    end_tokens(artifacts, ANN, now=1e9)
    ends.forget()
    assert ends.find(ANN) is not None
