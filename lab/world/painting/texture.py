"""Noise that looks the same at every resolution: it is a function of the place in the frame and a seed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.world.painting.fields import Field


def _hash(ix: NDArray[np.int32], iy: NDArray[np.int32], seed: int) -> Field:
    """Return a reproducible random number in 0..1 for each point of the integer lattice."""
    h = ix.astype(np.uint32) * np.uint32(374761393) + iy.astype(np.uint32) * np.uint32(668265263)
    h = h + np.uint32((seed * 2246822519) & 0xFFFFFFFF)
    h = (h ^ (h >> np.uint32(13))) * np.uint32(1274126177)
    h = (h ^ (h >> np.uint32(16))) * np.uint32(2654435761)
    found: Field = ((h ^ (h >> np.uint32(15))) >> np.uint32(8)).astype(np.float32) * np.float32(1 / (1 << 24))
    return found


def noise(u: Field, v: Field, seed: int) -> Field:
    """Return smooth value noise in -1..1, with one lattice point per unit of `u` and `v`."""
    fu, fv = np.floor(u), np.floor(v)
    iu, iv = fu.astype(np.int32), fv.astype(np.int32)
    tu: Field = u - fu
    tv: Field = v - fv
    tu, tv = _eased(tu), _eased(tv)
    top = _hash(iu, iv, seed) * (1 - tu) + _hash(iu + 1, iv, seed) * tu
    bottom = _hash(iu, iv + 1, seed) * (1 - tu) + _hash(iu + 1, iv + 1, seed) * tu
    between: Any = top * (1 - tv) + bottom * tv
    field: Field = between * 2 - 1
    return field


def fractal(u: Field, v: Field, seed: int, octaves: int = 3) -> Field:
    """Return noise in about -1..1 with finer and weaker detail per octave."""
    total: Field = np.zeros_like(u)
    weight, span = 1.0, 0.0
    for octave in range(octaves):
        total += np.float32(weight) * noise(u * 2**octave, v * 2**octave, seed + 101 * octave)
        span, weight = span + weight, weight / 2
    total /= np.float32(span)
    return total


def _eased(t: Field) -> Field:
    """Return the smooth step of `t` in 0..1."""
    eased: Field = t * t * (3 - 2 * t)
    return eased
