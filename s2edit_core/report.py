"""Measures of a result, so that an app can judge it without looking."""

from __future__ import annotations

import math
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from s2edit_core.canvas import INSIDE


def psnr_db(a: NDArray[np.generic], b: NDArray[np.generic]) -> float | None:
    """Peak signal-to-noise ratio of 8-bit pixels; None if they are equal or there are none."""
    if a.size == 0:
        return None
    mse = float(np.square(a.astype(np.float64) - b.astype(np.float64)).mean())
    return None if mse == 0 else round(10 * math.log10(255**2 / mse), 3)


def outside_change(photo: Image.Image, result: Image.Image, edit_mask: Image.Image) -> dict[str, Any]:
    """How much of what was not to change did: the largest difference of 8-bit levels, and PSNR (None: none at all)."""
    outside = np.asarray(edit_mask) < INSIDE
    a, b = np.asarray(photo)[outside], np.asarray(result)[outside]
    largest = int(np.abs(a.astype(np.int16) - b.astype(np.int16)).max()) if a.size else 0
    return {"max_level_difference": largest, "psnr_db": psnr_db(a, b)}


def inside_change(photo: Image.Image, result: Image.Image, edit_mask: Image.Image) -> float:
    """Mean difference of 8-bit levels inside the edit mask: near zero means that the edit did nothing."""
    inside = np.asarray(edit_mask) >= INSIDE
    a, b = np.asarray(photo)[inside], np.asarray(result)[inside]
    return round(float(np.abs(a.astype(np.int16) - b.astype(np.int16)).mean()), 3)


def versions() -> dict[str, str]:
    return {name: version(name) for name in ("s2edit", "torch", "diffusers", "transformers")}
