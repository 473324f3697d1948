"""The proportions of a cat in one photo: identity, attributes and setting put together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lab.world.cat.attributes import Attributes
from lab.world.cat.form import Ball, Placement, Plane, Point3, rotation
from lab.world.cat.identity import Identity
from lab.world.cat.setting import Setting
from lab.world.painting.fields import Point

YAW = {"front": 0.0, "left": -0.54, "right": 0.54, "up": 0.0}
"""Turn of the head by pose, in radians: about 31 degrees."""
PITCH = {"front": -0.03, "left": 0.0, "right": 0.0, "up": 0.46}
NECK: Point = (0.0, -0.02)
TORSO = (
    Ball((0.0, 0.34, -0.10), (0.30, 0.36, 0.28)),
    Ball((0.0, 0.86, 0.02), (0.36, 0.52, 0.34)),
    Ball((-0.24, 1.05, -0.05), (0.30, 0.48, 0.30)),
    Ball((0.24, 1.05, -0.05), (0.30, 0.48, 0.30)),
)
RUFF = (
    Ball((0.0, 0.40, -0.04), (0.46, 0.34, 0.30)),
    Ball((0.0, 0.72, 0.06), (0.36, 0.38, 0.32)),
)


@dataclass(frozen=True)
class Build:
    """A cat as it is drawn. Coordinates of features are those of the head, which spans about 0.46 in each direction."""

    who: Identity
    has: Attributes
    setting: Setting

    @cached_property
    def head(self) -> Placement:
        yaw, pitch = YAW[self.has.pose] + self.setting.yaw, PITCH[self.has.pose]
        return Placement(NECK, rotation(yaw, pitch, self.setting.roll))

    @cached_property
    def upright(self) -> Placement:
        """The body, which never turns."""
        return Placement((0.0, 0.0), np.eye(3))

    @property
    def narrow(self) -> float:
        return 0.74 if self.has.young else 1.0

    @property
    def torso(self) -> tuple[Ball, ...]:
        """Neck, chest and shoulders, narrower on young cats, and the ruff of a fluffy one."""
        narrow = self.narrow
        balls = TORSO + (RUFF if self.has.fluffy else ())
        return tuple(
            Ball((x * narrow, y, z), (rx * narrow, ry, rz)) for ((x, y, z), (rx, ry, rz)) in ((b.centre, b.radii) for b in balls)
        )

    @property
    def width(self) -> float:
        return self.who.face_width * (1.0 if not self.has.young else 0.97)

    @property
    def muzzle(self) -> float:
        return self.who.muzzle_size * (0.80 if self.has.young else 1.0)

    @property
    def eye_size(self) -> float:
        return 0.123 * self.who.eye_size * (1.26 if self.has.young else 1.0)

    @property
    def eye_height(self) -> float:
        return 0.05 if self.has.young else 0.0

    @cached_property
    def balls(self) -> tuple[Ball, ...]:
        """Skull, cheeks, bridge of the nose, whisker pads and chin."""
        w, m, young = self.width, self.muzzle, self.has.young
        drop = 0.085 * m if self.has.meowing else 0.0
        full = 0.03 if self.has.fluffy else 0.0
        cheek = (0.285 + full, 0.225 + full, 0.28)
        return (
            Ball((0.0, -0.08, -0.02), (0.445 * w, 0.385 + 0.025 * young, 0.40)),
            Ball((-0.185 * w, 0.09, 0.06), cheek),
            Ball((0.185 * w, 0.09, 0.06), cheek),
            Ball((0.0, 0.02, 0.30), (0.085, 0.22, 0.12 - 0.03 * young)),
            Ball((-0.078 * m, 0.215, 0.34), (0.118 * m, 0.092 * m, 0.12 * m)),
            Ball((0.078 * m, 0.215, 0.34), (0.118 * m, 0.092 * m, 0.12 * m)),
            Ball((0.0, 0.30 + drop, 0.29), (0.105 * m, 0.085, 0.12)),
        )

    def eye(self, side: int) -> Plane:
        """Return the patch of the left (-1) or right (1) eye, whose u axis points outwards and up by the slant."""
        centre: Point3 = (side * 0.195 * self.who.eye_distance * self.width, -0.005 + self.eye_height, 0.345)
        return self.head.plane(centre, yaw=side * 0.20, roll=-side * self.who.eye_slant)

    @cached_property
    def nose(self) -> Plane:
        return self.head.plane((0.0, 0.15, 0.43), pitch=0.1)

    @cached_property
    def mouth(self) -> Plane:
        return self.head.plane((0.0, 0.235, 0.43))

    @cached_property
    def crown(self) -> Plane:
        """The top of the head, where a hat sits."""
        return self.head.plane((0.0, -0.385, 0.12))
