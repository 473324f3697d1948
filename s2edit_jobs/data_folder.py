"""The data folder: nobody but its owner may enter it, and it must tell capitals from small letters."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

NAMES = frozenset({"artifacts", "redis", "logs", "up.lock", "s2edit-store.json"})
SUFFIXES = frozenset({".key", ".pem", ".jsonl"})
"""What the service itself puts into the folder. A folder with anything else may be one that others must enter, such as /tmp."""
FULL_DISK = 1_000_000
"""Free bytes below which the disk counts as full: a process can't start if it can't write its log and its keys."""
OTHERS = stat.S_IRWXG | stat.S_IRWXO


def make_private(folder: Path) -> None:
    """Take the rights of group and others from an existing data folder. Log a warning if that is not the service's to do."""
    try:
        found = folder.stat()
        if not found.st_mode & stat.S_IRWXO:
            return  # an operator may share it with a group
        if found.st_uid == os.geteuid() and all(_is_ours(name) for name in os.listdir(folder)):
            folder.chmod(stat.S_IMODE(found.st_mode) & ~OTHERS)
            return
    except FileNotFoundError:  # whoever makes it gives it the mode 0700
        return
    except OSError as error:
        log.warning("the mode of the data folder can't be read or changed", action="folder_mode", error=str(error))
        return
    log.warning(
        "other users of this machine can enter the data folder: take their rights", action="folder_open", folder=str(folder)
    )


def disk_problem(folder: Path) -> str | None:
    """Return that the disk of `folder` is full, in words, or None if it has space."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return None
    return f"the disk of {folder} is full ({free:,} bytes are free): free space on it" if free < FULL_DISK else None


def _is_ours(name: str) -> bool:
    return name in NAMES or Path(name).suffix in SUFFIXES or name.startswith(".signing-")


def ignores_case(folder: Path) -> bool:
    """Return whether names that differ in case are one name there. An identity of `Ann` would then belong to `ann` too."""
    for known in (folder / "artifacts", folder, *folder.parents):
        other = known.with_name(known.name.swapcase()) if known.name else known
        if known.exists() and other != known:
            return is_same(known, other) and other.name not in os.listdir(known.parent)
    return False


def is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False
