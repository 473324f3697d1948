"""Walls and roofs: what they are made of."""

from __future__ import annotations

import numpy as np

from lab.world.church.subject import Material
from lab.world.painting.fields import Field, coverage
from lab.world.painting.texture import fractal, noise


def wall_tone(material: Material, u: Field, v: Field, pixel: float, seed: int) -> Field:
    """Return the brightness of a wall, about 1, with its stones, bricks, boards or stains."""
    stains: Field = 1 + np.float32(0.07) * fractal(u * 2.3, v * 1.6, seed, 2)
    if material == "plaster":
        return stains + np.float32(0.03) * noise(u * 17, v * 17, seed + 7)
    if material == "wood":
        along = v / np.float32(0.085)
        board = along - np.floor(along)
        lap = np.float32(_faded(0.26, pixel, 0.085)) * (board - np.float32(0.5))
        boards: Field = stains + lap + np.float32(0.04) * noise(u * 1.5, np.floor(along) * 3.1, seed + 9)
        return boards
    size, strength = ((0.2, 0.115), 0.16) if material == "stone" else ((0.15, 0.07), 0.14)
    tone: Field = stains * blocks(u, v, size, pixel, strength, seed)
    return tone


def blocks(u: Field, v: Field, size: tuple[float, float], pixel: float, strength: float, seed: int) -> Field:
    """Return courses of blocks of `size`: a brightness for each, and darker joints between them."""
    course = v / np.float32(size[1])
    row = np.floor(course)
    across = u / np.float32(size[0]) + np.float32(0.5) * (row % 2)
    column = np.floor(across)
    tone = 1 + np.float32(_faded(strength, pixel, size[1])) * noise(column, row, seed + 3)
    in_row, in_column = course - row, across - column
    joint = np.minimum(
        np.minimum(in_row, 1 - in_row) * np.float32(size[1]), np.minimum(in_column, 1 - in_column) * np.float32(size[0])
    )
    lines = coverage(joint - np.float32(0.007), pixel)
    field: Field = tone * (1 - np.float32(0.22) * lines)
    return field


def roof_tone(u: Field, v: Field, pixel: float, seed: int) -> Field:
    """Return the brightness of a roof, about 1, with rows of tiles."""
    row = np.floor(v / np.float32(0.1))
    within = v / np.float32(0.1) - row
    lap = np.float32(_faded(0.3, pixel, 0.1)) * (within - np.float32(0.5))
    across = u / np.float32(0.09) + np.float32(0.5) * (row % 2)
    tiles = np.float32(_faded(0.13, pixel, 0.09)) * noise(np.floor(across), row, seed)
    tone: Field = 1 + lap + tiles + np.float32(0.06) * fractal(u * 1.8, v * 1.8, seed + 5, 2)
    return tone


def _faded(strength: float, pixel: float, period: float) -> float:
    """Return `strength`, less where a period is hardly wider than a pixel, as it would turn into moiré."""
    return strength * min(1.0, max(0.0, (period / pixel - 0.8) / 1.6))
