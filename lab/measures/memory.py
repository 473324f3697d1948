"""Peak memory of a process. This module does not import torch, which would add to the peak."""

from __future__ import annotations

from pathlib import Path


def peak_bytes() -> int:
    """Return the peak resident memory of this process (`VmHWM`, Linux only) since its start or the last reset.

    `getrusage` would include the peak of the parent that the process was forked from.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
