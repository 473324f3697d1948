"""Rendered portraits on disk, as a memory-mapped array that never has to fit into memory."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lab.world.drawing import SIZE
from lab.world.people import sample_person
from lab.world.portraits import render

WORK = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "s2edit" / "train"
"""Default folder of renders and checkpoints; `--work` overrides it."""
PORTRAITS = 24_000
"""Number of people in the training set: seeds 0 to `PORTRAITS` − 1."""
HELD_OUT = 10_000_000
"""First seed that is never trained on. Evaluation takes its people from here on."""


@cache
def world_digest() -> str:
    """Return eight hex digits that identify what the world draws. A changed drawing invalidates cached renders and checkpoints."""
    return hashlib.sha256(_render_range((0, 16)).tobytes()).hexdigest()[:8]


def _render_range(bounds: tuple[int, int]) -> NDArray[np.uint8]:
    return np.stack([np.asarray(render(sample_person(seed))) for seed in range(*bounds)])


def portraits(folder: Path, count: int, *, workers: int | None = None) -> NDArray[np.uint8]:
    """Return the portraits of people 0 to count − 1, `(count, 128, 128, 3)` uint8.

    Renders them unless `folder` has them already.
    """
    path = folder / f"portraits-{count}-{world_digest()}.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        array = np.lib.format.open_memmap(unfinished, mode="w+", dtype=np.uint8, shape=(count, SIZE, SIZE, 3))
        step = 500
        ranges = [(start, min(start + step, count)) for start in range(0, count, step)]
        with ProcessPoolExecutor(workers or os.cpu_count()) as pool:
            for (start, end), block in zip(ranges, pool.map(_render_range, ranges), strict=True):
                array[start:end] = block
        array.flush()
        unfinished.rename(path)
    loaded: NDArray[np.uint8] = np.load(path, mmap_mode="r")
    return loaded


def held_out(count: int) -> NDArray[np.uint8]:
    """Return portraits of people outside the training set, `(count, 128, 128, 3)` uint8."""
    return _render_range((HELD_OUT, HELD_OUT + count))
