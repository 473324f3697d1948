"""Which part of the photo becomes the model's frame: the box has the frame's aspect exactly, wherever the photo has room for it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Box = tuple[int, int, int, int]
"""(left, top, right, bottom) in pixels of the photo."""
CONTEXT = 1.6
"""Side of the crop, relative to the box around the masks: a face needs its surroundings to be understood."""


@dataclass(frozen=True, slots=True)
class Framing:
    """`box` of the photo becomes a `frame` (width, height)."""

    box: Box
    frame: tuple[int, int]

    @property
    def stretch(self) -> float:
        """How much wider the frame shows things than they are: 1 is not at all, 0.9 a tenth narrower."""
        left, top, right, bottom = self.box
        return self.frame[0] / self.frame[1] * (bottom - top) / (right - left)


def framed(held: Box, size: tuple[int, int], *, frame_size: int, multiple: int) -> Framing:
    """Choose box and frame for what must be seen, `held`, in a photo of `size` (width, height).

    The frame's long side is `frame_size`, and both sides are divisible by `multiple`. Of the aspects that this allows, take the
    nearest to a square with context whose box holds `held`, lies in the photo and has that aspect exactly. Where `held` leaves no
    room for any such box, stretch: as little as the frames allow.
    """
    wanted = _around(held, size)
    width, height = wanted[2] - wanted[0], wanted[3] - wanted[1]
    frames = _frames(frame_size, multiple)
    frames.sort(key=lambda frame: abs(math.log(frame[0] / frame[1] * height / width)))
    for frame in frames:
        box = _exact(held, size, frame)
        if box is not None:
            return Framing(box, frame)
    return Framing(wanted, frames[0])


def _frames(frame_size: int, multiple: int) -> list[tuple[int, int]]:
    """All frames with that long side."""
    long = max(multiple, round(frame_size / multiple) * multiple)
    sides = range(multiple, long + 1, multiple)
    return [(long, side) for side in sides] + [(side, long) for side in sides if side != long]


def _exact(held: Box, size: tuple[int, int], frame: tuple[int, int]) -> Box | None:
    """A box of the frame's exact aspect around `held`, `CONTEXT` times as long if the photo has room; None if it can't be."""
    ratio = Fraction(*frame)
    across, down = ratio.numerator, ratio.denominator
    width, height = held[2] - held[0], held[3] - held[1]
    least = max(-(-width // across), -(-height // down))
    most = min(size[0] // across, size[1] // down)
    if least > most:
        return None
    units = min(max(least, round(CONTEXT * max(width, height) / max(across, down))), most)
    x0, x1 = _span(held[0], held[2], units * across, size[0])
    y0, y1 = _span(held[1], held[3], units * down, size[1])
    return x0, y0, x1, y1


def _around(held: Box, size: tuple[int, int]) -> Box:
    """A box around `held`, `CONTEXT` times as large, square where the photo allows."""
    side = round(CONTEXT * max(held[2] - held[0], held[3] - held[1]))
    x0, x1 = _span(held[0], held[2], side, size[0])
    y0, y1 = _span(held[1], held[3], side, size[1])
    return x0, y0, x1, y1


def _span(low: int, high: int, length: int, limit: int) -> tuple[int, int]:
    """An interval of `length` around the middle of low..high, moved and at last cut to lie in 0..limit."""
    if length >= limit:
        return 0, limit
    start = min(max(0, round((low + high) / 2 - length / 2)), limit - length)
    return start, start + length


def extent(inside: NDArray[np.bool_]) -> Box:
    """The box around the true pixels of `(H, W)`. Raises `ValueError` where there are none."""
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if not len(rows):
        raise ValueError("nothing is inside the mask: paint the region with 128 or more")
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def holds(box: Box, other: Box) -> bool:
    """Whether `other` lies in `box`."""
    return box[0] <= other[0] and box[1] <= other[1] and other[2] <= box[2] and other[3] <= box[3]


def union(a: Box, b: Box) -> Box:
    return min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])
