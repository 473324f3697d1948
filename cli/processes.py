"""Supervision of child processes: start them together, restart those that die, stop them with this process."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from s2edit_jobs.stores.embedded_redis import end_with_parent

GRACE_S = 4.0
"""Seconds between SIGTERM and SIGKILL. It can be short: the next worker resumes an interrupted edit."""
FIRST_DELAY_S = 0.5
MAX_DELAY_S = 30.0
STEADY_S = 30.0
"""Uptime in seconds after which a child that dies is restarted with the first delay again."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command line. Its output is appended to `log`, or inherited from this process."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    log: Path | None = None


class Child:
    """A process and its descendants. Start it from the main thread: Linux ends the child when the thread that forked it ends."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def returncode(self) -> int | None:
        """The exit status as in `subprocess`, or None while the process runs."""
        return self._process.poll() if self._process else None

    def start(self) -> None:
        with contextlib.ExitStack() as stack:
            log = None
            if self.command.log is not None:
                self.command.log.parent.mkdir(parents=True, exist_ok=True)
                log = stack.enter_context(self.command.log.open("ab"))
            self._process = subprocess.Popen(  # noqa: S603  our own commands
                list(self.command.argv),
                env=dict(self.command.env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT if log else None,
                start_new_session=True,  # Ctrl-C must reach this process only: it stops the children in order
                preexec_fn=end_with_parent(signal.SIGKILL),
            )

    def terminate(self) -> None:
        self._signal(signal.SIGTERM)

    def finish(self, deadline: float) -> None:
        """Wait until `deadline` (of `time.monotonic`), then kill the process with its descendants."""
        if self._process is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, deadline - time.monotonic()))
        self._signal(signal.SIGKILL)
        self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        """Send `number` to the child's process group."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)


@dataclass(slots=True)
class _Watched:
    child: Child
    started_at: float = 0.0
    restart_at: float | None = None
    delay_s: float = FIRST_DELAY_S


class Supervisor:
    """A set of commands that is kept running. `report` gets a sentence about every child that ends."""

    def __init__(self, commands: Sequence[Command], *, report: Callable[[str], None], grace_s: float = GRACE_S) -> None:
        self._watched = [_Watched(Child(command)) for command in commands]
        self._report = report
        self._grace_s = grace_s

    def start(self) -> None:
        for watched in self._watched:
            self._start(watched)

    def dead(self) -> Command | None:
        """Return the first command whose process has ended, if any."""
        return next((w.child.command for w in self._watched if w.child.returncode is not None), None)

    def has_just_died(self, name: str) -> bool:
        """Return whether the command `name` has ended since the last call of `restart_dead`."""
        return any(w.child.command.name == name and w.child.returncode is not None and w.restart_at is None for w in self._watched)

    def restart_dead(self) -> None:
        """Restart dead children whose delay is over. The caller calls this periodically; the delay doubles up to `MAX_DELAY_S`."""
        now = time.monotonic()
        for watched in self._watched:
            code = watched.child.returncode
            if code is None:
                continue
            if watched.restart_at is None:
                self._schedule(watched, code, now)
            elif now >= watched.restart_at:
                self._start(watched)

    def stop(self) -> None:
        """Stop all children at once, and kill those that outlive the grace period. Safe to repeat."""
        for watched in self._watched:
            watched.child.terminate()
        deadline = time.monotonic() + self._grace_s
        for watched in self._watched:
            watched.child.finish(deadline)

    def _start(self, watched: _Watched) -> None:
        watched.child.start()
        watched.started_at, watched.restart_at = time.monotonic(), None

    def _schedule(self, watched: _Watched, code: int, now: float) -> None:
        if now - watched.started_at >= STEADY_S:
            watched.delay_s = FIRST_DELAY_S
        self._report(f"the {watched.child.command.name} {_exit_text(code)}; restarting it in {watched.delay_s:g} s")
        watched.restart_at = now + watched.delay_s
        watched.delay_s = min(MAX_DELAY_S, watched.delay_s * 2)


def _exit_text(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"exited with status {code}"
