"""The cores that a worker may use, and those that others leave to it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from worker.engines.cores import TICKS_PER_S, CpuThreads, FreeCores, allowed_cores


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with eight cores, all of them allowed."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    return tmp_path


def write(root: Path, **files: str) -> None:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def use(root: Path, busy: int, idle: int, cores: int = 8) -> None:
    """Write ticks since the machine's start, of all cores together."""
    each = "".join(f"cpu{number} 0 0 0 0 0 0 0 0 0 0\n" for number in range(cores))
    write(root, proc__stat=f"cpu  {busy} 0 0 {idle} 0 0 0 0 0 0\n{each}intr 1 2 3\n")


def test_without_a_quota_the_affinity_counts(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert allowed_cores(root) == 8
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5})
    assert allowed_cores(root) == 2


@pytest.mark.parametrize(("quota", "cores"), [("max 100000", 8), ("350000 100000", 3), ("50000 100000", 1), ("1600000 100000", 8)])
def test_a_quota_of_cgroup_2_counts_rounded_down(root: Path, quota: str, cores: int) -> None:
    write(root, proc__self__cgroup="0::/pods/worker\n", sys__fs__cgroup__pods__worker__cpu_DOT_max=quota + "\n")
    assert allowed_cores(root) == cores


def test_the_tightest_group_around_the_process_counts(root: Path) -> None:
    write(
        root,
        proc__self__cgroup="0::/pods/worker\n",
        sys__fs__cgroup__pods__worker__cpu_DOT_max="600000 100000\n",
        sys__fs__cgroup__pods__cpu_DOT_max="400000 100000\n",
    )
    assert allowed_cores(root) == 4


def test_in_a_container_the_mount_is_the_group(root: Path) -> None:
    write(root, proc__self__cgroup="0::/on/the/host\n", sys__fs__cgroup__cpu_DOT_max="200000 100000\n")
    assert allowed_cores(root) == 2


@pytest.mark.parametrize(("quota", "cores"), [(-1, 8), (250_000, 2)])
def test_a_quota_of_cgroup_1_counts(root: Path, quota: int, cores: int) -> None:
    write(
        root,
        proc__self__cgroup="5:memory:/job\n4:cpu,cpuacct:/job\n",
        sys__fs__cgroup__cpu__job__cpu_DOT_cfs_quota_us=f"{quota}\n",
        sys__fs__cgroup__cpu__job__cpu_DOT_cfs_period_us="100000\n",
        sys__fs__cgroup__cpu__cpu_DOT_cfs_quota_us="-1\n",
        sys__fs__cgroup__cpu__cpu_DOT_cfs_period_us="100000\n",
    )
    assert allowed_cores(root) == cores


@dataclass
class Own:
    """The ticks that this process has used."""

    ticks: float = 0.0

    def used_s(self) -> float:
        return self.ticks / TICKS_PER_S


def test_what_others_leave_is_measured_between_two_results(root: Path) -> None:
    own = Own(300)
    use(root, busy=1000, idle=9000)
    free = FreeCores(root, own.used_s)
    use(root, busy=1010, idle=9100)
    assert free.read() is None, "too short"
    use(root, busy=1600, idle=9200)
    own.ticks += 150
    assert free.read() == pytest.approx((200 + 150) / 100), "800 ticks are 100 on each of eight cores"
    use(root, busy=1600, idle=10000)
    assert free.read() == pytest.approx(8.0), "since the last result"
    use(root, busy=2400, idle=10000)
    assert free.read(least_s=2 * 100 / TICKS_PER_S) is None, "a caller may want more than a second"
    free.restart()
    use(root, busy=2400, idle=10400)
    assert free.read() == pytest.approx(8.0), "what was before does not count"
    assert FreeCores(root / "nowhere", own.used_s).read() is None


def test_threads_follow_what_others_leave_also_while_this_process_works(root: Path) -> None:
    own = Own()
    use(root, busy=0, idle=0)
    threads = CpuThreads(6, FreeCores(root, own.used_s))
    assert threads.count == 6
    busy = idle = 0
    for others, ours, left, count in (
        (500, 0, 300, 3),
        (0, 0, 800, 6),
        (800, 0, 0, 1),
        (0, 800, 0, 6),
        (400, 400, 0, 4),
        (560, 120, 120, 2),
        (0, 5, 5, 2),  # too short to tell
    ):
        busy, idle, own.ticks = busy + others + ours, idle + left, own.ticks + ours
        use(root, busy, idle)
        threads.choose()
        assert threads.count == count, (others, ours)


def test_a_number_that_the_operator_chose_stays(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    use(root, 0, 0)
    threads = CpuThreads(5, FreeCores(root, Own().used_s))
    use(root, 800, 0)
    threads.choose()
    assert threads.count == 5
