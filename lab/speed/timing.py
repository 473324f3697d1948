"""Timing and peak memory of work on one device."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lab.measures.memory import peak_bytes

Work = Callable[[], object]


@dataclass(frozen=True)
class Timing:
    """Seconds of repeated runs: the median, the borders of the lowest and the highest quarter, and the fastest run."""

    median_s: float
    low_s: float
    high_s: float
    runs: int
    fastest_s: float

    @classmethod
    def of(cls, seconds: list[float]) -> Timing:
        quarters = statistics.quantiles(seconds, n=4, method="inclusive") if len(seconds) > 1 else seconds * 3
        return cls(quarters[1], quarters[0], quarters[2], len(seconds), min(seconds))

    def about(self) -> dict[str, float | int]:
        """Return JSON values."""
        about = {"seconds": self.median_s, "low": self.low_s, "high": self.high_s, "fastest": self.fastest_s}
        return {name: digits(value) for name, value in about.items()} | {"runs": self.runs}


def digits(value: float, count: int = 4) -> float:
    """Return `value` rounded to `count` significant digits."""
    return float(f"{value:.{count}g}")


def synchronise(device: torch.device) -> None:
    """Wait until `device` has done all its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def takes_processor_time(device: torch.device) -> bool:
    """Return whether `now` is the time of this process on the processor: on a CPU with one thread."""
    return device.type == "cpu" and torch.get_num_threads() == 1


def now(device: torch.device) -> float:
    """Return the time in seconds, once `device` has done all its work.

    With one thread on a CPU, it is this process's time on the processor: the clock goes on while others use the core.
    """
    synchronise(device)
    return time.process_time() if takes_processor_time(device) else time.perf_counter()


def seconds_of(work: Work, device: torch.device) -> float:
    """Run `work` once and return its seconds, the device's work included."""
    began = now(device)
    work()
    return now(device) - began


def time_work(work: Work, device: torch.device, *, within_s: float, warm_ups: int = 2, least: int = 3, most: int = 200) -> Timing:
    """Time repeated runs of `work` for `within_s` seconds, but at least `least` of them, after `warm_ups` untimed ones."""
    for _ in range(warm_ups):
        work()
    return alternate({"": work}, device, within_s=within_s, least=least, most=most)[""]


def alternate(
    works: Mapping[str, Work], device: torch.device, *, within_s: float, least: int = 3, most: int = 200
) -> dict[str, Timing]:
    """Time several works in turn, so that a drift of the machine affects all of them alike. `within_s` is for all together."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    ends = time.perf_counter() + within_s
    for i in range(most):
        if i >= least and time.perf_counter() > ends:
            break
        for name, work in works.items():
            seconds[name].append(seconds_of(work, device))
    return {name: Timing.of(each) for name, each in seconds.items()}


@contextmanager
def peak_memory(device: torch.device) -> Iterator[dict[str, Any]]:
    """Fill the yielded dictionary with the peak memory of the block, in GB.

    `grown_gb` is what the block added to what was there before. On CUDA, both count tensors alone, and `peak_gb` includes weights.
    On a CPU, `grown_gb` is of the process's resident memory, and is missing where the system can't reset the peak.
    """
    found: dict[str, Any] = {}
    if device.type == "cuda":
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        held = torch.cuda.memory_allocated(device)
        yield found
        peak = torch.cuda.max_memory_allocated(device)
        found |= {"peak_gb": digits(peak / 1e9), "grown_gb": digits((peak - held) / 1e9)}
        return
    before = _reset_peak()
    yield found
    if before is not None:
        found["grown_gb"] = digits(max(0, peak_bytes() - before) / 1e9)


def _reset_peak() -> int | None:
    """Reset this process's peak of resident memory and return it; None where that is impossible."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
        return peak_bytes()
    except OSError:
        return None
