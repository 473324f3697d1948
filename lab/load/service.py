"""The service under test: `s2edit up` in a process of its own, on loopback, with an empty data folder."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cli.supervision.processes import Child, Command, StartFailed
from cli.supervision.service import READY_TIMEOUT_S, WORKER_APP, answers, free_port, new_probe

STOP_S = 20.0
KEPT = ("S2EDIT_MODEL", "S2EDIT_DEVICE")
"""The settings that a run leaves as they are; all others have their defaults."""
FAKE_WORKER = "lab.load.fake_worker"


@contextmanager
def running(folder: Path, *, jobs: int, fake: bool) -> Iterator[str]:
    """Run the service with `jobs` edits at a time in its worker, and yield its URL. Raises `StartFailed`."""
    port = free_port()
    url, log = f"http://127.0.0.1:{port}", folder / "up.txt"
    worker = FAKE_WORKER if fake else WORKER_APP
    argv = [sys.executable, "-m", "cli", "up", "--port", str(port), "--data-dir", str(folder / "data"), "--worker-app", worker]
    env = {name: value for name, value in os.environ.items() if not name.startswith("S2EDIT_") or name in KEPT}
    service = Child(Command("service", argv, {**env, "S2EDIT_WORKER_JOBS": str(jobs)}, log))
    service.start()
    try:
        _wait(service, url, log)
        yield url
    finally:
        service.terminate()
        service.finish(time.monotonic() + STOP_S)


def _wait(service: Child, url: str, log: Path) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    with new_probe() as http:
        while not answers(http, f"{url}/readyz"):
            if service.returncode is not None or time.monotonic() > deadline:
                raise StartFailed(f"the service did not start:\n{log.read_text(errors='replace')}")
            time.sleep(0.1)
