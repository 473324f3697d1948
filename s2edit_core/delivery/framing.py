"""Framing: the part of the photo that becomes the model's frame, with the frame's exact aspect ratio where the photo has room.

A close-up shows a person larger than any training picture, and a photo that is much taller than wide holds no square with all of a
person. For a model that knows only squares, the box then reaches beyond the photo, where the frame shows the photo's border pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from s2edit_core.request.domains import Placement

Box = tuple[int, int, int, int]
"""(left, top, right, bottom) in pixels of the photo."""


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


def framed(
    subject: Box,
    size: tuple[int, int],
    *,
    frame_size: int,
    multiple: int,
    placement: Placement,
    required: Box | None = None,
    covered: int = 0,
) -> Framing:
    """Choose box and frame for a photo of `size` (width, height), so that the boxes `subject` and `required` are visible.

    The frame's longer side is `frame_size`, and both sides are divisible by `multiple`. The choice is the frame closest to a square
    for which a box of exactly that aspect ratio fits into the photo: a square is what models draw best. If there is none, the frame
    with the least stretch is chosen. The subject, which covers `covered` pixels, lies in the box as in `placement`, as far as the
    photo and what must be visible allow. For a model that draws squares only, the box is a square. It may reach beyond the photo.
    """
    held = subject if required is None else union(subject, required)
    frames = _frames(frame_size, multiple)
    if placement.square:
        frame = next(frame for frame in frames if frame[0] == frame[1])
        return Framing(_square(subject, held, size, placement, covered), frame)
    for frame in sorted(frames, key=_elongation):
        box = _exact(subject, held, size, frame, placement)
        if box is not None:
            return Framing(box, frame)
    box = _cut(subject, held, size, placement)
    return min((Framing(box, frame) for frame in frames), key=lambda framing: abs(math.log(framing.stretch)))


def _frames(frame_size: int, multiple: int) -> list[tuple[int, int]]:
    """Return all frames whose longer side is `frame_size`, rounded to `multiple`."""
    long = max(multiple, round(frame_size / multiple) * multiple)
    sides = range(multiple, long + 1, multiple)
    return [(long, side) for side in sides] + [(side, long) for side in sides if side != long]


def _elongation(frame: tuple[int, int]) -> float:
    return abs(math.log(frame[0] / frame[1]))


def _exact(subject: Box, held: Box, size: tuple[int, int], frame: tuple[int, int], placement: Placement) -> Box | None:
    """Return a box of the frame's exact aspect ratio around `held`; None if none fits."""
    ratio = Fraction(*frame)
    across, down = ratio.numerator, ratio.denominator
    least = max(-(-(held[2] - held[0]) // across), -(-(held[3] - held[1]) // down))
    most = min(size[0] // across, size[1] // down)
    if least > most:
        return None
    units = min(max(least, round(_wanted(subject, size, placement) / max(across, down))), most)
    return _placed(subject, held, size, (units * across, units * down), placement)


def _square(subject: Box, held: Box, size: tuple[int, int], placement: Placement, covered: int) -> Box:
    """Return a square box around `held`, in the photo unless the subject would be too large there, or does not fit."""
    box = _exact(subject, held, size, (1, 1), placement)
    if box is None:
        side = max(min(_wanted(subject, size, placement), max(size)), held[2] - held[0], held[3] - held[1])
        box = _placed(subject, held, size, (side, side), placement)
    side = box[2] - box[0]
    if placement.share is None or placement.fullest is None or covered <= placement.fullest * side**2:
        return box
    side = max(side, round(math.sqrt(covered / placement.share)))
    return _placed(subject, held, size, (side, side), placement)


def _cut(subject: Box, held: Box, size: tuple[int, int], placement: Placement) -> Box:
    """Return a box around `held`, square if the photo has room, otherwise cut at the photo's borders."""
    side = max(_wanted(subject, size, placement), held[2] - held[0], held[3] - held[1])
    return _placed(subject, held, size, (min(side, size[0]), min(side, size[1])), placement)


def _wanted(subject: Box, size: tuple[int, int], placement: Placement) -> int:
    """Return the side of the box that shows the subject as large as in the model's training pictures."""
    longer = max(subject[2] - subject[0], subject[3] - subject[1])
    usual = round(placement.context * longer)
    return max(usual, min(size)) if min(size) <= placement.widest * longer else usual


def _placed(subject: Box, held: Box, size: tuple[int, int], sides: tuple[int, int], placement: Placement) -> Box:
    """Return the box with `sides` that shows the subject in its place, moved to hold `held` and to lie in the photo.

    Along an axis that is shorter than the box, it holds all of the photo. For a model of squares that knows its subjects only near
    the middle, the box reaches beyond a side of the photo instead of leaving the subject farther `aside`.
    """
    down = None if placement.headroom is None else subject[1] - round(placement.headroom * sides[1])
    aside = round(placement.aside * sides[0]) if placement.square and placement.aside is not None else None
    x0, x1 = _span((subject[0], subject[2]), (held[0], held[2]), sides[0], size[0], most=aside)
    y0, y1 = _span((subject[1], subject[3]), (held[1], held[3]), sides[1], size[1], down)
    return x0, y0, x1, y1


def _span(
    subject: tuple[int, int], held: tuple[int, int], length: int, limit: int, start: int | None = None, most: int | None = None
) -> tuple[int, int]:
    """Return an interval of `length` in 0..limit that holds `held`, as near as possible to `start`, or around `subject`.

    One that is longer than `limit` holds 0..limit. With `most`, it is moved into 0..limit by no more than that.
    """
    if start is None:
        start = round((sum(subject) - length) / 2)
    wanted = min(max(start, held[1] - length), held[0])
    start = min(max(wanted, min(0, limit - length)), max(0, limit - length))
    if most is not None:
        start = min(max(start, wanted - most), wanted + most)
        start = min(max(start, held[1] - length), held[0])
    return start, start + length


def extent(inside: NDArray[np.bool_]) -> Box:
    """Return the bounding box of the true pixels in `(H, W)`. Raises `ValueError` if there are none."""
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if not len(rows):
        raise ValueError("the mask is empty: pixels of the region need values of 128 or more")
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def whole_extent(inside: NDArray[np.bool_]) -> Box:
    """Return the bounding box of a subject in `(H, W)` as it would be if the left or right border did not cut it.

    A subject that reaches one of them is thought to be symmetric about its top, which is the crown of a head. Raises as `extent`.
    """
    left, top, right, bottom = extent(inside)
    width = inside.shape[1]
    if (left == 0) == (right == width):
        return left, top, right, bottom
    crown = round(float(np.flatnonzero(inside[top : top + max(1, (bottom - top) // 20)].any(axis=0)).mean() + 0.5))
    return (min(left, 2 * crown - right), top, right, bottom) if left == 0 else (left, top, max(right, 2 * crown - left), bottom)


def holds(box: Box, other: Box) -> bool:
    """Return whether `other` lies within `box`."""
    return box[0] <= other[0] and box[1] <= other[1] and other[2] <= box[2] and other[3] <= box[3]


def within(box: Box, size: tuple[int, int]) -> Box:
    """Return the part of `box` that lies in a photo of `size` (width, height)."""
    return max(0, box[0]), max(0, box[1]), min(size[0], box[2]), min(size[1], box[3])


def union(a: Box, b: Box) -> Box:
    """Return the bounding box of `a` and `b`."""
    return min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])
