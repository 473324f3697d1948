"""Sun, moon and sky by time of day."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lab.world.church.camera import Place
from lab.world.church.subject import Attributes, Rgb, Setting

Light3 = NDArray[np.float32]


@dataclass(frozen=True)
class Light:
    """What falls on the scene. Colours multiply those of the surfaces."""

    to_sun: Place  # as the camera sees it: x to the right, y up, z away
    sun: Light3
    ambient: Light3
    sky: tuple[Rgb, Rgb, Rgb]  # at the top, half way, and at the horizon
    cloud: tuple[Rgb, Rgb]  # in the light and in the shade
    haze: Rgb  # the colour of what is far away
    night: bool

    def on(self, normal: Place) -> Light3:
        """Return the light on a surface with the unit vector `normal`."""
        facing = max(0.0, sum(a * b for a, b in zip(normal, self.to_sun, strict=True)))
        return self.ambient * np.float32(0.86 + 0.14 * normal[1]) + self.sun * np.float32(facing)

    @property
    def ground(self) -> Light3:
        """The light on level ground."""
        return self.on((0, 1, 0))

    @property
    def shadow(self) -> Light3:
        """How much of the light on the ground is left in a shadow."""
        left: Light3 = self.ambient / self.ground
        return left


def light(attributes: Attributes, setting: Setting) -> Light:
    """Return the light of a photo."""
    time, foggy = attributes.time, attributes.weather == "fog"
    height = {"day": 0.55 + 0.5 * setting.sun_height, "sunset": 0.24 + 0.1 * setting.sun_height, "night": 0.7}[time]
    x, y, z = setting.sun_side * 0.86, height, -0.36
    length = math.hypot(x, y, z)
    sun, ambient, sky, cloud, haze = _COLOURS[time]
    sun_light, ambient_light = np.array(sun, np.float32), np.array(ambient, np.float32)
    if foggy:
        sun_light, ambient_light = sun_light * np.float32(0.45), ambient_light * np.float32(1.2)
    return Light((x / length, y / length, z / length), sun_light, ambient_light, sky, cloud, haze, time == "night")


_COLOURS: dict[str, tuple[Rgb, Rgb, tuple[Rgb, Rgb, Rgb], tuple[Rgb, Rgb], Rgb]] = {
    "day": (
        (0.66, 0.58, 0.46),
        (0.50, 0.55, 0.64),
        ((0.27, 0.52, 0.82), (0.50, 0.72, 0.92), (0.86, 0.92, 0.95)),
        ((1.0, 1.0, 0.99), (0.78, 0.84, 0.92)),
        (0.76, 0.85, 0.92),
    ),
    "sunset": (
        (0.92, 0.56, 0.28),
        (0.44, 0.39, 0.50),
        ((0.30, 0.34, 0.60), (0.86, 0.52, 0.50), (1.0, 0.80, 0.46)),
        ((1.0, 0.74, 0.55), (0.60, 0.38, 0.52)),
        (0.93, 0.62, 0.46),
    ),
    "night": (
        (0.22, 0.25, 0.33),
        (0.19, 0.22, 0.36),
        ((0.015, 0.03, 0.10), (0.04, 0.07, 0.19), (0.12, 0.16, 0.32)),
        ((0.18, 0.22, 0.36), (0.07, 0.09, 0.20)),
        (0.10, 0.14, 0.28),
    ),
}
