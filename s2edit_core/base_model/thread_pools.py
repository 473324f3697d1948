"""The threads that OpenMP keeps for each thread that has computed with torch on the CPU.

A pass of the UNet is thousands of short parallel regions. Between them, libgomp's threads wait actively, but only as long as this
process has no more of them than the machine has cores; otherwise they sleep, and must be woken for each region. Every thread that
computes has threads of its own, so the idle ones of a thread that only waits slow down the thread that runs the passes. Measured
on two cores with the shipped model: an `instant` edit of a new person takes 9.6 s beside the idle threads of the thread that has
loaded the model, and 6.3 s once they have ended.
"""

from __future__ import annotations

import ctypes
from functools import cache

_SOFT = 1  # omp_pause_soft, from omp.h


def end_idle_threads() -> bool:
    """End the OpenMP threads that compute for the calling thread. Its next parallel region starts new ones.

    Return False if the runtime can't (OpenMP before 5.0, or none); nothing changes then.
    """
    pause = _pause_resources()
    return pause is not None and pause(_SOFT) == 0


@cache
def _pause_resources() -> ctypes._FuncPointer | None:
    try:
        return ctypes.CDLL(None).omp_pause_resource_all
    except (AttributeError, OSError):
        return None
