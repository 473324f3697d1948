"""Our own service, started for a run of the bench."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from cli.supervision.own_service import own_service

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
    with tempfile.TemporaryDirectory() as folder, own_service(data := Path(folder) / "data", settings=HARNESS) as url:
        test = ["--test"] if mode == "test" else []
        key = [sys.executable, "-m", "cli", "keys", "create", "--data-dir", str(data), *test]
        yield url, subprocess.run(key, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603
