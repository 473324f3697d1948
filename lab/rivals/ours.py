"""Our own service, started for a run of the bench."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import httpx

from cli.supervision.service import answers, free_port

START_S = 120.0
STOP_S = 20.0
HARNESS = {
    "S2EDIT_USER_WRITES_PER_MINUTE": "100000",
    "S2EDIT_USER_READS_PER_MINUTE": "100000",
    "S2EDIT_TENANT_WRITES_PER_MINUTE": "100000",
    "S2EDIT_TENANT_READS_PER_MINUTE": "100000",
    "S2EDIT_MAX_UNFINISHED_EDITS_PER_USER": "1000",
}
"""Limits that would refuse the load of the bench, as they should. All other settings are the defaults."""


@contextmanager
def service(mode: Literal["test", "model"]) -> Iterator[tuple[str, str]]:
    """Run `s2edit up` in a folder of its own. Yield its address and a key: a test key, or one of the shipped model."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        url = f"http://127.0.0.1:{(port := free_port())}"
        command = [sys.executable, "-m", "cli", "up", "--port", str(port), "--data-dir", str(data)]
        with (Path(folder) / "up.txt").open("wb") as log:
            process = subprocess.Popen(command, env={**os.environ, **HARNESS}, stdout=log, stderr=log)  # noqa: S603
        try:
            _wait_until_ready(url, process, Path(folder) / "up.txt")
            test = ["--test"] if mode == "test" else []
            key = [sys.executable, "-m", "cli", "keys", "create", "--data-dir", str(data), *test]
            yield url, subprocess.run(key, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603
        finally:
            process.terminate()
            process.wait(STOP_S)


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    with httpx.Client(timeout=2.0) as http:
        while not answers(http, f"{url}/readyz"):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the service did not start:\n{log.read_text(encoding='utf-8')}")
            time.sleep(0.2)
