"""The camera before a church, and the flat faces that it sees.

The church has its own coordinates: x to the right, y up, z away from someone who stands before its front, which is at z = 0.
The camera looks level, so upright edges stay upright in the picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lab.world.painting.fields import Field, Point, coverage
from lab.world.painting.picture import Colour, Picture

Place = tuple[float, float, float]


@dataclass(frozen=True)
class Camera:
    """A pinhole camera on a circle around the church."""

    turn: float  # radians that it stands to the left of the front's axis
    pivot: float  # z of the point that it turns around
    distance: float  # from that point
    focal: float
    eye: float  # height above the ground
    horizon: float  # y in the frame
    shift: float  # x in the frame of the point straight ahead

    def turned(self, vector: Place) -> Place:
        """Return a direction of the church as the camera sees it: x to the right, y up, z away."""
        c, s = math.cos(self.turn), math.sin(self.turn)
        return vector[0] * c - vector[2] * s, vector[1], vector[0] * s + vector[2] * c

    def seen(self, place: Place) -> Place:
        """Return a place of the church relative to the camera."""
        x, y, z = self.turned((place[0], place[1], place[2] - self.pivot))
        return x, y - self.eye, z + self.distance

    def project(self, place: Place) -> Point:
        """Return where a place of the church appears in the frame."""
        return self.to_frame(self.seen(place))

    def to_frame(self, seen: Place) -> Point:
        x, y, z = seen
        return self.shift + self.focal * x / z, self.horizon - self.focal * y / z

    def scale(self, place: Place) -> float:
        """Return the frame units per unit of the church at `place`."""
        return self.focal / self.seen(place)[2]

    @cached_property
    def place(self) -> Place:
        """The camera's place in the coordinates of the church."""
        c, s = math.cos(self.turn), math.sin(self.turn)
        return -self.distance * s, self.eye, self.pivot - self.distance * c


@dataclass(frozen=True)
class Plane:
    """A plane with coordinates (u, v): u to the right and v up for someone who stands outside and looks at it."""

    origin: Place
    right: Place
    up: Place

    def at(self, u: float, v: float) -> Place:
        x, y, z = (o + u * r + v * w for o, r, w in zip(self.origin, self.right, self.up, strict=True))
        return x, y, z

    @cached_property
    def normal(self) -> Place:
        """The direction outwards."""
        (a, b, c), (d, e, f) = self.right, self.up
        return c * e - b * f, a * f - c * d, b * d - a * e


def convex(x: Field, y: Field, points: Sequence[Point]) -> Field:
    """Return the distance to a convex polygon; beyond its corners it is too small."""
    centre = np.mean(points, axis=0)
    found: Field = np.full(x.shape, -np.inf, dtype=np.float32)
    for i, (ax, ay) in enumerate(points):
        bx, by = points[i - 1]
        length = math.hypot(bx - ax, by - ay)
        if length < 1e-6:
            continue
        nx, ny = (by - ay) / length, (ax - bx) / length
        offset = nx * ax + ny * ay
        sign = -1 if nx * centre[0] + ny * centre[1] > offset else 1
        found = np.maximum(found, np.float32(sign * nx) * x + np.float32(sign * ny) * y - np.float32(sign * offset))
    return found


def hull(points: Sequence[Point]) -> list[Point]:
    """Return the convex hull of `points`, by Andrew's monotone chain."""
    ordered = sorted(set(points))
    chains: list[list[Point]] = []
    for side in (ordered, ordered[::-1]):
        chain: list[Point] = []
        for x, y in side:
            while len(chain) > 1 and _turn(chain[-2], chain[-1], (x, y)) <= 0:
                chain.pop()
            chain.append((x, y))
        chains.append(chain[:-1])
    return chains[0] + chains[1]


def _turn(a: Point, b: Point, c: Point) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def bounds(points: Sequence[Point]) -> tuple[Point, Point]:
    """Return the upper left and the lower right corner around `points`."""
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    return (min(xs), min(ys)), (max(xs), max(ys))


@dataclass
class Sight:
    """A face as the camera sees it: the piece of the picture around it, and the coordinates (u, v) of each pixel there."""

    area: Picture
    u: Field
    v: Field
    share: Field  # of each pixel that the face covers
    pixel: float  # the side of a pixel in units of the church

    def paint(
        self, field: Field, colour: Colour, *, part: str | None = None, opacity: float | Field = 1.0, soft: float = 0.0
    ) -> None:
        """Paint the shape of `field`, a function of (u, v), on the face."""
        self.area.cover(coverage(field, self.pixel, soft) * self.share * np.float32(opacity), colour, part=part)


def look(picture: Picture, camera: Camera, plane: Plane, outline: Sequence[Point]) -> Sight | None:
    """Return the convex face of `plane` within `outline`, counter-clockwise in (u, v).

    Returns `None` if the face looks away or is out of the frame.
    """
    corners = [camera.project(plane.at(*corner)) for corner in outline]
    area = 0.5 * sum(_turn((0, 0), corners[i - 1], corners[i]) for i in range(len(corners)))
    if area > -1e-5:  # y points down, so what looks this way turns clockwise
        return None
    low, high = bounds(corners)
    window = picture.window(low, high)
    if not window.frame.x.size:
        return None
    u, v = _flat(camera, plane, window.frame.x, window.frame.y)
    inside = abs(0.5 * sum(_turn((0, 0), outline[i - 1], outline[i]) for i in range(len(outline))))
    # Grown by a third of a pixel, so that nothing shows through between two faces. The sharp corners of narrow faces stay in place.
    grown, x, y = 0.35 * window.frame.pixel, window.frame.x, window.frame.y
    field = np.maximum(convex(x, y, corners), np.maximum(y - np.float32(high[1]), np.float32(low[1]) - y)) - np.float32(grown)
    return Sight(window, u, v, coverage(field, window.frame.pixel), window.frame.pixel * math.sqrt(inside / -area))


def _flat(camera: Camera, plane: Plane, x: Field, y: Field) -> tuple[Field, Field]:
    """Return the coordinates (u, v) on `plane` that the pixels at `x` and `y` show."""
    columns = [*(camera.turned(vector) for vector in (plane.right, plane.up)), camera.seen(plane.origin)]
    matrix = [[camera.focal * c[0] + camera.shift * c[2], camera.horizon * c[2] - camera.focal * c[1], c[2]] for c in columns]
    back = np.linalg.inv(np.array(matrix).T).astype(np.float32)
    w = back[2, 0] * x + back[2, 1] * y + back[2, 2]
    return (back[0, 0] * x + back[0, 1] * y + back[0, 2]) / w, (back[1, 0] * x + back[1, 1] * y + back[1, 2]) / w
