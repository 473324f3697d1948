"""The sessions' access to the UNet, and the CPU's threads among them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from s2edit_core.base_model.thread_pools import end_idle_threads
from s2edit_core.unet.row_scheduler import RowClient, RowScheduler, SchedulerStats
from s2edit_core.unet.rows import Evaluate
from worker.engines.cores import LEAST_S, CpuThreads

CHOSEN_FOR_S = 5.0
"""Seconds after which the device's threads are chosen anew while sessions go on."""


class SharedPasses:
    """A `RowScheduler` that starts with the first session.

    The device's thread gets all `threads`, and each of `jobs` sessions its share for everything else: every thread of this process
    has a pool of its own, so that without a limit there would be as many threads as sessions times cores. Their number is chosen
    anew when a session begins, and every `CHOSEN_FOR_S` seconds of a long one.
    """

    def __init__(self, evaluate: Evaluate, *, max_rows: int, jobs: int, threads: CpuThreads) -> None:
        self._evaluate, self._max_rows, self._jobs = evaluate, max_rows, jobs
        self._threads = threads
        end_idle_threads()  # those that have loaded the model
        threads.restart()  # a service that starts has all its processes at work
        # Of the device's thread: the threads that it uses, and when it last looked whether to use others.
        self._used_threads, self._looked_at = 0, time.monotonic()
        self._starting = threading.Lock()
        self._scheduler: RowScheduler | None = None

    @contextmanager
    def client(self, owner: str) -> Iterator[RowClient]:
        """Let the calling thread share passes."""
        with self._started().client(owner) as client:
            _use_threads(max(1, self._threads.count // self._jobs))
            try:
                yield client
            finally:
                end_idle_threads()

    def stats(self) -> SchedulerStats:
        with self._starting:
            return SchedulerStats() if self._scheduler is None else self._scheduler.stats()

    def close(self) -> None:
        with self._starting:
            if self._scheduler is not None:
                self._scheduler.close()

    def _started(self) -> RowScheduler:
        with self._starting:
            self._threads.choose()
            if self._scheduler is None:
                self._scheduler = RowScheduler(self._evaluate, max_rows=self._max_rows, prepare=self._use_free_cores)
                self._scheduler.start()
            return self._scheduler

    def _use_free_cores(self) -> None:
        if (now := time.monotonic()) - self._looked_at >= LEAST_S:  # passes may be short, and looking reads a file
            self._looked_at = now
            self._threads.choose(CHOSEN_FOR_S)
        if self._used_threads != (count := self._threads.count):
            _use_threads(count)
            self._used_threads = count


def _use_threads(threads: int) -> None:
    """Set the number of torch's CPU threads for the calling thread alone."""
    torch.get_num_threads()  # initialises the calling thread. Otherwise its first operation takes what any thread has set last
    torch.set_num_threads(threads)
