"""How the C library treats memory that torch frees on the CPU.

By default, glibc returns large blocks to the system at once. Each pass then gets its feature maps as new pages, which the system
clears one by one. Measured on one core with the shipped model, passes of 16 rows: 133 ms and 12 900 page faults each without
gradients, and 236 ms and 9 600 with them; with the settings below, 103 and 217 ms and at most 150 faults. A pass of one row, whose
blocks are small, gains nothing.

Each further thread would have heaps of its own, which return every 64 MB as soon as they are free. So all threads share the heap of
the main one: the passes of a worker run in a thread.
"""

from __future__ import annotations

import ctypes
import platform

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # from malloc.h
LARGEST_KEPT_BLOCK = 2**25
"""Bytes of a block above which it is returned at once: the most that glibc allows."""
MOST_KEPT = 2**29
"""Freed bytes at the end of the heap above which they are returned."""


def keep_freed_memory() -> bool:
    """Let all threads reuse freed blocks of up to `LARGEST_KEPT_BLOCK` bytes. Return False without glibc; nothing changes then.

    A thread that has allocated memory before keeps the heaps that it has.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = ((M_MMAP_THRESHOLD, LARGEST_KEPT_BLOCK), (M_TRIM_THRESHOLD, MOST_KEPT), (M_ARENA_MAX, 1))
    return all(mallopt(setting, value) for setting, value in settings)
