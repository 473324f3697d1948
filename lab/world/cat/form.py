"""Solid forms in three dimensions, seen from the front: ellipsoids joined smoothly, and planes that carry flat features.

Local coordinates have x to the right, y down and z towards the viewer. The projection is orthographic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.world.painting.fields import Field, Frame, Point, blend

Point3 = tuple[float, float, float]
Matrix = NDArray[np.float64]


def rotation(yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0) -> Matrix:
    """Return the rotation by `yaw` (positive: to the picture's right), then `pitch` (positive: up), then `roll` (clockwise)."""
    cy, sy, cp, sp, cr, sr = (f(a) for a in (yaw, pitch, roll) for f in (np.cos, np.sin))
    turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    tilt = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    lean = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    found: Matrix = lean @ tilt @ turn
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """A flat patch of a turned body. `of` maps pixels to its own coordinates, so that features foreshorten with it."""

    centre: Point
    inverse: Matrix

    def of(self, frame: Frame) -> tuple[Field, Field]:
        dx, dy = frame.x - np.float32(self.centre[0]), frame.y - np.float32(self.centre[1])
        (a, b), (c, d) = self.inverse.astype(np.float32)
        return a * dx + b * dy, c * dx + d * dy

    def point(self, u: float, v: float) -> Point:
        """Return where the patch's point (u, v) is in the picture."""
        x, y = np.linalg.inv(self.inverse) @ (u, v)
        return self.centre[0] + float(x), self.centre[1] + float(y)


@dataclass(frozen=True, slots=True, eq=False)
class Placement:
    """Where a body is and how it is turned."""

    origin: Point
    matrix: Matrix

    def project(self, point: Point3) -> Point:
        x, y, _ = self.matrix @ point
        return self.origin[0] + float(x), self.origin[1] + float(y)

    def plane(self, centre: Point3, yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0) -> Plane:
        """Return the patch around `centre` that faces the direction of `yaw` and `pitch` in the body's own coordinates."""
        basis = (self.matrix @ rotation(yaw, pitch) @ rotation(roll=roll))[:2, :2]
        inverse: Any = np.linalg.inv(basis)
        return Plane(self.project(centre), inverse)


@dataclass(frozen=True, slots=True)
class Ball:
    centre: Point3
    radii: Point3


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """The front of a body, per pixel. `local` are the coordinates of the surface in the body's own axes."""

    outline: Field
    normal: tuple[Field, Field, Field]
    local: tuple[Field, Field, Field]


def surface(frame: Frame, placement: Placement, balls: Sequence[Ball], join: float = 0.09, sharp: float = 0.04) -> Surface:
    """Return the front of `balls` joined smoothly: outlines over `join`, heights over `sharp`."""
    outlines, heights, normals = zip(*(_ball(frame, placement, ball) for ball in balls), strict=True)
    outline = outlines[0]
    for each in outlines[1:]:
        outline = blend(outline, each, join)
    top = np.maximum.reduce(heights)
    weights = [np.exp((height - top) / np.float32(sharp)) for height in heights]
    total = sum(weights[1:], weights[0])
    z = sum((w * h for w, h in zip(weights[1:], heights[1:], strict=True)), weights[0] * heights[0]) / total
    raw = [sum((w * n[i] for w, n in zip(weights[1:], normals[1:], strict=True)), weights[0] * normals[0][i]) for i in range(3)]
    length = np.sqrt(raw[0] ** 2 + raw[1] ** 2 + raw[2] ** 2) + np.float32(1e-6)
    view = (frame.x - np.float32(placement.origin[0]), frame.y - np.float32(placement.origin[1]), z)
    turned = placement.matrix.T.astype(np.float32)
    lx, ly, lz = (row[0] * view[0] + row[1] * view[1] + row[2] * view[2] for row in turned)
    return Surface(outline, (raw[0] / length, raw[1] / length, raw[2] / length), (lx, ly, lz))


def _ball(frame: Frame, placement: Placement, ball: Ball) -> tuple[Field, Field, tuple[Field, Field, Field]]:
    """Return the distance to the outline of one ellipsoid, the height of its front and its normal."""
    m = placement.matrix
    a = m @ np.diag(1 / np.square(ball.radii)) @ m.T
    cx, cy, cz = m @ ball.centre
    x = frame.x - np.float32(cx + placement.origin[0])
    y = frame.y - np.float32(cy + placement.origin[1])
    b = (a[:2, :2] - np.outer(a[:2, 2], a[2, :2]) / a[2, 2]).astype(np.float32)
    a = a.astype(np.float32)
    gx, gy = b[0, 0] * x + b[0, 1] * y, b[1, 0] * x + b[1, 1] * y
    q = x * gx + y * gy
    k = np.sqrt(q)
    outline = k * (k - 1) / np.maximum(np.hypot(gx, gy), np.float32(1e-6))
    slope = -(a[0, 2] * x + a[1, 2] * y) / a[2, 2]
    inside = np.sqrt(np.maximum(1 - q, 0) / a[2, 2])
    z = slope + inside
    height = np.float32(cz) + z - np.sqrt(np.maximum(q - 1, 0) / a[2, 2])
    nx, ny, nz = (row[0] * x + row[1] * y + row[2] * z for row in a)
    length = np.sqrt(nx * nx + ny * ny + nz * nz) + np.float32(1e-6)
    return outline, height, (nx / length, ny / length, nz / length)
