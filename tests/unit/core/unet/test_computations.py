"""Work beside the UNet that jobs let the device's thread do, between passes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from s2edit_core.errors import DeviceOutOfMemory
from s2edit_core.unet.row_scheduler import RowClient, RowScheduler, SchedulerClosed
from tests.unit.core.unet.test_row_scheduler import PATIENCE_S, Clock, HeldUNet, until
from tests.unit.core.unet.waiting_rows import FakeUNet, are_answers, rows_of


@contextmanager
def in_a_pass() -> Iterator[tuple[HeldUNet, RowScheduler, ThreadPoolExecutor]]:
    """Run a scheduler whose first pass, of another job, does not end yet."""
    unet = HeldUNet()
    with RowScheduler(unet.evaluate, max_rows=16, linger_s=0.0) as scheduler, ThreadPoolExecutor(40) as pool:
        first = pool.submit(scheduler.client("first").evaluate, rows_of(1), "editing")
        assert unet.begun.acquire(timeout=PATIENCE_S)
        try:
            yield unet, scheduler, pool
        finally:
            unet.let_end.release(1000)
            first.result(PATIENCE_S)


def begin(pool: ThreadPoolExecutor, client: RowClient, work: Callable[[], object]) -> Future[object]:
    """Let `client` compute in a thread of its own, and return once it waits."""
    future: Future[object] = pool.submit(client.compute, work)
    until(lambda: client.computation is not None or future.done())
    return future


def test_the_device_thread_computes_after_the_running_pass_and_before_the_next() -> None:
    order: list[str] = []
    with in_a_pass() as (unet, scheduler, pool):
        rows = rows_of(2)
        client = scheduler.client("ann")
        waiting = pool.submit(client.evaluate, rows, "editing")
        until(lambda: client.submission is not None)

        def work() -> str:
            order.append(f"{threading.current_thread().name}, after {len(unet.passes)} pass")
            return "the picture"

        computed = [begin(pool, scheduler.client(owner), work) for owner in ("bob", "eve")]
        assert order == []
        unet.let_end.release(2)
        assert [each.result(PATIENCE_S) for each in computed] == ["the picture"] * 2
        assert order == ["device, after 1 pass"] * 2
        assert are_answers(rows, waiting.result(PATIENCE_S))


def test_an_exception_reaches_the_job_that_asked_and_nobody_else() -> None:
    def fail() -> None:
        raise DeviceOutOfMemory("no memory for the decoder")

    unet = FakeUNet()
    with RowScheduler(unet.evaluate, max_rows=16) as scheduler:
        with pytest.raises(DeviceOutOfMemory, match="decoder"):
            scheduler.client("ann").compute(fail)
        rows = rows_of(1)
        assert are_answers(rows, scheduler.client("bob").evaluate(rows, "editing"))


def test_a_job_that_gives_up_waiting_is_not_computed() -> None:
    done: list[str] = []

    def cancel(_: bool) -> None:
        raise KeyError("canceled")

    with in_a_pass() as (unet, scheduler, pool):
        client = scheduler.client("ann", cancel)
        computed = begin(pool, client, lambda: done.append("ann"))
        with pytest.raises(KeyError, match="canceled"):
            computed.result(PATIENCE_S)
        later = begin(pool, scheduler.client("bob"), lambda: done.append("bob"))
        unet.let_end.release()
        later.result(PATIENCE_S)
    assert done == ["bob"]


def test_a_waiting_job_learns_that_the_computations_of_others_advance() -> None:
    asked: list[bool] = []
    begun, go_on = threading.Semaphore(0), threading.Semaphore(0)

    def of_another() -> None:
        begun.release()
        assert go_on.acquire(timeout=PATIENCE_S)

    with RowScheduler(FakeUNet().evaluate, max_rows=16) as scheduler, ThreadPoolExecutor(3) as pool:
        others = [begin(pool, scheduler.client(owner), of_another) for owner in ("bob", "eve")]
        assert begun.acquire(timeout=PATIENCE_S)
        computed = begin(pool, scheduler.client("ann", asked.append), lambda: None)
        until(lambda: len(asked) > 1)
        assert not any(asked)
        go_on.release()
        until(lambda: any(asked))
        go_on.release()
        for each in (*others, computed):
            each.result(PATIENCE_S)


@pytest.mark.parametrize("whole", [True, False], ids=["scheduler", "client"])
def test_closing_fails_a_computation_that_waits(whole: bool) -> None:
    done: list[str] = []
    with in_a_pass() as (unet, scheduler, pool):
        client = scheduler.client("ann")
        computed = begin(pool, client, lambda: done.append("ann"))
        closing = pool.submit(scheduler.close if whole else client.close)
        with pytest.raises(SchedulerClosed, match="scheduler" if whole else "client"):
            computed.result(PATIENCE_S)
        unet.let_end.release()
        closing.result(PATIENCE_S)
        with pytest.raises(SchedulerClosed):
            client.compute(lambda: done.append("later"))
    assert done == []


def test_a_job_is_not_charged_for_the_computations_of_others() -> None:
    clock = Clock()
    with RowScheduler(FakeUNet().evaluate, max_rows=16, now=clock) as scheduler, ThreadPoolExecutor(2) as pool:
        begun, go_on = threading.Event(), threading.Event()

        def of_another() -> None:
            begun.set()
            assert go_on.wait(PATIENCE_S)
            clock.reach(5.0)

        another = begin(pool, scheduler.client("bob"), of_another)
        assert begun.wait(PATIENCE_S)
        client = scheduler.client("ann")
        computed = begin(pool, client, lambda: clock.reach(7.0))
        go_on.set()
        another.result(PATIENCE_S)
        computed.result(PATIENCE_S)
        assert client.companions_s == pytest.approx(5.0)
