"""The whole service on one machine, as `s2edit up` runs it: an embedded Redis, the API, one Celery worker and one housekeeper.

`S2EDIT_REDIS_URL` replaces the embedded Redis. Objects are files in the data folder, unless a bucket is set.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from cli.supervision import log_files
from cli.supervision.folder_lock import locked
from cli.supervision.processes import STEADY_S, Child, Command, StartFailed, Supervisor
from s2edit_jobs.bootstrap import NotConfigured, build_artifacts, check_data_folder
from s2edit_jobs.data_folder import disk_problem
from s2edit_jobs.records.errors import ServiceUnavailable, StoreUnavailable
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.embedded_redis import EmbeddedRedis
from s2edit_jobs.stores.model_facts import clear_failure, load_failure, report_stopped, reported_since
from s2edit_jobs.stores.redis_store import ServerUnsupported, server_problems

READY_TIMEOUT_S = 120.0  # on a busy machine torch and the model may take most of a minute
TICK_S = 0.2
WORKER_APP = "worker.app"


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int

    @property
    def url(self) -> str:
        """The URL for programs on this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104  compared, not bound
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the address."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def check_free(self) -> None:
        """Raise `StartFailed` if the address is taken or does not belong to this machine."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.host, self.port))
            except OSError as error:
                reason = error.strerror or str(error)
                raise StartFailed(f"can't listen on {self.host}:{self.port} ({reason}): choose another --port or --host") from error


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True, slots=True)
class Service:
    """The processes to run. With `logs`, each child logs to a file in that folder; otherwise it inherits this process's output."""

    settings: Settings
    address: Address
    logs: Path | None = None
    worker_app: str = WORKER_APP

    def environment(self, redis_url: str) -> dict[str, str]:
        """Return the children's environment: this process's own, with the resolved settings on top."""
        resolved = {
            "S2EDIT_REDIS_URL": redis_url,
            "S2EDIT_DATA_DIR": str(self.settings.data_dir),
            "S2EDIT_PUBLIC_URL": self.settings.public_url,
            "S2EDIT_AUTH": self.settings.auth,
            "PYTHONUNBUFFERED": "1",
        }
        return {**os.environ, **resolved}

    def commands(self, redis_url: str) -> list[Command]:
        env = self.environment(redis_url)
        listen = ["--host", self.address.host, "--port", str(self.address.port)]
        api = [sys.executable, "-m", "uvicorn", "--factory", "api.serve:create_app", *listen]
        api += ["--no-server-header", "--no-access-log", "--http", "api.connection:Connection"]  # with a deadline for heads
        api += ["--timeout-graceful-shutdown", "3"]  # open event streams would delay the shutdown
        worker = [sys.executable, "-m", "celery", "-A", self.worker_app, "worker", "--pool", "solo", "--concurrency", "1"]
        worker += ["--hostname", f"s2edit-{self.address.port}@%h", "--without-mingle", "--without-gossip", "--loglevel", "INFO"]
        housekeeper = [sys.executable, "-m", "worker.housekeeper"]
        named = (("API", api), ("worker", worker), ("housekeeper", housekeeper))
        return [Command(name, argv, env, self._log(name.lower())) for name, argv in named]

    def _log(self, name: str) -> Path | None:
        return self.logs / f"{name}.log" if self.logs else None

    def run(self, *, stop: threading.Event, report: Callable[[str], None], ready: Callable[[], None]) -> None:
        """Run the service until `stop` is set, then stop every process. Call it from the main thread.

        Calls `ready` once the API accepts edits. The worker may still be loading the model; edits wait in the queue meanwhile.
        `report` gets a sentence about every later restart or failure. Raises `StartFailed` or `EmbeddedRedisError`.
        """
        with ExitStack() as stack:
            stack.enter_context(locked(self.settings.data_dir, self.address.url))  # before anything of another service is touched
            try:
                check_data_folder(self.settings)
            except NotConfigured as error:
                raise StartFailed(str(error)) from error
            self.address.check_free()
            self._each_log(log_files.begin_run)
            self._forget_failure()
            redis = None if self.settings.redis_url else stack.enter_context(EmbeddedRedis(self.settings.redis_dir))
            if problem := self._redis_problem():
                report(f"{problem}; waiting for it")
            began_at = time.time()
            supervisor = Supervisor(
                self.commands(redis.url if redis else str(self.settings.redis_url)),
                report=report,
                has_worked=lambda name, uptime_s: self._has_worked(name, uptime_s, began_at),
                reason=self._reason,
            )
            stack.callback(supervisor.stop)
            supervisor.start()
            if self._wait_until_ready(supervisor, stop):
                ready()
            while not stop.wait(TICK_S):
                if redis and redis.restart_if_dead():
                    report("the embedded Redis ended and was restarted")
                supervisor.restart_dead()
                self._each_log(log_files.limit)

    def _forget_failure(self) -> None:
        """Forget the last load failure: the model may have been repaired since."""
        with suppress(ServiceUnavailable, NotConfigured):
            clear_failure(build_artifacts(self.settings), self.settings.model)

    def _has_worked(self, name: str, uptime_s: float, began_at: float) -> bool:
        """Whether a part that has just ended has done its work since the service began, so that it may do so again.

        The API has, since this is asked after the start only. A worker has, once it has loaded the model, however long that takes;
        report that it no longer runs.
        """
        if name != "worker":
            return name == "API" or uptime_s >= STEADY_S
        try:
            artifacts = build_artifacts(self.settings)
            has_loaded = reported_since(artifacts, self.settings.model, began_at)
            report_stopped(artifacts, self.settings.model)
        except (ServiceUnavailable, NotConfigured):
            return True  # nobody knows
        return has_loaded

    def _reason(self, child: Child) -> str | None:
        """Return why the child has ended: what a worker has reported of loading the model, or the last error in the child's log."""
        if child.command.name == "worker":
            with suppress(ServiceUnavailable, NotConfigured):
                failure = load_failure(build_artifacts(self.settings), self.settings.model)
                if failure is not None and failure.at >= child.started_at:
                    return failure.message
        return child.last_error()

    def _wait_until_ready(self, supervisor: Supervisor, stop: threading.Event) -> bool:
        """Return True once the API is ready, False if `stop` is set first. Raises `StartFailed` if a child ends or time is up."""
        deadline = time.monotonic() + READY_TIMEOUT_S
        with new_probe() as http:
            while not stop.is_set():
                if command := supervisor.dead():
                    raise StartFailed(f"the {command.name} ended while starting{_log_tail(command)}")
                if answers(http, f"{self.address.url}/readyz"):
                    return True
                if time.monotonic() > deadline:
                    reason = self._redis_problem() or _problem(http, f"{self.address.url}/readyz")
                    raise StartFailed(f"the API was not ready within {READY_TIMEOUT_S:.0f} s: {reason}; see `s2edit doctor`")
                stop.wait(TICK_S)
        return False

    def _redis_problem(self) -> str | None:
        """Return that the Redis of the settings does not answer, in words, or None."""
        if self.settings.redis_url:
            try:
                server_problems(self.settings.redis_url)
            except StoreUnavailable as error:
                return f"Redis at {self.settings.masked()['redis_url']} (S2EDIT_REDIS_URL) does not answer ({error})"
            except ServerUnsupported as error:
                return str(error)
        return None

    def _each_log(self, action: Callable[[Path], None]) -> None:
        for path in self.logs.glob("*.log") if self.logs else ():
            action(path)


def new_probe() -> httpx.Client:
    """Return a client for the service's own address. It ignores the environment, because no proxy reaches this machine."""
    return httpx.Client(timeout=2.0, trust_env=False)


def answers(http: httpx.Client, url: str) -> bool:
    """Return whether `url` answers 200."""
    try:
        return http.get(url).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def _problem(http: httpx.Client, url: str) -> str:
    """Return the detail of the problem that `url` answers, or why it answers none."""
    try:
        answer = http.get(url)
        return str(answer.json()["detail"])
    except httpx.TransportError:
        return f"{url} does not answer"
    except (ValueError, KeyError, TypeError):
        return f"{url} answers {answer.status_code}"


def parts(settings: Settings, environ: Mapping[str, str] = os.environ) -> list[tuple[str, str, str]]:
    """Return per part its name, `embedded` or `external`, and its location without secrets."""
    shown = settings.masked()
    return [
        ("redis", *(("external", str(shown["redis_url"])) if settings.redis_url else ("embedded", str(settings.redis_dir)))),
        (
            "store",
            *(
                ("external", f"{settings.s3_endpoint_url or 'Amazon S3'}, bucket {settings.s3_bucket}")
                if settings.s3_bucket
                else ("embedded", str(settings.artifacts_dir))
            ),
        ),
        ("model", "external" if environ.get("S2EDIT_MODEL") else "embedded", settings.model),
    ]


def _log_tail(command: Command, lines: int = 15) -> str:
    if command.log is None or not command.log.exists():
        return ""
    full = f"; {problem}" if (problem := disk_problem(command.log.parent)) else ""
    end = command.log.read_text(errors="replace").splitlines()[-lines:]
    if not end:
        return f"{full}; its log {command.log} is empty"
    return f"{full}; the end of {command.log}:\n" + "\n".join(f"  {line}" for line in end)
