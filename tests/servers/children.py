"""The processes that a running service has started."""

from __future__ import annotations

import psutil

from tests.waiting import until


def child_of(process: psutil.Process, word: str) -> psutil.Process:
    """Return the descendant whose command line contains `word`. Wait for it: it may be starting again."""
    found: list[psutil.Process] = []

    def is_there() -> bool:
        found.extend(child for child in process.children(recursive=True) if word in command_line(child))
        return bool(found)

    until(is_there)
    return found[0]


def command_line(process: psutil.Process) -> str:
    """Return the command line, or an empty text if the process has ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""
