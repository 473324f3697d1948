"""The processes of a storm. They fork from a server that has imported everything, so that a restart takes a moment."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from lab.storm.engines import EngineChoice
from s2edit_jobs.bootstrap import Services, build_services
from s2edit_jobs.settings import Settings

_PRELOAD = ["lab.storm.processes", "celery.apps.worker", "celery.bin.celery", "celery.worker.consumer", "kombu.transport.redis"]
_PRELOAD += ["worker.process", "worker.housekeeper", "worker.engines.modeless_engine", "lab.storm.points", "api.app", "uvicorn"]
_PRELOAD += ["lab.storm.app", "lab.storm.history", "lab.storm.receiver"]  # a forked process imports the main module
_PRELOAD += [
    "s2edit_jobs.stores.redis_store",
    "s2edit_jobs.stores.filesystem_artifacts",
    "uvicorn.lifespan.on",
    "uvicorn.protocols.http.auto",
]


@dataclass(frozen=True, slots=True)
class StormSetup:
    """The configuration that all processes of a storm share."""

    settings: Settings
    folder: Path
    engine_choice: EngineChoice
    visibility_timeout_s: float | None = None  # None: the service's default

    @property
    def armed(self) -> Path:
        return self.folder / "armed"

    @property
    def event_logs(self) -> Path:
        return self.folder / "event_logs"


def _redirect_output(setup: StormSetup, name: str) -> None:
    """Redirect the output of this process to `<name>.log`."""
    log = os.open(setup.folder / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, sys.stdout.fileno())
    os.dup2(log, sys.stderr.fileno())


def run_worker(setup: StormSetup, number: int) -> None:
    """Run the shipped worker process with the setup's engine and with crash points around its ports."""
    from lab.storm.points import CrashPoints, EventLog, with_crash_points
    from worker.process import WorkerProcess

    _redirect_output(setup, "worker")
    points = CrashPoints(setup.armed, EventLog(setup.event_logs), "worker")

    def build(settings: Settings) -> Services:
        return with_crash_points(build_services(settings), points)

    app = WorkerProcess(setup.settings, setup.engine_choice.load, build).app
    if setup.visibility_timeout_s is not None:
        app.conf.broker_transport_options |= {"visibility_timeout": setup.visibility_timeout_s}
    app.worker_main(["worker", "--without-mingle", "--without-gossip", "--loglevel", "WARNING", "--hostname", f"w{number}@storm"])


def run_housekeeper(setup: StormSetup) -> None:
    """Run the shipped housekeeper. It logs like a worker, but leaves the crash points to the workers."""
    from lab.storm.points import CrashPoints, EventLog, with_crash_points
    from worker.housekeeper import HousekeeperProcess

    _redirect_output(setup, "housekeeper")
    points = CrashPoints(setup.folder / "never_armed", EventLog(setup.event_logs), "worker")

    def build(settings: Settings) -> Services:
        return with_crash_points(build_services(settings), points)

    HousekeeperProcess(setup.settings, build).run()


def run_api(setup: StormSetup, listener: socket.socket) -> None:
    """Run the shipped API on a socket that outlives it: requests wait in its backlog during a restart."""
    import uvicorn

    from api.app import create_app
    from lab.storm.points import CrashPoints, EventLog, with_crash_points

    _redirect_output(setup, "api")
    points = CrashPoints(setup.armed, EventLog(setup.event_logs), "api")
    app = create_app(with_crash_points(build_services(setup.settings), points))
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[listener])


class ProcessGroup:
    """A group of named processes. `restart_dead` starts those again that have died."""

    def __init__(self, engine_choice: EngineChoice | None = None) -> None:
        self._context = multiprocessing.get_context("forkserver")
        with_torch = ["worker.engines.s2edit_engine"] if engine_choice is not None and engine_choice.name == "model" else []
        self._context.set_forkserver_preload(_PRELOAD + with_torch)
        self._members: dict[str, tuple[Callable[[], ForkServerProcess], ForkServerProcess]] = {}
        self._paused: set[str] = set()

    def add(self, name: str, target: Callable[..., None], *values: object) -> None:
        def start() -> ForkServerProcess:
            process = self._context.Process(target=target, args=values, name=name, daemon=True)
            process.start()
            return process

        self._members[name] = (start, start())

    def names(self, kind: str) -> list[str]:
        """Return the names that start with `kind`, without paused processes."""
        return [name for name in self._members if name.startswith(kind) and name not in self._paused]

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int | None:
        """Send a signal and return the process id, or None if the process is already dead."""
        process = self._members[name][1]
        pid = process.pid
        if pid is None or not process.is_alive():
            return None
        os.kill(pid, number)
        if number == signal.SIGSTOP:
            self._paused.add(name)
        elif number == signal.SIGCONT:
            self._paused.discard(name)
        return pid

    def restart_dead(self) -> int:
        """Restart all dead processes and return their number."""
        dead = [name for name, (_, process) in self._members.items() if not process.is_alive()]
        for name in dead:
            start, process = self._members[name]
            process.close()
            self._members[name] = (start, start())
        return len(dead)

    def stop(self) -> None:
        for _, process in self._members.values():
            process.kill()
        for _, process in self._members.values():
            process.join()
        self._members.clear()
