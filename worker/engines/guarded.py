"""Convert failures of the device to one exception type, in all parts of the engine: model, segmenter, captioner, safety model."""

from __future__ import annotations

from contextlib import AbstractContextManager

from s2edit_core.device_faults import raising_device_faults
from worker.engines.engine import EngineWrapper


class GuardedEngine(EngineWrapper):
    """A wrapper of an engine that raises `DeviceFault` in place of what torch raises. It wraps all others.

    CUDA reports errors late, at the next synchronisation with the device. So this guards whole calls, not single computations.
    """

    def _around(self) -> AbstractContextManager[None]:
        return raising_device_faults()
