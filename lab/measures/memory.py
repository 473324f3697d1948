"""How much memory a process has needed. No torch: what is measured must not grow by it."""

from __future__ import annotations

from pathlib import Path


def peak_bytes() -> int:
    """The most memory this process has held since it was started, or was last made to forget that. On Linux.

    `getrusage` would count what the process was forked from.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
