"""The threads that OpenMP keeps for a thread that only waits."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from s2edit_core.base_model import thread_pools
from s2edit_core.base_model.thread_pools import end_idle_threads
from s2edit_core.unet.row_scheduler import RowScheduler
from s2edit_core.unet.rows import Answers, Rows
from tests.unit.core.unet.waiting_rows import FakeUNet, rows_of

THREADS = 4


def compute() -> None:
    """Compute in `THREADS` threads, which then wait for the calling one."""
    torch.get_num_threads()  # initialises the calling thread
    torch.set_num_threads(THREADS)
    torch.ones(1 << 22).sqrt_()


def threads_now() -> int:
    return len(os.listdir("/proc/self/task"))


def run_apart(work: Callable[[], None]) -> None:
    """Run `work` in a thread that has no OpenMP threads yet, and raise what it raises."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(work).result()


def test_idle_threads_end_and_come_back_with_the_next_computation() -> None:
    def work() -> None:
        before = threads_now()
        compute()
        assert threads_now() == before + THREADS - 1
        assert end_idle_threads()
        assert threads_now() == before
        assert float(torch.full((1 << 22,), 4.0).sqrt_().sum()) == 2 * (1 << 22)
        assert threads_now() == before + THREADS - 1

    run_apart(work)


def test_a_job_that_waits_for_a_pass_keeps_no_threads() -> None:
    during: list[int] = []

    class Counting(FakeUNet):
        def evaluate(self, rows: Rows) -> Answers:
            during.append(threads_now())
            return super().evaluate(rows)

    def work() -> None:
        compute()
        alone = threads_now() - (THREADS - 1)
        with RowScheduler(Counting().evaluate, max_rows=4) as scheduler, scheduler.client("somebody") as client:
            compute()
            client.evaluate(rows_of(1), "editing")
        assert during == [alone + 1], "the scheduler's own thread is the one more"

    run_apart(work)


def test_a_runtime_that_cannot_end_them_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thread_pools, "_pause_resources", lambda: None)
    assert not end_idle_threads()
