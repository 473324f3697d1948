"""The log files of `s2edit up`. Each run begins new ones. The last `KEPT` full or earlier ones stay beside, from `*.log.1` on."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

KEPT = 5
MAX_BYTES = 20_000_000
"""Size from which a log counts as full. So the logs of a part take at most `KEPT` + 1 times as much."""


def begin_run(log: Path) -> None:
    """Set the log of the previous run aside, unless it is empty, and delete the oldest one if there are too many."""
    if log.exists() and log.stat().st_size:
        _make_room(log)
        log.replace(_aside(log, 1))


def limit(log: Path) -> None:
    """Set the content of a full log aside while its process goes on appending to it.

    The log is copied and then emptied, because the process holds the file open; lines that come in between are lost. On a full
    disk the log is emptied all the same.
    """
    with suppress(OSError):  # no fault of a log stops the service
        if log.stat().st_size <= MAX_BYTES:
            return
        _make_room(log)
        try:
            shutil.copyfile(log, _aside(log, 1))
        except OSError:
            _aside(log, 1).unlink(missing_ok=True)
        os.truncate(log, 0)


def _make_room(log: Path) -> None:
    for number in range(KEPT - 1, 0, -1):
        with suppress(FileNotFoundError):
            _aside(log, number).replace(_aside(log, number + 1))


def _aside(log: Path, number: int) -> Path:
    return log.with_name(f"{log.name}.{number}")
