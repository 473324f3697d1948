"""Processes of the service for tests. They fork from a server that has imported everything, so that a start takes a moment."""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab.storm.system.processes import PRELOADED
from s2edit_jobs.settings import ROOT
from s2edit_jobs.stores.embedded_redis import end_with_parent

MORE = ["tests.doubles", "tests.servers.forked", "worker.testmode_runner"]

_context = multiprocessing.get_context("forkserver")


class Forked:
    """A process that runs `python -m` with `arguments`, with the methods of `subprocess.Popen` that tests use.

    Its output is appended to `log`. It has `environment` instead of this process's, and `listener` as uvicorn's socket.
    """

    def __init__(
        self, arguments: Sequence[str], environment: Mapping[str, str], log: Path, *, listener: socket.socket | None = None
    ) -> None:
        _context.set_forkserver_preload([*PRELOADED, *MORE])  # counts once: a storm in this process forks from the same server
        values = (list(arguments), dict(environment), log, listener)
        self._process = _context.Process(target=_run, args=values, daemon=True)
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if (status := self._process.exitcode) is None:
            raise subprocess.TimeoutExpired(str(self._process), timeout or 0.0)
        return status

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self._process.kill()


def _run(arguments: list[str], environment: dict[str, str], log: Path, listener: socket.socket | None) -> None:
    """Become the process: its output, its environment and its main module."""
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    os.chdir(ROOT)
    tempfile.tempdir = None  # `environment` may name another one
    if with_parent := end_with_parent(signal.SIGKILL):
        with_parent()  # a test run that is killed leaves nothing
    sys.argv = [*arguments, *(["--fd", str(listener.fileno())] if listener is not None else [])]
    runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
