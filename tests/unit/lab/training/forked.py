"""Processes that fork from this one, where torch and diffusers are loaded: loading them takes 6 s of processor time per process."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from s2edit_jobs.settings import ROOT

OWN = {"cli", "lab", "s2edit_core", "s2edit_jobs", "tests"}
"""The packages that a process imports afresh, so that it can't rely on what this one has imported of them."""


class Forked:
    """A process that runs `python -m`, with what the training's driver uses of `subprocess.Popen`. So do those that it starts."""

    def __init__(self, command: Sequence[str], *, env: Mapping[str, str], start_new_session: bool) -> None:
        assert command[:2] == [sys.executable, "-m"], command
        self.returncode: int | None = None
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            _become(list(command[2:]), dict(env), start_new_session)

    def poll(self) -> int | None:
        return self._look(os.WNOHANG)

    def wait(self) -> int:
        status = self._look(0)
        assert status is not None
        return status

    def _look(self, options: int) -> int | None:
        if self.returncode is None and (ended := os.waitpid(self.pid, options))[0]:
            self.returncode = os.waitstatus_to_exitcode(ended[1])
        return self.returncode


def run(arguments: Sequence[str], log: Path) -> int:
    """Return the exit status of `python -m` with `arguments`. All output goes to `log`."""
    before = [os.dup(number) for number in (1, 2)]
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        for number in (1, 2):
            os.dup2(file, number)
        process = Forked([sys.executable, "-m", *arguments], env=os.environ, start_new_session=False)
    finally:
        for number, old in zip((1, 2), before, strict=True):
            os.dup2(old, number)
            os.close(old)
        os.close(file)
    return process.wait()


def _become(arguments: list[str], environment: dict[str, str], own_session: bool) -> None:
    """Become that process, and end as it does."""
    status = 1
    try:
        if own_session:
            os.setsid()
        for name in (1, 2):
            setattr(sys, ("stdout", "stderr")[name - 1], os.fdopen(name, "w", buffering=1, closefd=False))
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(ROOT)
        for module in [module for module in sys.modules if module.partition(".")[0] in OWN]:
            del sys.modules[module]
        patched: Any = subprocess
        patched.Popen = Forked
        sys.argv = list(arguments)
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)
