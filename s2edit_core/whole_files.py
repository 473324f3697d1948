"""Write the files that a user names: whole, or not at all. Loads no torch."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from pathlib import Path

FIXED_NAME = (errno.EBUSY, errno.EPERM, errno.EACCES)
"""Why a file may not be replaced although it can be written: it is a mount of its own, or somebody else's in a shared folder."""


def write_whole(path: str | Path, data: bytes) -> None:
    """Write a file. If that fails, such as on a full disk, a file that was there stays as it was, and none is begun.

    Links are followed, and an existing file keeps its owner and permissions. What can't be replaced, such as a device or a file in
    a folder that takes no new one, is written in place. Raises `OSError` that names `path`.
    """
    target = Path(os.path.realpath(path))
    try:
        if target.exists() and not (target.is_file() and os.access(target.parent, os.W_OK)):
            target.write_bytes(data)
        else:
            _replace(target, data)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def _replace(target: Path, data: bytes) -> None:
    """Write a file beside `target`, and give it that name once it is complete."""
    unfinished = target.with_name(f".s2edit-{secrets.token_hex(8)}")
    try:
        with unfinished.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # a network file system may report a full disk only now
        if target.exists():
            earlier = target.stat()
            with contextlib.suppress(PermissionError):
                os.chown(unfinished, earlier.st_uid, earlier.st_gid)
            unfinished.chmod(earlier.st_mode & 0o7777)
        try:
            unfinished.replace(target)
        except OSError as error:
            if error.errno not in FIXED_NAME or not target.exists():
                raise
            target.write_bytes(data)
    finally:
        unfinished.unlink(missing_ok=True)
