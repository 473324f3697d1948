"""The processes of a storm, forked from a server that has loaded everything, so that a killed one is back within a moment."""

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

from lab.storm.engines import Cast
from s2edit_jobs.bootstrap import Services, build_services
from s2edit_jobs.settings import Settings

_PRELOAD = ["lab.storm.processes", "celery.apps.worker", "celery.bin.celery", "celery.worker.consumer", "kombu.transport.redis"]
_PRELOAD += ["worker.process", "worker.engines.fake_engine", "lab.storm.points", "api.app", "uvicorn"]
_PRELOAD += ["lab.storm.app", "lab.storm.history", "lab.storm.receiver"]  # each process imports the module that was run
_PRELOAD += [
    "s2edit_jobs.stores.redis_store",
    "s2edit_jobs.stores.filesystem_artifacts",
    "uvicorn.lifespan.on",
    "uvicorn.protocols.http.auto",
]


@dataclass(frozen=True, slots=True)
class Scene:
    """What every process of a storm is given."""

    settings: Settings
    folder: Path
    cast: Cast
    visibility_timeout_s: float | None = None  # the service's own, if it is not given

    @property
    def armed(self) -> Path:
        return self.folder / "armed"

    @property
    def diaries(self) -> Path:
        return self.folder / "diaries"


def _quiet(scene: Scene, name: str) -> None:
    """Everything that the process says goes to one log of its kind."""
    log = os.open(scene.folder / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, sys.stdout.fileno())
    os.dup2(log, sys.stderr.fileno())


def run_worker(scene: Scene, number: int) -> None:
    """The shipped worker process, with the scene's engine and with crash points before its ports."""
    from lab.storm.points import CrashPoints, Diary, with_crash_points
    from worker.process import WorkerProcess

    _quiet(scene, "worker")
    points = CrashPoints(scene.armed, Diary(scene.diaries), "worker")

    def build(settings: Settings) -> Services:
        return with_crash_points(build_services(settings), points)

    app = WorkerProcess(scene.settings, scene.cast.load, build).app
    if scene.visibility_timeout_s is not None:
        app.conf.broker_transport_options |= {"visibility_timeout": scene.visibility_timeout_s}
    app.worker_main(["worker", "--without-mingle", "--without-gossip", "--loglevel", "WARNING", "--hostname", f"w{number}@storm"])


def run_api(scene: Scene, listener: socket.socket) -> None:
    """The shipped API on a socket that outlives it: requests wait there while it is being started again."""
    import uvicorn

    from api.app import create_app
    from lab.storm.points import CrashPoints, Diary, with_crash_points

    _quiet(scene, "api")
    points = CrashPoints(scene.armed, Diary(scene.diaries), "api")
    app = create_app(with_crash_points(build_services(scene.settings), points))
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[listener])


class Troop:
    """Processes that are to be there: whichever has died is started again."""

    def __init__(self, cast: Cast | None = None) -> None:
        self._context = multiprocessing.get_context("forkserver")
        with_torch = ["worker.engines.s2edit_engine"] if cast is not None and cast.name == "model" else []
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
        """Those that run."""
        return [name for name in self._members if name.startswith(kind) and name not in self._paused]

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int | None:
        """Its process id; None if it was dead already."""
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
        """How many were dead."""
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
