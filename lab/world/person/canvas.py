"""Paint on the curved surface of a head: shapes given in head units land where the turned head shows them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lab.world.painting.fields import Field, Point, coverage
from lab.world.painting.picture import Colour, Picture
from lab.world.person.geometry import Placement, Surface, Vector


@dataclass(frozen=True, slots=True, eq=False)
class Skin:
    """A window of the picture together with the head's surface in it.

    `x` and `y` are the coordinates of the shapes to paint: those of the head, seen from its front.
    """

    picture: Picture
    surface: Surface
    placement: Placement

    @property
    def x(self) -> Field:
        return self.surface.x

    @property
    def y(self) -> Field:
        return self.surface.y

    @property
    def pixel(self) -> float:
        return self.picture.frame.pixel / self.placement.scale

    def paint(
        self, field: Field, colour: Colour, *, opacity: float | Field = 1.0, soft: float = 0.0, part: str | None = None
    ) -> None:
        """Paint the shape of `field`, in head units, where the head is."""
        share = coverage(field, self.pixel, soft) * self.surface.inside * np.float32(opacity)
        self.picture.cover(share, colour, part=part)

    def near(self, point: Vector, reach: float | Point) -> Skin:
        """Return the part of the window around a point of the head, `reach` head units to each side."""
        x, y, _ = self.placement.project(point)
        rx, ry = (reach, reach) if isinstance(reach, float) else reach
        across, down = rx * self.placement.scale, ry * self.placement.scale
        at = self.picture.frame.window((x - across, y - down), (x + across, y + down))
        s = self.surface
        nx, ny, nz = s.normal
        part = Surface(s.x[at], s.y[at], s.z[at], (nx[at], ny[at], nz[at]), s.hollow[at], s.inside[at])
        return Skin(self.picture.window((x - across, y - down), (x + across, y + down)), part, self.placement)
