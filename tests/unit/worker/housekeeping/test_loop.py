"""The loop of a housekeeping thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from s2edit_jobs.records.errors import StoreUnavailable
from tests.waiting import until
from worker.housekeeping.loop import WAKE_GAP_S, Loop
from worker.metrics import REGISTRY


class Steps(Loop):
    """A loop whose step is given; it counts the iterations."""

    def __init__(
        self,
        step: Callable[[int], bool],
        *,
        pause_s: float = 60.0,
        stalled_s: float | None = 60.0,
        delay_s: float = 0.0,
        stop: threading.Event | None = None,
    ) -> None:
        super().__init__("steps", pause_s=pause_s, stalled_s=stalled_s, delay_s=delay_s, stop=stop)
        self.act = step
        self.count = 0

    def step(self) -> bool:
        self.count += 1
        return self.act(self.count)


@pytest.fixture
def loops() -> Iterator[list[Loop]]:
    made: list[Loop] = []
    yield made
    for loop in made:
        loop.stop()


def started(loops: list[Loop], loop: Steps) -> Steps:
    loops.append(loop)
    loop.start()
    return loop


def iterations(result: str) -> float:
    return REGISTRY.get_sample_value("s2edit_housekeeping_iterations_total", {"loop": "steps", "result": result}) or 0.0


def test_while_there_is_more_it_does_not_pause(loops: list[Loop]) -> None:
    loop = started(loops, Steps(lambda count: count < 5))
    until(lambda: loop.count == 5)
    time.sleep(0.05)
    assert loop.count == 5


class Gap(threading.Event):
    """The event that stops a loop. What waits for it after a wake does so until the test ends that gap."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.over = threading.Semaphore(0), threading.Semaphore(0)

    def wait(self, timeout: float | None = None) -> bool:
        if timeout == WAKE_GAP_S:
            self.reached.release()
            self.over.acquire(timeout=30)
        return self.is_set()


def test_wake_ends_the_pause_and_a_flood_of_wakes_causes_one_iteration(loops: list[Loop]) -> None:
    gap = Gap()
    loop = started(loops, Steps(lambda _: False, stop=gap))
    for count in (1, 2):
        until(lambda count=count: loop.count == count)  # type: ignore[misc]
        loop.wake()
        assert gap.reached.acquire(timeout=30)
        for _ in range(1000):
            loop.wake()
        assert loop.count == count
        gap.over.release()
    until(lambda: loop.count == 3)
    assert not gap.reached.acquire(timeout=0.05), "no wake is left over"
    assert loop.count == 3


@pytest.mark.parametrize(("error", "result"), [(StoreUnavailable("down"), "unavailable"), (RuntimeError("ours"), "failed")])
def test_a_step_that_raises_is_counted_and_the_loop_goes_on(loops: list[Loop], error: Exception, result: str) -> None:
    def fail_once(count: int) -> bool:
        if count == 1:
            raise error
        return False

    failed, done = iterations(result), iterations("ok")
    loop = started(loops, Steps(fail_once, pause_s=0.01))
    until(lambda: loop.count > 2)
    assert iterations(result) == failed + 1
    until(lambda: iterations("ok") >= done + 1)
    assert loop.problem is None


def test_a_step_that_never_ends_is_a_problem_unless_it_may_take_any_time(
    loops: list[Loop], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, now = threading.Event(), [0.0]
    monkeypatch.setattr("worker.housekeeping.loop.time", SimpleNamespace(monotonic=lambda: now[0]))

    def wait(_: int) -> bool:
        return not gate.wait(30)

    stalled, patient = (started(loops, Steps(wait, stalled_s=limit)) for limit in (60.0, None))
    now[0] = 60.0
    assert stalled.problem is None
    now[0] = 61.0
    assert stalled.problem == "the steps has completed nothing for 61 s"
    assert (patient.problem, patient.age_s) == (None, 61.0)
    gate.set()
    until(lambda: stalled.age_s == 0.0)
    assert stalled.problem is None


def test_a_thread_that_is_not_there_is_a_problem_until_it_was_stopped(loops: list[Loop]) -> None:
    loop = Steps(lambda _: False)
    assert loop.problem == "the steps has ended"
    started(loops, loop)
    assert loop.problem is None
    loop.stop()
    loop.join(10)
    assert loop.problem is None


def test_the_first_step_waits_for_the_delay_and_stop_does_not(loops: list[Loop]) -> None:
    loop = started(loops, Steps(lambda _: False, delay_s=60))
    time.sleep(0.05)
    assert loop.count == 0
    loop.stop()
    loop.join(10)
    assert loop.count == 0
