"""A service of its own for a program that needs one: the demo, and the benches of the lab."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cli.supervision.processes import Child, Command, StartFailed
from cli.supervision.service import READY_TIMEOUT_S, answers, free_port, new_probe

STOP_S = 20.0
KEPT = ("S2EDIT_MODEL", "S2EDIT_DEVICE")
"""The settings of this process that the service gets too. All others have their defaults."""


@contextmanager
def own_service(data_dir: Path, *options: str, settings: Mapping[str, str] | None = None) -> Iterator[str]:
    """Run `s2edit up` with `options` on a free port and an empty `data_dir` until the context is left. Yield its URL.

    `settings` are environment variables. Raises `StartFailed`.
    """
    shutil.rmtree(data_dir, ignore_errors=True)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    log = data_dir / "logs" / "up.txt"
    argv = [sys.executable, "-m", "cli", "up", "--port", str(port), "--data-dir", str(data_dir), *options]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("S2EDIT_") or name in KEPT}
    service = Child(Command("service", argv, kept | dict(settings or {}), log))
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
