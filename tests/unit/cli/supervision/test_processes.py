"""Supervision of child processes, tested with small real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from cli.supervision import processes
from cli.supervision.processes import MAX_FAILED_STARTS, STEADY_S, Child, Command, StartFailed, Supervisor
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
from cli.supervision.processes import Child, Command
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

    def make(*commands: Command, grace_s: float = 4.0, **named: Any) -> Supervisor:
        made.append(Supervisor(commands, report=reports.append, grace_s=grace_s, **named))
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


@pytest.fixture
def _quick_restarts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "FIRST_DELAY_S", 0.01)
    monkeypatch.setattr(processes, "MAX_DELAY_S", 0.05)


def watch(supervisor: Supervisor, enough: Callable[[], bool]) -> None:
    until(lambda: (supervisor.restart_dead(), enough())[1])


@pytest.mark.usefixtures("_quick_restarts")
def test_a_child_that_never_works_is_given_up_with_its_reason_and_its_log(
    supervise: Callable[..., Supervisor], reports: list[str], tmp_path: Path
) -> None:
    log = tmp_path / "worker.log"
    supervisor = supervise(python("raise MemoryError('no room for the model')", "worker", log))
    with pytest.raises(StartFailed) as caught:
        watch(supervisor, lambda: False)
    assert len(reports) == MAX_FAILED_STARTS - 1
    assert set(reports) == {
        f"the worker exited with status 1 (MemoryError: no room for the model); restarting it in {delay} s"
        for delay in (0.01, 0.02, 0.04, 0.05)
    }
    assert str(caught.value) == (
        "the worker exited with status 1 (MemoryError: no room for the model), as it did each of the 5 times that it was started; "
        f"its log is {log}"
    )


@pytest.mark.usefixtures("_quick_restarts")
def test_a_child_that_has_worked_once_is_restarted_for_ever(supervise: Callable[..., Supervisor], reports: list[str]) -> None:
    asked: list[tuple[str, float]] = []

    def has_worked(name: str, uptime_s: float) -> bool:
        asked.append((name, uptime_s))
        return len(asked) == 1

    supervisor = supervise(python("raise SystemExit(3)", "worker"), has_worked=has_worked)
    watch(supervisor, lambda: len(reports) > 2 * MAX_FAILED_STARTS)
    assert len(asked) == len(reports), "it is asked after every end, because it also reports that the worker has stopped"
    assert 0 < asked[0][1] < STEADY_S


@pytest.mark.usefixtures("_quick_restarts")
def test_one_broken_child_among_others_ends_the_wait(supervise: Callable[..., Supervisor], reports: list[str]) -> None:
    supervisor = supervise(python(SLEEP, "API"), python("raise SystemExit(3)", "housekeeper"))
    with pytest.raises(StartFailed, match="the housekeeper exited with status 3, as it did each"):
        watch(supervisor, lambda: False)


JSON_ERROR = '{"level": "error", "event": "the worker can\'t start", "reason": "no weights in unet/"}'
JSON_CRASH = '{"level": "critical", "event": "an uncaught exception", "exception": "  File x\\nbuiltins.ValueError"}'
LOGS = {
    "a reason": (f"{JSON_ERROR}\nbye", "the worker can't start: no weights in unet/"),
    "an exception": (f"hello\n{JSON_CRASH}", "an uncaught exception: builtins.ValueError"),
    "a traceback": (
        "Traceback (most recent call last):\n  File x\nModuleNotFoundError: No module named 'there'",
        "ModuleNotFoundError",
    ),
    "a class of a package": ("redis.exceptions.ConnectionError: refused", "redis.exceptions.ConnectionError: refused"),
    "a message": ("Error: Invalid value for '-A'", "Error: Invalid value for '-A'"),
    "a native crash": ("Fatal Python error: Segmentation fault\n  File x", "Fatal Python error: Segmentation fault"),
    "no error": ('{"level": "info", "event": "the worker is ready"}\nstarted', None),
    "no text": ("\n\n", None),
    "an error long ago": ("\n".join([JSON_ERROR, *["fine"] * 100]), None),
    "not text at all": ("[]\n3\nnull\n{", None),
}


@pytest.mark.parametrize("case", LOGS)
def test_the_last_error_is_found_in_the_log(case: str, tmp_path: Path) -> None:
    printed, expected = LOGS[case]
    log = tmp_path / "log"
    log.write_text("ValueError: of an earlier process\n")
    child = Child(python(f"print({printed!r})", log=log))
    child.start()
    until(lambda: child.returncode == 0)
    found = child.last_error()
    assert found == expected or (expected is not None and found is not None and found.startswith(expected))


def test_without_a_log_there_is_no_last_error() -> None:
    child = Child(python("raise SystemExit('an error')"))
    child.start()
    until(lambda: child.returncode == 1)
    assert child.last_error() is None
