"""A marker of ended tokens that can't be read ends all tokens issued so far, and is mended by the next sweep."""

from __future__ import annotations

import time

import pytest

from s2edit_jobs.access.ended_tokens import ENDED, MARKER_TTL_S, end_tokens, ended_at, sweep_ended
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
