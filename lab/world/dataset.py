"""Rendered portraits on disk: a memory-mapped array that training reads and never holds whole."""

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
"""Where renders and checkpoints are kept, unless `--work` says otherwise."""
PORTRAITS = 24_000
"""How many people there are to train on."""
HELD_OUT = 10_000_000
"""Seeds from here on are never trained on: evaluation draws its people there."""


@cache
def world_digest() -> str:
    """Return eight hex digits that name the world by what it draws. Renders and checkpoints of another world are not reused."""
    return hashlib.sha256(_render_range((0, 16)).tobytes()).hexdigest()[:8]


def _render_range(bounds: tuple[int, int]) -> NDArray[np.uint8]:
    return np.stack([np.asarray(render(sample_person(seed))) for seed in range(*bounds)])


def portraits(folder: Path, count: int, *, workers: int | None = None) -> NDArray[np.uint8]:
    """Portraits of the people 0..count-1 as `(count, 128, 128, 3)` uint8, rendered once per world and memory-mapped."""
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
    """Portraits of people that no training has seen, `(count, 128, 128, 3)` uint8."""
    return _render_range((HELD_OUT, HELD_OUT + count))
