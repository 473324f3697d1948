"""The decoding bench measures every kind of file, and all stay within the limits."""

from __future__ import annotations

from lab.photos.decoding import KINDS, measure


def test_every_kind_is_measured_and_stays_within_the_limits() -> None:
    rows = measure(KINDS, {1: (1200, 900)})
    assert [row["kind"] for row in rows] == list(KINDS)
    for row in rows:
        assert 0 < row["check"]["processor_seconds"] < row["allowed"]["processor_seconds"], row
        assert 2 < row["check"]["peak_mb"] < row["allowed"]["memory_mb"], row
        assert row["engine"]["peak_mb"] > 3
