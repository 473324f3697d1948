"""How many of the machine's cores this process may use, and how many of them others leave idle.

Torch takes a thread per core that it sees. It doesn't see the quota of a container, nor that others use the cores: on a machine
whose cores were shared, its default made learning five times slower than one thread.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path("/")
LEAST_TICKS = 50
"""The ticks of `/proc/stat` (usually of 10 ms) per core below which a reading says nothing about idle cores."""


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
class IdleCores:
    """Measures how many cores of the machine are idle, over the time between two readings."""

    root: Path = ROOT
    _last: tuple[int, int, int] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Begin to measure now."""
        self._last = self._read()

    def read(self) -> float | None:
        """Return how many cores were idle since `restart`, on average. None if that is too short ago, or unknown."""
        now, last = self._read(), self._last
        if now is None or last is None or now[0] - last[0] < LEAST_TICKS * now[2]:
            return None
        return (now[1] - last[1]) / (now[0] - last[0]) * now[2]

    def _read(self) -> tuple[int, int, int] | None:
        """Return ticks of all cores since the machine's start, those of them that were idle, and the number of cores."""
        lines = [line.split() for line in _lines(self.root / "proc/stat") if line.startswith("cpu")]
        if len(lines) < 2:
            return None
        user, nice, system, idle, waiting, *others = map(int, lines[0][1:9])
        return sum((user, nice, system, idle, waiting, *others)), idle + waiting, len(lines) - 1


class CpuThreads:
    """How many threads torch should use. A set `OMP_NUM_THREADS` decides; else as many as allowed cores were idle, at most `most`.

    Others' use is measured while this process is idle: `pause_begins` says that it has nothing to do, `pause_ends` that it begins
    to work. Until the first `pause_begins`, one thread of it is at work, loading the model.
    """

    def __init__(self, most: int, root: Path = ROOT) -> None:
        chosen = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
        self._fixed = chosen.isdecimal() and int(chosen) > 0
        self._allowed = most if self._fixed else min(most, allowed_cores(root))
        self._idle = IdleCores(root)
        self._own = 1
        self.count = self._allowed

    def pause_begins(self) -> None:
        self._idle.restart()
        self._own = 0

    def pause_ends(self) -> None:
        """Choose `count` anew, if the pause was long enough to tell."""
        idle = self._idle.read()
        if not self._fixed and idle is not None:
            self.count = max(1, min(self._allowed, round(idle + self._own)))
