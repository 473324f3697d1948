"""The processes of a storm. They fork from a server that has imported everything, so that a restart takes a moment."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from lab.storm.system.engines import EngineChoice, FaultyEngine
from lab.storm.system.points import EventLog, FaultPoints, Role
from lab.storm.system.ports import with_fault_points
from s2edit_jobs.bootstrap import Services, build_services
from s2edit_jobs.settings import Settings
from worker.engines.engine import Engine

PRELOADED = [
    "lab.storm.system.processes",
    "lab.storm.system.ports",
    "lab.storm.app",  # a forked process imports the main module
    "lab.storm.checks.history",
    "lab.storm.receiver",
    "api.app",
    "celery.apps.worker",
    "celery.bin.celery",
    "celery.worker.consumer",
    "kombu.transport.redis",
    "s2edit_jobs.stores.redis_store",
    "s2edit_jobs.stores.object_store.filesystem_artifacts",
    "uvicorn",
    "uvicorn.lifespan.on",
    "uvicorn.protocols.http.auto",
    "worker.engines.modeless_engine",
    "worker.housekeeper",
    "worker.process",
]


WEBHOOK_DELAYS_S = (0.5, 1.0, 1.0, 2.0, 2.0, 4.0, 4.0, 4.0, 4.0)
WEBHOOK_TIMEOUT_S = 0.5
WEBHOOK_LEASE_S = 3.0
RECEIVER_RESTS_S = 2.0
"""The service's waits for webhooks, shortened: a storm can't wait for minutes. The lease stays longer than one try."""


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

    @property
    def paused(self) -> Path:
        """A folder with a file per process that has paused itself, named by its id."""
        return self.folder / "paused"

    def make_folders(self) -> None:
        for folder in (self.armed, self.event_logs, self.paused):
            folder.mkdir()

    def points(self, role: Role) -> FaultPoints:
        return FaultPoints(self.armed, EventLog(self.event_logs), role)

    def build(self, points: FaultPoints) -> Services:
        """Build the services with fault points around their ports."""
        return with_fault_points(build_services(self.settings), points)


def _redirect_output(setup: StormSetup, name: str) -> None:
    """Redirect the output of this process to `<name>.log`."""
    log = os.open(setup.folder / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, sys.stdout.fileno())
    os.dup2(log, sys.stderr.fileno())


def _shorten_waits() -> None:
    from s2edit_jobs.records import webhooks
    from worker.housekeeping import breaker, messenger, outgoing

    webhooks.DELAYS_S = WEBHOOK_DELAYS_S  # type: ignore[assignment]
    messenger.LEASE_S = WEBHOOK_LEASE_S
    outgoing.TIMEOUT_S = WEBHOOK_TIMEOUT_S
    breaker.REST_S = RECEIVER_RESTS_S  # the receiver leaves some messages unanswered, by chance three in a row


def run_worker(setup: StormSetup, number: int) -> None:
    """Run the shipped worker process with the setup's engine and with fault points around its ports."""
    from celery import signals

    from worker.process import WorkerProcess

    _redirect_output(setup, "worker")
    _shorten_waits()
    points = setup.points("worker")

    def load(settings: Settings) -> Engine:
        return FaultyEngine(setup.engine_choice.load(settings), points, settings.lease_s)

    def log_notification(task: Any, args: Sequence[Any], **_: Any) -> None:
        points.event_log.write("notified", job=args[0], redelivered=bool((task.request.delivery_info or {}).get("redelivered")))

    signals.task_prerun.connect(log_notification, weak=False)
    app = WorkerProcess(setup.settings, load, lambda _: setup.build(points)).app
    if setup.visibility_timeout_s is not None:
        app.conf.broker_transport_options |= {"visibility_timeout": setup.visibility_timeout_s}
    app.worker_main(["worker", "--without-mingle", "--without-gossip", "--loglevel", "WARNING", "--hostname", f"w{number}@storm"])


def run_housekeeper(setup: StormSetup) -> None:
    """Run the shipped housekeeper with fault points around its ports."""
    from worker.housekeeper import HousekeeperProcess

    _redirect_output(setup, "housekeeper")
    _shorten_waits()
    points = setup.points("housekeeper")
    HousekeeperProcess(setup.settings, lambda _: setup.build(points)).run()


def run_api(setup: StormSetup, listener: socket.socket) -> None:
    """Run the shipped API on a socket that outlives it: requests wait in its backlog during a restart."""
    import uvicorn

    from api.app import create_app

    _redirect_output(setup, "api")
    app = create_app(setup.build(setup.points("api")))
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[listener])


class ProcessGroup:
    """A group of named processes. `restart_dead` starts those again that have died."""

    def __init__(self, engine_choice: EngineChoice | None = None) -> None:
        self._context = multiprocessing.get_context("forkserver")
        with_torch = ["worker.engines.s2edit_engine"] if engine_choice is not None and engine_choice.name == "model" else []
        self._context.set_forkserver_preload(PRELOADED + with_torch)
        self._members: dict[str, tuple[Callable[[], ForkServerProcess], ForkServerProcess]] = {}
        self._paused: set[int] = set()

    def add(self, name: str, target: Callable[..., None], *values: object) -> None:
        def start() -> ForkServerProcess:
            process = self._context.Process(target=target, args=values, name=name, daemon=True)
            process.start()
            return process

        self._members[name] = (start, start())

    def living(self, kind: str = "") -> list[int]:
        """Return the ids of the living processes whose names start with `kind`, without paused ones."""
        members = [process for name, (_, process) in self._members.items() if name.startswith(kind) and process.is_alive()]
        return [process.pid for process in members if process.pid is not None and process.pid not in self._paused]

    def signal(self, pid: int, number: signal.Signals) -> bool:
        """Send a signal to a member. Return False if it is no longer alive."""
        if not any(process.pid == pid and process.is_alive() for _, process in self._members.values()):
            self._paused.discard(pid)
            return False
        os.kill(pid, number)
        if number == signal.SIGCONT:
            self._paused.discard(pid)
        return True

    def note_pause(self, pid: int) -> None:
        """Note that a member has paused itself, until it is sent SIGCONT."""
        self._paused.add(pid)

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
