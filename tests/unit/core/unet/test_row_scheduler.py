"""Jobs in threads of their own share passes, and leave without harm to the others."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from s2edit_core.errors import DeviceFault, DeviceOutOfMemory, NumbersNotFinite
from s2edit_core.unet.row_queue import STAGES, Stage
from s2edit_core.unet.row_scheduler import RowClient, RowScheduler, SchedulerClosed
from s2edit_core.unet.rows import Answers, Rows
from tests.unit.core.unet.waiting_rows import FakeUNet, are_answers, readers, rows_of

PATIENCE_S = 60.0
"""How long a test waits for what should happen at once."""


class Clock:
    """The scheduler's time. Only passes and the work between them take any, so a slow machine changes nothing."""

    def __init__(self) -> None:
        self.s = 0.0
        self._lock = threading.Lock()

    def __call__(self) -> float:
        return self.s

    def reach(self, s: float) -> None:
        with self._lock:
            self.s = max(self.s, s)


class HeldUNet(FakeUNet):
    """A UNet whose passes end when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.let_end = threading.Semaphore(0), threading.Semaphore(0)

    def evaluate(self, rows: Rows) -> Answers:
        answers = super().evaluate(rows)
        self.begun.release()
        assert self.let_end.acquire(timeout=PATIENCE_S)
        return answers


class Jobs:
    """Threads that evaluate rows."""

    def __init__(self, scheduler: RowScheduler, pool: ThreadPoolExecutor) -> None:
        self.scheduler, self.pool = scheduler, pool

    def evaluate(
        self, rows: Rows, stage: Stage = "editing", owner: str = "ann", check: Callable[[bool], None] | None = None
    ) -> tuple[RowClient, Future[Answers]]:
        """Begin to evaluate `rows` as a new job, and return once they wait."""
        client = self.scheduler.client(owner, check)
        future = self.pool.submit(client.evaluate, rows, stage)
        until(lambda: client.submission is not None or future.done())
        return client, future


def until(happens: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@contextmanager
def running(unet: FakeUNet, **options: Any) -> Iterator[Jobs]:
    with RowScheduler(unet.evaluate, max_rows=16, **{"linger_s": 0.0, **options}) as scheduler, ThreadPoolExecutor(40) as pool:
        yield Jobs(scheduler, pool)


@contextmanager
def held() -> Iterator[tuple[HeldUNet, Jobs, Future[Answers]]]:
    """Run a scheduler whose first pass, of one row of another job, does not end yet."""
    unet = HeldUNet()
    with running(unet) as jobs:
        _, first = jobs.evaluate(rows_of(1), owner="first")
        assert unet.begun.acquire(timeout=PATIENCE_S)
        try:
            yield unet, jobs, first
        finally:
            unet.let_end.release(1000)


def test_jobs_that_wait_at_the_same_time_share_a_pass() -> None:
    with held() as (unet, jobs, first):
        waiting = {jobs.evaluate(rows, owner=str(i))[1]: rows for i, rows in enumerate(rows_of(2) for _ in range(8))}
        unet.let_end.release(2)
        assert all(are_answers(rows, future.result(PATIENCE_S)) for future, rows in waiting.items())
        assert are_answers(unet.passes[0], first.result(PATIENCE_S))
    assert [len(rows) for rows in unet.passes] == [1, 16]
    assert jobs.scheduler.stats().rows_per_pass == {1: 1, 16: 1}
    assert jobs.scheduler.stats().rows == {"editing": 17}


def test_an_edit_that_arrives_while_sixteen_learn_is_in_the_next_pass() -> None:
    with held() as (unet, jobs, _):
        for i in range(16):
            jobs.evaluate(rows_of(2, learns=True), "learning", owner=str(i))
        unet.let_end.release()
        assert unet.begun.acquire(timeout=PATIENCE_S)  # the first pass of those who learn
        rows = rows_of(2)
        _, edit = jobs.evaluate(rows, owner="late")
        unet.let_end.release(2)
        assert are_answers(rows, edit.result(PATIENCE_S))
        assert unet.passes[2] == rows


def test_a_canceled_job_does_not_wait_for_its_pass() -> None:
    class Canceled(Exception):
        pass

    def cancel(_: bool) -> None:
        raise Canceled

    with held() as (unet, jobs, _):
        _, waits = jobs.evaluate(rows_of(2), check=cancel)
        with pytest.raises(Canceled):
            waits.result(PATIENCE_S)
        stays = rows_of(2)
        _, companion = jobs.evaluate(stays)
        in_pass = jobs.scheduler.client("bob")
        future = jobs.pool.submit(in_pass.evaluate, rows_of(2), "editing")
        until(lambda: in_pass.submission is not None)
        unet.let_end.release()
        assert unet.begun.acquire(timeout=PATIENCE_S)
        in_pass.close()  # its rows are in the running pass
        with pytest.raises(SchedulerClosed):
            future.result(PATIENCE_S)
        unet.let_end.release()
        assert are_answers(stays, companion.result(PATIENCE_S))
        with pytest.raises(SchedulerClosed):
            in_pass.evaluate(rows_of(1), "editing")
    assert [len(rows) for rows in unet.passes] == [1, 4]


def test_a_waiting_job_learns_whether_the_device_advances() -> None:
    seen: list[bool] = []
    with held() as (unet, jobs, _):
        jobs.evaluate(rows_of(16), owner="before")
        _, waits = jobs.evaluate(rows_of(2), check=seen.append)
        until(lambda: len(seen) >= 2)
        assert not any(seen)
        unet.let_end.release()
        until(lambda: seen[-1])
        until(lambda: not seen[-1])
        assert not waits.done()


@pytest.mark.parametrize("error", [ValueError("a shape"), NumbersNotFinite("not finite"), DeviceOutOfMemory("full")])
def test_an_exception_fails_only_the_job_whose_rows_cause_it(error: Exception) -> None:
    with held() as (unet, jobs, _):
        all_rows = [rows_of(2) for _ in range(8)]
        futures = [jobs.evaluate(rows, owner=str(i))[1] for i, rows in enumerate(all_rows)]
        unet.poison[all_rows[5][1]] = error
        unet.let_end.release(100)
        for i, (rows, future) in enumerate(zip(all_rows, futures, strict=True)):
            if i == 5:
                with pytest.raises(type(error), match=str(error)):
                    future.result(PATIENCE_S)
            else:
                assert are_answers(rows, future.result(PATIENCE_S))
    assert jobs.scheduler.stats().splits == 3  # eight, four, two


def test_numbers_that_are_not_finite_fail_their_job_without_another_pass() -> None:
    with held() as (unet, jobs, _):
        all_rows = [rows_of(2) for _ in range(8)]
        futures = [jobs.evaluate(rows, owner=str(i))[1] for i, rows in enumerate(all_rows)]
        unet.broken.add(all_rows[5][1])
        unet.let_end.release(100)
        for i, (rows, future) in enumerate(zip(all_rows, futures, strict=True)):
            if i == 5:
                with pytest.raises(NumbersNotFinite):
                    future.result(PATIENCE_S)
            else:
                assert are_answers(rows, future.result(PATIENCE_S))
    assert [len(rows) for rows in unet.passes] == [1, 16]


def test_jobs_share_the_seconds_of_their_passes_by_rows() -> None:
    with held() as (unet, jobs, _):
        few, of_few = jobs.evaluate(rows_of(4), owner="few")
        many, of_many = jobs.evaluate(rows_of(12), owner="many")
        shared = [each for client in (few, many) if (each := client.submission) is not None]
        unet.let_end.release()
        assert unet.begun.acquire(timeout=PATIENCE_S)
        time.sleep(0.05)  # a pass that takes so long
        unet.let_end.release()
        of_few.result(PATIENCE_S), of_many.result(PATIENCE_S)
        spent = [each.device_s for each in shared]
    assert spent[1] == pytest.approx(3 * spent[0])
    assert 0.05 <= sum(spent) <= jobs.scheduler.stats().device_s
    assert few.companions_s > many.companions_s  # who has fewer rows waits longer for those of others
    assert few.companions_s >= spent[1]


def test_a_job_alone_waits_for_nobody() -> None:
    with running(FakeUNet(), now=Clock()) as jobs:
        client = jobs.scheduler.client("ann")
        client.evaluate(rows_of(3), "editing")
        assert client.companions_s == 0.0


def test_a_sticky_fault_fails_every_job_now_and_later() -> None:
    with held() as (unet, jobs, _):
        rows = rows_of(16)
        unet.poison[rows[0]] = DeviceFault("lost")
        futures = [jobs.evaluate(rows)[1], jobs.evaluate(rows_of(16), owner="bob")[1], jobs.evaluate(rows_of(1), "editing")[1]]
        unet.let_end.release(100)
        errors = [future.exception(PATIENCE_S) for future in futures]
        assert all(type(error) is DeviceFault for error in errors)
        assert len({id(error) for error in errors}) == 3
        with pytest.raises(DeviceFault, match="lost"):
            jobs.scheduler.client("cleo").evaluate(rows_of(1), "editing")
    assert len(unet.passes) == 2


def test_closing_fails_what_waits_and_delivers_the_running_pass() -> None:
    with held() as (unet, jobs, first):
        _, waits = jobs.evaluate(rows_of(2))
        closing = jobs.pool.submit(jobs.scheduler.close)
        with pytest.raises(SchedulerClosed):
            waits.result(PATIENCE_S)
        assert not closing.done()
        unet.let_end.release()
        closing.result(PATIENCE_S)
        assert are_answers(unet.passes[0], first.result(PATIENCE_S))
        with pytest.raises(SchedulerClosed):
            jobs.scheduler.client("ann").evaluate(rows_of(1), "editing")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_nobody_waits_for_a_device_thread_that_has_ended() -> None:
    unet = FakeUNet()
    rows = rows_of(1)
    unet.poison[rows[0]] = SystemExit()  # type: ignore[assignment]
    with running(unet) as jobs, pytest.raises(SchedulerClosed):
        jobs.evaluate(rows)[1].result(PATIENCE_S)


def test_no_rows_are_answered_without_a_pass() -> None:
    unet = FakeUNet()
    with running(unet) as jobs:
        assert jobs.scheduler.client("ann").evaluate((), "editing") == ()
        with pytest.raises(ValueError, match="source"):
            jobs.scheduler.client("ann").evaluate(readers(1)[1:], "editing")
    assert unet.passes == []


def test_jobs_in_lockstep_stay_in_lockstep() -> None:
    """Jobs that need a moment between their steps share all passes but the first ones."""

    clock, clients = Clock(), list[RowClient]()

    class SlowUNet(FakeUNet):
        ended = 0.0

        def evaluate(self, rows: Rows) -> Answers:
            if not self.passes:
                until(lambda: all(client.submission is not None for client in clients))
            self.ended = clock.s + 0.1
            clock.reach(self.ended)
            return super().evaluate(rows)

    def job(client: RowClient, moment_s: float) -> None:
        for _ in range(6):
            client.evaluate(rows_of(2, learns=True), "learning")
            clock.reach(unet.ended + moment_s)
        client.close()

    unet = SlowUNet()
    with running(unet, linger_s=1.0, now=clock) as jobs:
        clients += [jobs.scheduler.client(str(i)) for i in range(8)]
        threads = [jobs.pool.submit(job, client, 0.002 * i) for i, client in enumerate(clients)]
        for thread in threads:
            thread.result(PATIENCE_S)
    assert len(unet.passes) <= 8


def test_a_job_that_does_something_else_is_not_awaited_for_long() -> None:
    unet = FakeUNet()
    with running(unet, linger_s=5.0) as jobs:
        for _ in range(20):
            jobs.scheduler.client("leaves").evaluate(rows_of(1), "editing")  # and does not come back
        assert jobs.scheduler.stats().lingered_s < 1.0


def test_an_edit_that_computes_between_its_steps_is_not_overtaken_by_a_long_pass_each_time() -> None:
    """The edit's own passes are short. What matters is how long it would wait for those who learn."""

    clock, over = Clock(), threading.Event()

    class UNetWithSlowGradients(FakeUNet):
        def evaluate(self, rows: Rows) -> Answers:
            if rows[0].target is not None:
                until(lambda: editor.submission is not None or over.is_set())  # the edit needs less time for its next rows
                clock.reach(clock.s + 0.4)
            return super().evaluate(rows)

    unet = UNetWithSlowGradients()
    with running(unet, linger_s=0.5, now=clock) as jobs:
        editor, learner = jobs.scheduler.client("editor"), jobs.scheduler.client("learner")
        learning = jobs.pool.submit(lambda: [learner.evaluate(rows_of(1, learns=True), "learning") for _ in range(12)])
        until(lambda: learner.submission is not None)
        for _ in range(12):
            editor.evaluate(rows_of(1), "editing")
            time.sleep(0.005)  # any time on the machine's clock: this is long enough for a pass that did not wait
            clock.reach(clock.s + 0.02)
        learned = sum(rows[0].target is not None for rows in unet.passes)
        over.set()
        learner.close()
        with pytest.raises(SchedulerClosed):
            learning.result(PATIENCE_S)
    assert learned <= 6  # one of four passes, as patience has it, and not every other one


@pytest.mark.parametrize("seed", range(40))
def test_random_jobs_get_their_own_answers_or_their_own_error(seed: int) -> None:
    """Fifty jobs of random stages, sizes and owners, of which some are canceled and some fail, 2,000 in all."""
    draw, unet = random.Random(seed), FakeUNet()
    with running(unet, linger_s=draw.choice([0.0, 0.001])) as jobs:
        plans = [_plan(random.Random(f"{seed} {i}"), unet) for i in range(50)]
        futures = [jobs.pool.submit(_job, jobs.scheduler, plan, random.Random(i)) for i, plan in enumerate(plans)]
        for plan, future in zip(plans, futures, strict=True):
            assert future.result(PATIENCE_S) == ("failed" if any(row in unet.poison for rows in plan for row in rows) else "done")
        assert not jobs.scheduler._clients
        assert not jobs.scheduler._queue


def _plan(draw: random.Random, unet: FakeUNet) -> list[Rows]:
    plan = [readers(draw.randint(1, 4)) if draw.random() < 0.2 else rows_of(draw.randint(1, 20)) for _ in range(draw.randint(1, 4))]
    if draw.random() < 0.1:
        unet.poison[draw.choice(plan[-1])] = NumbersNotFinite("not finite")
    return plan


def _job(scheduler: RowScheduler, plan: list[Rows], draw: random.Random) -> str:
    """Evaluate the plan. A job may be canceled and begin again, as another attempt."""
    while True:
        client = scheduler.client(f"owner {draw.randint(0, 5)}")
        canceler = threading.Timer(draw.random() * 0.01, client.close) if draw.random() < 0.2 else None
        if canceler is not None:
            canceler.start()
        try:
            assert all(are_answers(rows, client.evaluate(rows, draw.choice(STAGES))) for rows in plan)
            return "done"
        except NumbersNotFinite:
            return "failed"
        except SchedulerClosed:
            continue
        finally:
            client.close()


def test_the_overhead_of_a_full_pass_is_a_few_milliseconds() -> None:
    """Sixteen jobs of one row: what a pass costs beside the UNet, in CPU time of the process. A GPU's pass takes 50 ms or more."""
    unet = FakeUNet()
    rows = [rows_of(1) for _ in range(16)]

    def job(i: int) -> None:
        client = jobs.scheduler.client(str(i))
        for _ in range(50):
            client.evaluate(rows[i], "editing")

    with torch.no_grad(), running(unet, linger_s=0.1) as jobs:
        began = time.process_time()
        list(jobs.pool.map(job, range(16)))
        spent = time.process_time() - began
    assert spent / (16 * 50 / 16) < 0.01
