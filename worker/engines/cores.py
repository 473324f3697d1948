"""How many of the machine's cores this process may use, and how many of them others leave to it.

Torch takes a thread per core that it sees. It doesn't see the quota of a container, nor that others use the cores: on a machine
whose cores were shared, its default made learning five times slower than one thread.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path("/")
TICKS_PER_S = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
LEAST_S = 0.5
"""The time below which the ticks of `/proc/stat` say nothing about idle cores."""


def allowed_cores(root: Path = ROOT) -> int:
    """Return the whole cores that this process may use, by its affinity and by the quota of its control groups; at least 1."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.floor(min([affinity, *_quotas(root)])))


def _quotas(root: Path) -> Iterator[float]:
    """Yield the cores that each control group around this process may use, for those with a quota (cgroup v1 and v2)."""
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, inside = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        mount = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
        group = mount / inside.strip("/")
        # In a container, the path may be that of the host: then only the mount itself, which is the container's group, is there.
        for folder in (group, *group.parents):
            yield from _quota_of(folder)
            if folder == mount:
                break


def _quota_of(folder: Path) -> Iterator[float]:
    for line in _lines(folder / "cpu.max"):
        quota, _, period = line.partition(" ")
        if quota != "max":
            yield int(quota) / int(period or 100_000)
    for quota, period in zip(_lines(folder / "cpu.cfs_quota_us"), _lines(folder / "cpu.cfs_period_us"), strict=False):
        if int(quota) > 0:
            yield int(quota) / int(period)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


@dataclass
class FreeCores:
    """Measures how many cores this process could have used: those that were idle, and those that it used itself.

    `used_s` returns the seconds that this process has spent on all cores so far.
    """

    root: Path = ROOT
    used_s: Callable[[], float] = time.process_time
    _last: _Reading | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Begin to measure now."""
        self._last = self._read()

    def read(self, least_s: float = LEAST_S) -> float | None:
        """Return the mean since the last result or `restart`. None if that is less than `least_s` ago, or unknown."""
        now, last = self._read(), self._last
        if now is None or last is None or now.all_ticks - last.all_ticks < least_s * TICKS_PER_S * now.cores:
            return None
        self._last = now
        elapsed = (now.all_ticks - last.all_ticks) / now.cores
        return (now.idle_ticks - last.idle_ticks + (now.used_s - last.used_s) * TICKS_PER_S) / elapsed

    def _read(self) -> _Reading | None:
        lines = [line.split() for line in _lines(self.root / "proc/stat") if line.startswith("cpu")]
        if len(lines) < 2:
            return None
        user, nice, system, idle, waiting, *others = map(int, lines[0][1:9])
        every = sum((user, nice, system, idle, waiting, *others))
        return _Reading(every, idle + waiting, len(lines) - 1, self.used_s())


@dataclass(frozen=True, slots=True)
class _Reading:
    """Ticks since the machine's start, summed over its cores; those of them that were idle; and what this process has used."""

    all_ticks: int
    idle_ticks: int
    cores: int
    used_s: float


class CpuThreads:
    """How many threads torch should use: `OMP_NUM_THREADS` if set, else one per allowed core that others leave, at most `most`."""

    def __init__(self, most: int, free: FreeCores | None = None) -> None:
        self._free = free or FreeCores()
        chosen = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
        self._fixed = chosen.isdecimal() and int(chosen) > 0
        self._allowed = most if self._fixed else min(most, allowed_cores(self._free.root))
        self.count = self._allowed
        self._choosing = threading.Lock()

    def restart(self) -> None:
        """Forget what others have used so far. Any thread may call this."""
        with self._choosing:
            self._free.restart()

    def choose(self, least_s: float = LEAST_S) -> None:
        """Choose `count` anew by what others have used since the last time, if that was `least_s` ago. Any thread may call this."""
        if self._fixed:
            return
        with self._choosing:
            free = self._free.read(least_s)
            if free is not None:
                self.count = max(1, min(self._allowed, round(free)))
