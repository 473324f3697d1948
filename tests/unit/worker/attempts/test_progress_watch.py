"""Marks of progress, and when their absence counts as a hang."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from worker.attempts.progress_watch import COLD_FACTOR, COLD_MARKS, FACTOR, ProcessProgress, ProgressWatch

TIMEOUT_S = 60.0


@dataclass
class Bench:
    """A process with a clock that the test sets."""

    now: float = 1000.0
    process: ProcessProgress = field(default_factory=ProcessProgress)

    def watch(self, job_id: str = "e_1") -> ProgressWatch:
        made = ProgressWatch(TIMEOUT_S, process=self.process, now=lambda: self.now)
        made.begin(job_id)
        return made

    def warm(self) -> ProgressWatch:
        watch = self.watch()
        for _ in range(COLD_MARKS):
            watch.advance()
        return watch


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_an_attempt_that_marks_its_progress_does_not_hang(bench: Bench) -> None:
    watch = bench.warm()
    for _ in range(100):
        bench.now += TIMEOUT_S - 1
        assert not watch.is_hung()
        watch.advance()


def test_without_a_mark_it_hangs(bench: Bench) -> None:
    watch = bench.warm()
    bench.now += TIMEOUT_S + 1
    assert watch.is_hung()
    assert watch.stuck_s() == TIMEOUT_S + 1
    watch.advance()
    assert not watch.is_hung()


def test_a_slow_device_gets_more_time(bench: Bench) -> None:
    watch = bench.warm()
    bench.now += TIMEOUT_S / 10
    watch.advance()
    bench.now += FACTOR * TIMEOUT_S / 10 - 1
    assert not watch.is_hung()
    bench.now += 2
    assert watch.is_hung()


@pytest.mark.parametrize("cold", [True, False])
def test_one_long_stretch_does_not_hide_a_later_hang(bench: Bench, cold: bool) -> None:
    """While kernels compile, a stretch says nothing of the device; and however slow one was, a hang is noticed."""
    watch = bench.watch() if cold else bench.warm()
    bench.now += TIMEOUT_S * COLD_FACTOR - 1
    watch.advance()
    for _ in range(COLD_MARKS):
        bench.now += 0.3
        watch.advance()
    bench.now += (TIMEOUT_S if cold else COLD_FACTOR * TIMEOUT_S) + 1
    assert watch.is_hung()


def test_the_first_stretches_of_a_process_may_take_longer(bench: Bench) -> None:
    watch = bench.watch()
    bench.now += COLD_FACTOR * TIMEOUT_S - 1
    assert not watch.is_hung()
    bench.now += 2
    assert watch.is_hung()


def test_outside_an_attempt_nothing_hangs(bench: Bench) -> None:
    watch = bench.warm()
    watch.end()
    bench.now += 1e6
    watch.advance()
    assert (watch.stuck_s(), watch.is_hung()) == (None, False)
    assert (bench.process.stuck_s(), bench.process.is_hung()) == (None, False)
    assert bench.process.longest_s == 0, "the time between two attempts is not measured"


def test_the_process_hangs_if_one_of_its_attempts_does(bench: Bench) -> None:
    first, second = bench.warm(), bench.warm()
    bench.now += TIMEOUT_S + 1
    second.advance()
    bench.process.longest_s = 0.0  # the stretch that has just ended
    assert (second.is_hung(), first.is_hung(), bench.process.is_hung()) == (False, True, True)
    assert bench.process.stuck_s() == TIMEOUT_S + 1
    first.end()
    assert not bench.process.is_hung()
    assert bench.process.stuck_s() == 0


def test_waiting_for_a_store_is_progress_but_says_nothing_of_the_device(bench: Bench) -> None:
    watch = bench.warm()
    bench.now += TIMEOUT_S - 1
    watch.skip()
    assert (watch.stuck_s(), bench.process.longest_s) == (0, 0)
    bench.now += TIMEOUT_S + 1
    assert watch.is_hung()
