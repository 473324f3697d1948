"""The lock of a data folder, so that one `s2edit up` uses it at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cli.supervision.processes import StartFailed

NAME = "up.lock"
"""The locked file. It names its holder and is never removed: a second file of that name could be locked too."""


@contextmanager
def locked(folder: Path, url: str) -> Iterator[None]:
    """Hold the lock of `folder`, which is made if missing. `url` tells others where the holder answers.

    The system releases the lock when the process ends, however it ends. Raise `StartFailed` if another process holds it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = (folder / NAME).open("a+")  # not "w": until the lock is taken, the content is the holder's
    except OSError as error:
        raise StartFailed(f"can't write into the data folder {folder} ({error.strerror}): choose another --data-dir") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise StartFailed(
                f"the data folder {folder} is in use by another `s2edit up` ({holder}): stop it, or choose another --data-dir"
            ) from None
        file.truncate(0)
        file.write(f"process {os.getpid()}, {url}\n")
        file.flush()
        yield
