"""Signed distance fields over a square frame.

The frame spans -1..1 in x (to the right) and y (down). A field is a float32 array, one value per pixel: negative inside a shape,
positive outside, in frame units. Fields of ellipses and deformed shapes are approximate, which is enough for soft edges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.floating[Any]]
"""A float32 array. numpy's stubs call some results of float32 arithmetic float64, so the type leaves the precision open."""
Point = tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """Pixel centres of a picture, or of a window of it."""

    x: Field
    y: Field
    pixel: float  # the side of a pixel in frame units

    def window(self, low: Point, high: Point) -> tuple[slice, slice]:
        """Return the rows and columns whose pixels lie between the corners `low` and `high`, with a margin of two pixels."""
        height, width = self.x.shape
        first_x, first_y = float(self.x[0, 0]), float(self.y[0, 0])
        columns = [round((corner[0] - first_x) / self.pixel) + extra for corner, extra in ((low, -2), (high, 3))]
        rows = [round((corner[1] - first_y) / self.pixel) + extra for corner, extra in ((low, -2), (high, 3))]
        (x0, x1), (y0, y1) = np.clip(columns, 0, width), np.clip(rows, 0, height)
        return slice(int(y0), int(y1)), slice(int(x0), int(x1))


@lru_cache(maxsize=4)
def frame(size: int) -> Frame:
    """Return the frame of a picture of `size` pixels. Its arrays are shared: don't write to them."""
    centres = ((np.arange(size, dtype=np.float32) + 0.5) * (2 / size) - 1).astype(np.float32)
    x, y = np.broadcast_to(centres, (size, size)), np.broadcast_to(centres[:, None], (size, size))
    return Frame(np.ascontiguousarray(x), np.ascontiguousarray(y), 2 / size)


def local(x: Field, y: Field, centre: Point, angle: float = 0.0) -> tuple[Field, Field]:
    """Return the coordinates relative to `centre`, turned by `angle` in radians (positive: clockwise on the screen)."""
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    dx, dy = x - np.float32(centre[0]), y - np.float32(centre[1])
    return c * dx + s * dy, c * dy - s * dx


def ellipse(x: Field, y: Field, centre: Point, radii: Point, angle: float = 0.0) -> Field:
    """Return the approximate distance to an ellipse; exact on its edge and for circles."""
    u, v = local(x, y, centre, angle)
    rx, ry = (np.float32(max(r, 1e-4)) for r in radii)
    k0 = np.hypot(u / rx, v / ry)
    k1 = np.hypot(u / (rx * rx), v / (ry * ry))
    field: Field = k0 * (k0 - 1) / np.maximum(k1, 1e-6)
    return field


def box(x: Field, y: Field, centre: Point, half: Point, radius: float = 0.0, angle: float = 0.0) -> Field:
    """Return the distance to a rectangle with half sides `half` and rounded corners of `radius`."""
    u, v = local(x, y, centre, angle)
    qx, qy = np.abs(u) - np.float32(half[0] - radius), np.abs(v) - np.float32(half[1] - radius)
    field: Field = np.hypot(np.maximum(qx, 0), np.maximum(qy, 0)) + np.minimum(np.maximum(qx, qy), 0) - np.float32(radius)
    return field


def segment(x: Field, y: Field, a: Point, b: Point, radius: float, end_radius: float | None = None) -> Field:
    """Return the distance to a line from `a` to `b`, `radius` thick at `a` and `end_radius` at `b`."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    px, py = x - np.float32(a[0]), y - np.float32(a[1])
    along = np.clip((px * np.float32(dx) + py * np.float32(dy)) / np.float32(dx * dx + dy * dy + 1e-9), 0, 1)
    thick: Any = radius if end_radius is None else np.float32(radius) + along * np.float32(end_radius - radius)
    field: Field = np.hypot(px - along * np.float32(dx), py - along * np.float32(dy)) - thick
    return field.astype(np.float32, copy=False)


def polyline(x: Field, y: Field, points: Sequence[Point], radius: float, end_radius: float | None = None) -> Field:
    """Return the distance to a line through `points`, tapering from `radius` to `end_radius`."""
    ends = np.linspace(radius, radius if end_radius is None else end_radius, len(points))
    parts = [segment(x, y, points[i], points[i + 1], float(ends[i]), float(ends[i + 1])) for i in range(len(points) - 1)]
    return union(*parts)


def curve(points: Sequence[Point], steps: int = 8) -> list[Point]:
    """Return points along the Bézier curve with the control points `points`."""
    found: list[Point] = []
    for t in np.linspace(0, 1, steps + 1):
        level = [np.asarray(p, dtype=float) for p in points]
        while len(level) > 1:
            level = [(1 - t) * a + t * b for a, b in pairwise(level)]
        found.append((float(level[0][0]), float(level[0][1])))
    return found


def polygon(x: Field, y: Field, points: Sequence[Point]) -> Field:
    """Return the distance to a closed polygon, convex or not."""
    distance = np.full(x.shape, np.inf, dtype=np.float32)
    sign = np.ones(x.shape, dtype=np.float32)
    for i, (ax, ay) in enumerate(points):
        bx, by = points[i - 1]
        distance = np.minimum(distance, segment(x, y, (ax, ay), (bx, by), 0.0))
        crosses = (ay > y) != (by > y)
        if by != ay:
            left = x < np.float32((bx - ax) / (by - ay)) * (y - np.float32(ay)) + np.float32(ax)
            sign = np.where(crosses & left, -sign, sign)
    return distance * sign


def union(*fields: Field) -> Field:
    """Return the field of all shapes together."""
    found = fields[0]
    for each in fields[1:]:
        found = np.minimum(found, each)
    return found


def overlap(*fields: Field) -> Field:
    """Return the field of what all shapes share."""
    found = fields[0]
    for each in fields[1:]:
        found = np.maximum(found, each)
    return found


def subtract(field: Field, *others: Field) -> Field:
    """Return the field of a shape without `others`."""
    return overlap(field, *(-each for each in others))


def blend(a: Field, b: Field, width: float) -> Field:
    """Return the field of two shapes joined smoothly over `width` (the polynomial smooth minimum)."""
    h = np.clip(0.5 + 0.5 * (b - a) / np.float32(width), 0, 1)
    field: Field = b + (a - b) * h - np.float32(width) * h * (1 - h)
    return field


def coverage(field: Field, pixel: float, soft: float = 0.0) -> Field:
    """Return how much of each pixel the shape covers, in 0..1. `soft` widens the edge, in frame units."""
    width = np.float32(max(pixel, soft))
    t = np.clip(np.float32(0.5) - field / width, 0, 1)
    share: Field = t * t * (3 - 2 * t) if soft > pixel else t
    return share
