"""Receivers that do not answer rest for a while."""

from __future__ import annotations

import pytest

from worker.housekeeping import breaker as rules
from worker.housekeeping.breaker import FAILURES, REST_S, Breaker, Receiver

DEAD, ALIVE = Receiver("acme", "dead"), Receiver("acme", "alive")
SHARED = Receiver("umbrella", "dead")
"""The same host, as another tenant uses it."""


def test_a_receiver_rests_after_some_failures_in_a_row_and_no_other_does() -> None:
    now = [0.0]
    breaker = Breaker(clock=lambda: now[0])
    for failure in range(1, FAILURES + 1):
        assert breaker.wait_s(DEAD) == 0
        assert breaker.record(DEAD, answered=False) == (failure == FAILURES)
    assert (breaker.wait_s(DEAD), breaker.wait_s(ALIVE), breaker.wait_s(SHARED)) == (REST_S, 0, 0)
    now[0] = REST_S
    assert [breaker.wait_s(DEAD) for _ in range(3)] == [0, REST_S, REST_S], "one message tries it"
    assert not breaker.record(DEAD, answered=False), "it rested before"
    assert not breaker.record(DEAD, answered=True)
    assert breaker.wait_s(DEAD) == 0


def test_an_answer_in_between_counts_from_the_start() -> None:
    breaker = Breaker()
    for _ in range(3 * FAILURES):
        breaker.record(DEAD, answered=False)
        breaker.record(DEAD, answered=True)
    assert breaker.wait_s(DEAD) == 0


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "MAX_RECEIVERS", 10)
    breaker = Breaker()
    for number in range(100):
        breaker.record(Receiver("acme", str(number)), answered=False)
    assert len(breaker._receivers) == 10
