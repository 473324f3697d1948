"""Supervision of child processes, tested with small real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from cli.processes import Child, Command, Supervisor
from tests.waiting import until

SLEEP = "import time; time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
WITH_GRANDCHILD = f"""
import subprocess, sys, time
print(subprocess.Popen([sys.executable, "-c", {SLEEP!r}]).pid, flush=True)
time.sleep(60)
"""
SUPERVISES = f"""
import time
from cli.processes import Child, Command
import sys
child = Child(Command("child", [sys.executable, "-c", {SLEEP!r}]))
child.start()
print(child.pid, flush=True)
time.sleep(60)
"""


def python(code: str, name: str = "child", log: Path | None = None) -> Command:
    return Command(name, [sys.executable, "-c", code], log=log)


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def reports() -> list[str]:
    return []


@pytest.fixture
def supervise(reports: list[str]) -> Iterator[Callable[..., Supervisor]]:
    made: list[Supervisor] = []

    def make(*commands: Command, grace_s: float = 4.0) -> Supervisor:
        made.append(Supervisor(commands, report=reports.append, grace_s=grace_s))
        made[-1].start()
        return made[-1]

    yield make
    for supervisor in made:
        supervisor.stop()


def test_output_goes_to_the_log(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "child.log"
    child = Child(python("import sys; print('out'); print('err', file=sys.stderr)", log=log))
    child.start()
    until(lambda: child.returncode == 0)
    assert sorted(log.read_text().split()) == ["err", "out"]


def test_a_dead_child_is_restarted_with_a_growing_delay(
    supervise: Callable[..., Supervisor], reports: list[str], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    supervisor = supervise(python("print('started', flush=True); raise SystemExit(3)", "worker", log))

    def starts() -> int:
        supervisor.restart_dead()
        return log.read_text().count("started") if log.exists() else 0

    until(lambda: starts() >= 3)
    assert reports[0] == "the worker exited with status 3; restarting it in 0.5 s"
    assert reports[1] == "the worker exited with status 3; restarting it in 1 s"


def test_a_killed_child_is_reported_with_its_signal_and_the_others_keep_running(
    supervise: Callable[..., Supervisor], reports: list[str], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    announce = f"import os; print(os.getpid(), flush=True); {SLEEP}"
    other_log = tmp_path / "other"
    supervisor = supervise(python(announce, "worker", log), python(announce, "API", other_log))
    until(lambda: log.exists() and other_log.exists() and bool(log.read_text()) and bool(other_log.read_text()))
    os.kill(int(log.read_text()), signal.SIGKILL)
    until(lambda: (supervisor.restart_dead(), len(log.read_text().split()) == 2)[1])
    assert reports == ["the worker was ended by SIGKILL; restarting it in 0.5 s"]
    assert len(other_log.read_text().split()) == 1


def test_a_child_that_ignores_sigterm_is_killed_after_the_grace_period(
    supervise: Callable[..., Supervisor], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    supervisor = supervise(python(STUBBORN, log=log), grace_s=0.3)
    until(lambda: log.exists() and "ready" in log.read_text())
    started = time.monotonic()
    supervisor.stop()
    assert supervisor.dead() is not None
    assert 0.3 <= time.monotonic() - started < 30


def test_the_descendants_of_a_child_end_with_it(supervise: Callable[..., Supervisor], tmp_path: Path) -> None:
    log = tmp_path / "log"
    supervisor = supervise(python(WITH_GRANDCHILD, log=log))
    until(lambda: log.exists() and log.read_text().endswith("\n"))
    grandchild = int(log.read_text())
    assert is_running(grandchild)
    supervisor.stop()
    until(lambda: not is_running(grandchild))


def test_children_end_when_this_process_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", SUPERVISES], stdout=subprocess.PIPE) as supervisor:
        assert supervisor.stdout is not None
        child = int(supervisor.stdout.readline())
        assert is_running(child)
        supervisor.kill()
        until(lambda: not is_running(child))


def test_stopping_twice_or_before_the_start_is_harmless() -> None:
    supervisor = Supervisor([python(SLEEP)], report=print)
    supervisor.stop()
    supervisor.start()
    supervisor.stop()
    supervisor.stop()
    assert supervisor.dead() is not None
