"""Supervision of child processes: start them together, restart those that die, stop them with this process."""

from __future__ import annotations

import contextlib
import json
import os
import re
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
MAX_FAILED_STARTS = 5
"""Ends of a child that has never worked, after which the supervisor gives up."""
LAST_LINES = 20
"""Lines at the end of a child's log in which the error that ended it is looked for."""
LAST_BYTES = 65_536
_ERROR_LINE = re.compile(r"(\w+\.)*\w*(Error|Exception)\b|.*\b(error|fatal|can't)\b", re.IGNORECASE)
"""A line that a process prints when it can't go on: the end of a traceback, or a message."""


class StartFailed(Exception):
    """The service did not start, or a part of it never began to work. The message names the part and says why."""


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
        self.started_at = 0.0  # seconds since the epoch
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0  # size of the log when the process started

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def returncode(self) -> int | None:
        """The exit status as in `subprocess`, or None while the process runs."""
        return self._process.poll() if self._process else None

    def start(self) -> None:
        self.started_at = time.time()
        with contextlib.ExitStack() as stack:
            log = None
            if self.command.log is not None:
                self.command.log.parent.mkdir(parents=True, exist_ok=True)
                log = stack.enter_context(self.command.log.open("ab"))
                self._log_start = log.tell()
            self._process = subprocess.Popen(  # noqa: S603  our own commands
                list(self.command.argv),
                env=dict(self.command.env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT if log else None,
                start_new_session=True,  # Ctrl-C must reach this process only: it stops the children in order
                preexec_fn=end_with_parent(signal.SIGKILL),
            )

    def last_error(self) -> str | None:
        """Return the last error at the end of the log of this process, or None. Without a log, everybody can see its output."""
        if self.command.log is None:
            return None
        with self.command.log.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            start = self._log_start if self._log_start <= size else 0  # a full log is emptied
            log.seek(max(start, size - LAST_BYTES))
            lines = log.read().decode(errors="replace").splitlines()
        return next((text for line in reversed(lines[-LAST_LINES:]) if (text := _error_of(line)) is not None), None)

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
    delay_s: float = field(default_factory=lambda: FIRST_DELAY_S)
    has_worked: bool = False
    failed_starts: int = 0


class Supervisor:
    """A set of commands that is kept running. `report` gets a sentence about every child that ends.

    `has_worked` is asked each time that a child has ended, with its name and the seconds for which it ran: whether it has done its
    work. By default, `STEADY_S` seconds are enough. A child that has worked once is restarted for ever, others
    `MAX_FAILED_STARTS` times. `reason` returns why a child has ended, if it is known.
    """

    def __init__(
        self,
        commands: Sequence[Command],
        *,
        report: Callable[[str], None],
        grace_s: float = GRACE_S,
        has_worked: Callable[[str, float], bool] = lambda _, uptime_s: uptime_s >= STEADY_S,
        reason: Callable[[Child], str | None] = Child.last_error,
    ) -> None:
        self._watched = [_Watched(Child(command)) for command in commands]
        self._report = report
        self._grace_s = grace_s
        self._has_worked = has_worked
        self._reason = reason

    def start(self) -> None:
        for watched in self._watched:
            self._start(watched)

    def dead(self) -> Command | None:
        """Return the first command whose process has ended, if any."""
        return next((w.child.command for w in self._watched if w.child.returncode is not None), None)

    def restart_dead(self) -> None:
        """Restart dead children whose delay is over. The caller calls this periodically; the delay doubles up to `MAX_DELAY_S`.

        Raise `StartFailed` for a child that has ended `MAX_FAILED_STARTS` times and has never worked.
        """
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
        command, uptime_s = watched.child.command, now - watched.started_at
        watched.has_worked |= self._has_worked(command.name, uptime_s)
        reason = self._reason(watched.child)
        ended = f"the {command.name} {_exit_text(code)}" + (f" ({reason})" if reason else "")
        watched.failed_starts = 0 if watched.has_worked else watched.failed_starts + 1
        if watched.failed_starts >= MAX_FAILED_STARTS:
            where = f"; its log is {command.log}" if command.log else ""
            raise StartFailed(f"{ended}, as it did each of the {watched.failed_starts} times that it was started{where}")
        if uptime_s >= STEADY_S:
            watched.delay_s = FIRST_DELAY_S
        self._report(f"{ended}; restarting it in {watched.delay_s:g} s")
        watched.restart_at = now + watched.delay_s
        watched.delay_s = min(MAX_DELAY_S, watched.delay_s * 2)


def _error_of(line: str) -> str | None:
    """Return what a line of a log says about an error, or None if it is about something else."""
    try:
        event = json.loads(line)
    except ValueError:
        return line.strip() if _ERROR_LINE.match(line) else None
    if not isinstance(event, dict) or event.get("level") not in ("error", "critical"):
        return None
    kind = str(event.get("exception") or "").rpartition("\n")[2].strip()
    return ": ".join(str(part) for part in (event.get("event"), event.get("reason") or kind) if part)


def _exit_text(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"exited with status {code}"
