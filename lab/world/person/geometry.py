"""The head in space: where a turned head lies in the picture, and the surface that each pixel shows.

Head units: the eyes lie at y = 0, the chin at about y = 0.5, the crown at about y = -0.52. x points to the right of the picture of
a head seen from the front, y down, z towards the viewer. The projection is orthographic.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lab.world.painting.fields import Field, Frame

Vector = tuple[float, float, float]
Rows = tuple[Vector, Vector, Vector]
Radii = tuple[float | Field, float | Field, float | Field]
Solid = Callable[[Field, Field, Field], Field]
"""The signed distance to a solid at points of head space."""

PIVOT: Vector = (0.0, 0.30, -0.12)
"""Where the head turns on the neck."""


@dataclass(frozen=True, slots=True)
class Placement:
    """How a head is turned, scaled and placed. `rows` is the rotation from head space to the picture."""

    rows: Rows
    centre: tuple[float, float]
    scale: float

    @classmethod
    def of(cls, yaw: float, pitch: float, roll: float, centre: tuple[float, float], scale: float) -> Placement:
        """Return the placement for angles in degrees: `yaw` > 0 turns to the viewer's left, `pitch` > 0 looks up."""
        a, b, c = (math.radians(angle) for angle in (yaw, pitch, roll))
        turn = np.array([[math.cos(a), 0, -math.sin(a)], [0, 1, 0], [math.sin(a), 0, math.cos(a)]])
        nod = np.array([[1, 0, 0], [0, math.cos(b), -math.sin(b)], [0, math.sin(b), math.cos(b)]])
        lean = np.array([[math.cos(c), -math.sin(c), 0], [math.sin(c), math.cos(c), 0], [0, 0, 1]])
        x, y, z = ((float(r[0]), float(r[1]), float(r[2])) for r in lean @ turn @ nod)
        return cls((x, y, z), centre, scale)

    def project(self, point: Vector) -> Vector:
        """Return the place of a point in the picture, and its depth (larger: nearer)."""
        p = [value - origin for value, origin in zip(point, PIVOT, strict=True)]
        x, y, z = (sum(row[i] * p[i] for i in range(3)) for row in self.rows)
        return self.centre[0] + self.scale * x, self.centre[1] + self.scale * y, z

    def rays(self, at: Frame) -> tuple[Field, Field, Field]:
        """Return, for each pixel, the point of head space at depth 0 on its line of sight."""
        u = (at.x - np.float32(self.centre[0])) / np.float32(self.scale)
        v = (at.y - np.float32(self.centre[1])) / np.float32(self.scale)
        (a, b, _), (c, d, _), _ = self.rows[0], self.rows[1], self.rows[2]
        e, f = self.rows[0][2], self.rows[1][2]
        return a * u + c * v + PIVOT[0], b * u + d * v + PIVOT[1], e * u + f * v + PIVOT[2]

    @property
    def sight(self) -> Vector:
        """The direction in head space from the head to the viewer."""
        return self.rows[2]


def ellipsoid(x: Field, y: Field, z: Field, centre: Vector, radii: Vector) -> Field:
    """Return the approximate distance to an ellipsoid."""
    u, v, w = (x - centre[0]) / radii[0], (y - centre[1]) / radii[1], (z - centre[2]) / radii[2]
    k0 = np.sqrt(u * u + v * v + w * w)
    u /= radii[0]
    v /= radii[1]
    w /= radii[2]
    k1 = np.sqrt(u * u + v * v + w * w)
    field: Field = k0 * (k0 - 1) / np.maximum(k1, 1e-3)
    return field


def capsule(x: Field, y: Field, z: Field, a: Vector, b: Vector, radius: float, end_radius: float) -> Field:
    """Return the distance to a line in space from `a` to `b`, `radius` thick at `a` and `end_radius` at `b`."""
    d = tuple(q - p for p, q in zip(a, b, strict=True))
    px, py, pz = x - a[0], y - a[1], z - a[2]
    along = np.clip((px * d[0] + py * d[1] + pz * d[2]) / sum(v * v for v in d), 0, 1)
    px -= along * d[0]
    py -= along * d[1]
    pz -= along * d[2]
    field: Field = np.sqrt(px * px + py * py + pz * pz) - radius - along * (end_radius - radius)
    return field


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """What a window of the picture shows of a solid: points, normals and coverage per pixel.

    Points are in head space, normals in the picture's.
    """

    x: Field
    y: Field
    z: Field
    normal: tuple[Field, Field, Field]
    hollow: Field  # 0 open .. 1 deep in a crease
    inside: Field  # coverage in 0..1

    def in_front_of(self, depth: Field, placement: Placement) -> Field:
        """Return, in 0..1, whether the points are nearer to the viewer than `depth`."""
        share: Field = np.clip((self.depth(placement) - depth) / 0.02 + 0.5, 0, 1)
        return share

    def solid_depth(self, placement: Placement) -> Field:
        """Return the depth where the solid covers the pixel, very far elsewhere."""
        return np.where(self.inside > 0.5, self.depth(placement), np.float32(-9))

    def depth(self, placement: Placement) -> Field:
        """Return how near the points are to the viewer."""
        a, b, c = placement.sight
        field: Field = a * (self.x - PIVOT[0]) + b * (self.y - PIVOT[1]) + c * (self.z - PIVOT[2])
        return field


def march(solid: Solid, placement: Placement, at: Frame) -> Surface:
    """Return what the window `at` shows of `solid`, by sphere tracing."""
    shape = at.x.shape
    origin = tuple(np.ravel(each) for each in placement.rays(at))
    t, nearest = _trace(solid, placement, origin[0], origin[1], origin[2])
    x, y, z = (o + t * d for o, d in zip(origin, placement.sight, strict=True))
    half = at.pixel / placement.scale / 2
    inside = np.clip(1 - (nearest - 0.0006) / (2 * half), 0, 1)
    near = inside > 0
    normal = _normal(solid, x, y, z, near)
    reach = 0.07
    hollow = np.zeros_like(x)
    ahead = (a[near] + reach * n[near] for a, n in zip((x, y, z), normal, strict=True))
    gap = np.clip(1 - solid(*ahead) / reach, 0, 1)
    hollow[near] = gap * gap * (3 - 2 * gap)
    seen = [row[0] * normal[0] + row[1] * normal[1] + row[2] * normal[2] for row in placement.rows]
    nx, ny, nz = (np.reshape(each, shape) for each in seen)
    return Surface(x.reshape(shape), y.reshape(shape), z.reshape(shape), (nx, ny, nz), hollow.reshape(shape), inside.reshape(shape))


def _trace(solid: Solid, placement: Placement, ox: Field, oy: Field, oz: Field) -> tuple[Field, Field]:
    """Return for each line of sight the depth where it meets the solid, and the least distance on its way there."""
    dx, dy, dz = placement.sight
    t = np.full_like(ox, 0.62)
    passed, nearest = t.copy(), np.full_like(ox, 9)  # where the line of sight passes the solid most closely
    live = np.arange(ox.size)
    for _ in range(10):
        px, py, pz, tt, best, least = ox[live], oy[live], oz[live], t[live], passed[live], nearest[live]
        for _ in range(3):
            distance = solid(px + tt * dx, py + tt * dy, pz + tt * dz)
            best = np.where(distance < least, tt, best)
            least = np.minimum(least, distance)
            tt = tt - 0.95 * distance
        t[live], passed[live], nearest[live] = tt, best, least
        live = live[(distance > 0.0006) & (tt > -0.6)]
        if not live.size:
            break
    met = nearest < 0.002
    t = np.where(met, t, passed)
    t[met] -= solid(ox[met] + t[met] * dx, oy[met] + t[met] * dy, oz[met] + t[met] * dz)
    return t, nearest


def _normal(solid: Solid, x: Field, y: Field, z: Field, near: NDArray[np.bool_]) -> tuple[Field, Field, Field]:
    """Return unit normals by the four corners of a small tetrahedron, where `near`; elsewhere they face the front."""
    px, py, pz = x[near], y[near], z[near]
    e = 0.010
    a, b = solid(px + e, py - e, pz - e), solid(px - e, py - e, pz + e)
    c, d = solid(px - e, py + e, pz - e), solid(px + e, py + e, pz + e)
    part = (a - b - c + d, c + d - a - b, b + d - a - c)
    length = np.sqrt(part[0] ** 2 + part[1] ** 2 + part[2] ** 2) + np.float32(1e-6)
    normal = (np.zeros_like(x), np.zeros_like(x), np.ones_like(x))
    for whole, each in zip(normal, part, strict=True):
        whole[near] = each / length
    return normal


def hit(placement: Placement, at: Frame, centre: Vector, radii: Radii, shear: float = 0.0) -> Surface:
    """Return what the window `at` shows of an ellipsoid, in closed form. Its front end is lowered by `shear` per unit of z."""
    ox, oy, oz = placement.rays(at)
    d = placement.sight
    dy = d[1] - shear * d[2]
    p = [(o - c) / r for o, c, r in zip((ox, oy - shear * (oz - centre[2]), oz), centre, radii, strict=True)]
    q = [v / r for v, r in zip((d[0], dy, d[2]), radii, strict=True)]
    qq = q[0] * q[0] + q[1] * q[1] + q[2] * q[2]
    pq = (p[0] * q[0] + p[1] * q[1] + p[2] * q[2]) / qq
    pp = p[0] * p[0] + p[1] * p[1] + p[2] * p[2]
    closest = np.sqrt(np.maximum(pp - pq * pq * qq, 0))
    t = np.sqrt(np.maximum(1 - closest * closest, 0) / qq) - pq
    nx, ny, nz = ((a + t * b) / r for a, b, r in zip(p, q, radii, strict=True))
    nz = nz - shear * ny
    length = np.sqrt(nx * nx + ny * ny + nz * nz) + np.float32(1e-6)
    seen = [(row[0] * nx + row[1] * ny + row[2] * nz) / length for row in placement.rows]
    down, across = np.gradient(closest)
    inside = np.clip(0.5 - (closest - 1) / np.maximum(np.hypot(down, across), 1e-6), 0, 1)
    x, y, z = ox + t * d[0], oy + t * d[1], oz + t * d[2]
    return Surface(x, y, z, (seen[0], seen[1], seen[2]), np.zeros_like(x), inside)
