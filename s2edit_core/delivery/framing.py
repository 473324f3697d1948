"""Framing: the part of the photo that becomes the model's frame, with the frame's exact aspect ratio where the photo has room."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Box = tuple[int, int, int, int]
"""(left, top, right, bottom) in pixels of the photo."""
CONTEXT = 1.6
"""Side of the crop relative to the box around the masks: the model needs a face's surroundings."""


@dataclass(frozen=True, slots=True)
class Framing:
    """The `box` of the photo that is scaled to `frame` (width, height)."""

    box: Box
    frame: tuple[int, int]

    @property
    def stretch(self) -> float:
        """How much wider objects appear in the frame than they are: 1 is no distortion, 0.9 is a tenth narrower."""
        left, top, right, bottom = self.box
        return self.frame[0] / self.frame[1] * (bottom - top) / (right - left)


def framed(required: Box, size: tuple[int, int], *, frame_size: int, multiple: int) -> Framing:
    """Choose box and frame so that the box `required` of a photo of `size` (width, height) is visible.

    The frame's longer side is `frame_size`, and both sides are divisible by `multiple`. Among the frames for which a box of exactly
    that aspect ratio holds `required` and fits into the photo, the choice is the one closest to a square with context. If there is
    none, the frame with the least stretch is chosen.
    """
    preferred = _around(required, size)
    width, height = preferred[2] - preferred[0], preferred[3] - preferred[1]
    frames = _frames(frame_size, multiple)
    frames.sort(key=lambda frame: abs(math.log(frame[0] / frame[1] * height / width)))
    for frame in frames:
        box = _exact(required, size, frame)
        if box is not None:
            return Framing(box, frame)
    return Framing(preferred, frames[0])


def _frames(frame_size: int, multiple: int) -> list[tuple[int, int]]:
    """Return all frames whose longer side is `frame_size`, rounded to `multiple`."""
    long = max(multiple, round(frame_size / multiple) * multiple)
    sides = range(multiple, long + 1, multiple)
    return [(long, side) for side in sides] + [(side, long) for side in sides if side != long]


def _exact(required: Box, size: tuple[int, int], frame: tuple[int, int]) -> Box | None:
    """Return a box of the frame's exact aspect ratio around `required`; None if none fits.

    The box is `CONTEXT` times as long as `required` if the photo has room.
    """
    ratio = Fraction(*frame)
    across, down = ratio.numerator, ratio.denominator
    width, height = required[2] - required[0], required[3] - required[1]
    least = max(-(-width // across), -(-height // down))
    most = min(size[0] // across, size[1] // down)
    if least > most:
        return None
    units = min(max(least, round(CONTEXT * max(width, height) / max(across, down))), most)
    x0, x1 = _span(required[0], required[2], units * across, size[0])
    y0, y1 = _span(required[1], required[3], units * down, size[1])
    return x0, y0, x1, y1


def _around(required: Box, size: tuple[int, int]) -> Box:
    """Return a box around `required`, `CONTEXT` times as large, square if the photo has room."""
    side = round(CONTEXT * max(required[2] - required[0], required[3] - required[1]))
    x0, x1 = _span(required[0], required[2], side, size[0])
    y0, y1 = _span(required[1], required[3], side, size[1])
    return x0, y0, x1, y1


def _span(low: int, high: int, length: int, limit: int) -> tuple[int, int]:
    """Return an interval of `length` around the middle of low..high, moved and if needed cut to lie in 0..limit."""
    if length >= limit:
        return 0, limit
    start = min(max(0, round((low + high) / 2 - length / 2)), limit - length)
    return start, start + length


def extent(inside: NDArray[np.bool_]) -> Box:
    """Return the bounding box of the true pixels in `(H, W)`. Raises `ValueError` if there are none."""
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if not len(rows):
        raise ValueError("the mask is empty: pixels of the region need values of 128 or more")
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def holds(box: Box, other: Box) -> bool:
    """Return whether `other` lies within `box`."""
    return box[0] <= other[0] and box[1] <= other[1] and other[2] <= box[2] and other[3] <= box[3]


def union(a: Box, b: Box) -> Box:
    """Return the bounding box of `a` and `b`."""
    return min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])
