"""The sessions' access to the UNet, and the CPU's threads among them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from s2edit_core.unet.rows import Evaluate
from s2edit_core.unet.scheduler import RowClient, RowScheduler, SchedulerStats


class SharedPasses:
    """A `RowScheduler` that starts with the first session.

    The UNet gets all of torch's CPU threads, and each of `jobs` sessions its share for everything else: every thread of this
    process has a pool of its own, so that without a limit there would be as many threads as sessions times cores.
    """

    def __init__(self, evaluate: Evaluate, *, max_rows: int, jobs: int) -> None:
        self._evaluate, self._max_rows, self._jobs = evaluate, max_rows, jobs
        self._threads = torch.get_num_threads()
        self._starting = threading.Lock()
        self._scheduler: RowScheduler | None = None

    @contextmanager
    def client(self, owner: str) -> Iterator[RowClient]:
        """Let the calling thread share passes."""
        _use_threads(max(1, self._threads // self._jobs))
        with self._started().client(owner) as client:
            yield client

    def stats(self) -> SchedulerStats:
        with self._starting:
            return SchedulerStats() if self._scheduler is None else self._scheduler.stats()

    def close(self) -> None:
        with self._starting:
            if self._scheduler is not None:
                self._scheduler.close()

    def _started(self) -> RowScheduler:
        with self._starting:
            if self._scheduler is None:
                self._scheduler = RowScheduler(
                    self._evaluate, max_rows=self._max_rows, on_start=lambda: _use_threads(self._threads)
                )
                self._scheduler.start()
            return self._scheduler


def _use_threads(threads: int) -> None:
    """Set the number of torch's CPU threads for the calling thread alone."""
    torch.get_num_threads()  # initialises the calling thread. Otherwise its first operation takes what any thread has set last
    torch.set_num_threads(threads)
