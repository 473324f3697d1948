"""Sky, hills, meadow and path."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lab.world.church.light import Light
from lab.world.church.subject import Attributes, Rgb, Season, Setting
from lab.world.painting.fields import Field, Point, coverage, ellipse
from lab.world.painting.picture import Picture, mixed
from lab.world.painting.texture import fractal, noise

MEADOWS: dict[Season, tuple[Rgb, Rgb]] = {
    "summer": ((0.36, 0.52, 0.20), (0.26, 0.46, 0.25)),
    "spring": ((0.47, 0.66, 0.24), (0.38, 0.62, 0.28)),
    "autumn": ((0.60, 0.49, 0.22), (0.50, 0.45, 0.22)),
    "snow": ((0.92, 0.94, 0.97), (0.90, 0.93, 0.98)),
}
"""The meadow's colour in each season, for `Setting.meadow` of -1 and of 1."""

HILLS: dict[Season, Rgb] = {
    "summer": (0.20, 0.38, 0.22),
    "spring": (0.34, 0.52, 0.26),
    "autumn": (0.56, 0.34, 0.15),
    "snow": (0.74, 0.78, 0.84),
}


def paint_sky(picture: Picture, light: Light, setting: Setting, foggy: bool) -> None:
    """Paint the sky with its clouds; at sunset the sun's glow, at night the moon and, without fog, the stars."""
    x, y = picture.frame.x, picture.frame.y
    height = np.clip((y + 1) / np.float32(setting.horizon + 1), 0, 1)[..., None]
    top, middle, low = (np.array(colour, np.float32) for colour in light.sky)
    upper, lower = np.clip(height * 2, 0, 1), np.clip(height * 2 - 1, 0, 1)
    picture.pixels[:] = (top + (middle - top) * upper) * (1 - lower) + lower * low
    sun = (0.82 * setting.sun_side, setting.horizon - 0.1)
    if light.night:
        if not foggy:
            _stars(picture, setting)
        moon = (0.68 * setting.sun_side, -0.68)
        _glow(picture, moon, 0.4, (0.55, 0.62, 0.85), 0.35)
        disc = ellipse(x, y, moon, (0.085, 0.085))
        picture.paint(disc, np.array((0.93, 0.93, 0.86), np.float32) * (1 + np.float32(0.12) * noise(x * 30, y * 30, 3))[..., None])
    elif light.haze[2] > light.haze[0]:  # day: the sun is behind the camera
        sun = (1.2 * setting.sun_side, -1.1)
        _glow(picture, sun, 0.9, (1, 1, 0.92), 0.25)
    else:
        _glow(picture, sun, 0.75, (1.0, 0.80, 0.40), 0.7)
    _clouds(picture, light, setting)


def _stars(picture: Picture, setting: Setting) -> None:
    x, y = picture.frame.x, picture.frame.y
    u, v = x * 16, y * 16
    cell_u, cell_v = np.floor(u), np.floor(v)
    bright = noise(cell_u, cell_v, setting.sky_seed + 51)
    du = u - cell_u - (np.float32(0.5) + np.float32(0.3) * noise(cell_u, cell_v, setting.sky_seed + 52))
    dv = v - cell_v - (np.float32(0.5) + np.float32(0.3) * noise(cell_u, cell_v, setting.sky_seed + 53))
    size = np.float32(0.008) * np.clip(bright * 2 - np.float32(0.5), 0, 1)
    share = coverage(np.hypot(du, dv) / 16 - size, picture.frame.pixel) * (bright > 0.45)
    picture.cover(share, (0.95, 0.95, 0.88))


def _glow(picture: Picture, centre: Point, radius: float, colour: Rgb, strength: float) -> None:
    distance = np.hypot(picture.frame.x - np.float32(centre[0]), picture.frame.y - np.float32(centre[1]))
    share: Field = np.float32(strength) * np.exp(-((distance / np.float32(radius)) ** 2) * 2)
    picture.cover(share, colour)


def _clouds(picture: Picture, light: Light, setting: Setting) -> None:
    rows = slice(0, int(np.searchsorted(picture.frame.y[:, 0], setting.horizon)))
    x, y = picture.frame.x[rows], picture.frame.y[rows]
    # A ceiling of clouds in perspective: they lie flatter and smaller towards the horizon.
    depth: Field = np.float32(1.9) / (np.float32(setting.horizon + 0.75) - y)
    u: Field = x * (np.float32(0.7) + np.float32(0.55) * depth)
    v: Field = depth * np.float32(3.2)
    found = fractal(u, v, setting.sky_seed, 5) * np.float32(1.5)
    edge = np.float32(0.34 - 0.42 * setting.clouds)
    share = np.clip((found - edge) / np.float32(0.5), 0, 1)
    share = share * share * (3 - 2 * share) * np.float32(0.92)
    billows = np.float32(0.4) * noise(u * 1.7, v * 2 - 0.4, setting.sky_seed + 7)
    below = np.clip((found - edge) * np.float32(1.1) - np.float32(0.25) + billows, 0, 1)[..., None]
    bright, dark = (np.array(colour, np.float32) for colour in light.cloud)
    part = picture.pixels[rows]
    part += (bright + (dark - bright) * below - part) * share[..., None]


def paint_rainbow(picture: Picture, setting: Setting) -> None:
    """Paint a rainbow opposite the sun."""
    centre = (-0.25 * setting.sun_side, setting.horizon + 0.1)
    distance = np.hypot(picture.frame.x - np.float32(centre[0]), picture.frame.y - np.float32(centre[1]))
    across = np.clip((distance - np.float32(0.86)) / np.float32(0.2), 0, 1)  # 0 violet inside .. 1 red outside
    bands = np.array(
        [(0.55, 0.25, 0.85), (0.20, 0.40, 0.95), (0.25, 0.85, 0.45), (1.0, 0.92, 0.25), (1.0, 0.55, 0.15), (0.95, 0.20, 0.20)],
        np.float32,
    )
    at = np.linspace(0, 1, len(bands))
    colour = np.stack([np.interp(across, at, bands[:, i]) for i in range(3)], axis=-1).astype(np.float32)
    share = np.float32(0.62) * (4 * across * (1 - across)) ** np.float32(0.7)
    picture.cover(share * np.clip((np.float32(setting.horizon + 0.1) - picture.frame.y) * 6, 0, 1), colour)


def paint_hills(picture: Picture, light: Light, attributes: Attributes, setting: Setting) -> None:
    """Paint two ridges, the far one paler."""
    for i, (height, haze, roughness) in enumerate(((setting.hills[0], 0.62, 2.2), (setting.hills[1] + 0.03, 0.22, 5.0))):
        seed = setting.hills_seed + 31 * i
        low = setting.horizon - height * 1.6 - 0.05
        area = picture.window((-1, low), (1, setting.horizon + 0.02))
        x, y = area.frame.x, area.frame.y
        line: Field = x[:1]
        profile = np.float32(setting.horizon - height) - np.float32(height * 0.6) * fractal(
            line * np.float32(roughness / 2), line * 0, seed, 3
        )
        if i:
            profile = profile - np.float32(0.012) * (1 + noise(line * 26, line * 0, seed + 2))
        colour = mixed(HILLS[attributes.season], light.haze, haze)
        tone = 1 + np.float32(0.16 - 0.07 * i) * fractal(x * 9, y * 16, seed + 5, 2)
        shine = (
            light.ground * np.float32(1 - haze) + np.float32(haze) if not light.night else light.ground + np.float32(0.25 * haze)
        )
        area.paint(profile - y, np.array(colour, np.float32) * shine * tone[..., None], part="hills")


def paint_ground(picture: Picture, light: Light, attributes: Attributes, setting: Setting) -> None:
    """Paint the meadow from the horizon to the lower edge."""
    area = picture.window((-1, setting.horizon - 0.02), (1, 1))
    x, y = area.frame.x, area.frame.y
    near = np.clip((y - np.float32(setting.horizon)) / np.float32(1 - setting.horizon), 0.02, 1)
    season = attributes.season
    colour = np.array(mixed(*MEADOWS[season], (setting.meadow + 1) / 2), np.float32)
    patches = fractal(x * 2.2 / (0.35 + near), 3.5 / (near + 0.16), setting.hills_seed + 71, 3)
    blades = noise(x * 34 / (0.4 + near), y * 60, setting.hills_seed + 77) * near
    strength = 0.06 if season == "snow" else 0.2
    tone = 1 + np.float32(strength) * patches + np.float32(strength * 0.5) * blades
    far = np.array(light.haze, np.float32) * np.float32(0.4 if light.night else 0.75)
    ground = colour * light.ground * tone[..., None]
    haze = (np.float32(0.3) * (1 - near) ** 3)[..., None]
    area.paint(np.float32(setting.horizon) - y, ground + (far - ground) * haze, part="ground")
    if season in ("autumn", "spring"):
        _sprinkle(area, near, light, season, setting.hills_seed + 91)


SPRINKLES: dict[str, tuple[Rgb, ...]] = {
    "autumn": ((0.86, 0.42, 0.10), (0.78, 0.24, 0.10), (0.92, 0.66, 0.16)),
    "spring": ((0.98, 0.90, 0.30), (0.98, 0.97, 0.95), (0.94, 0.62, 0.76)),
}
"""Fallen leaves and flowers."""


def _sprinkle(area: Picture, near: Field, light: Light, season: str, seed: int) -> None:
    x = area.frame.x
    u, v = x * 17 / (0.45 + near), 15 / (near + 0.32)
    cell_u, cell_v = np.floor(u), np.floor(v)
    chance = noise(cell_u, cell_v, seed)
    offset = np.float32(0.22) * noise(cell_u, cell_v, seed + 1)
    field = np.hypot(u - cell_u - np.float32(0.5) - offset, v - cell_v - np.float32(0.5) - offset) - np.float32(0.26)
    share = np.clip(np.float32(0.5) - field * 3, 0, 1) * (chance > 0.1) * np.clip(near * 2.5, 0, 1)
    palette = np.array(SPRINKLES[season], np.float32)
    kind = np.clip((chance - np.float32(0.1)) * np.float32(len(palette) / 0.9), 0, len(palette) - 1).astype(np.int32)
    area.cover(share * np.float32(0.85), palette[kind] * light.ground)


def paint_path(picture: Picture, light: Light, attributes: Attributes, setting: Setting, door: Point, half: float) -> None:
    """Paint the path from the door, which is `half` wide at that place, towards the viewer."""
    area = picture.window((-1, door[1] - 0.02), (1, 1))
    x, y = area.frame.x, area.frame.y
    t = np.clip((y - np.float32(door[1])) / np.float32(1.05 - door[1]), 0, 1)
    bend, end = (np.float32(value) for value in setting.path)
    middle = (1 - t) ** 2 * np.float32(door[0]) + 2 * t * (1 - t) * (np.float32(door[0]) + bend) + t * t * end
    wobble = np.float32(0.02) * noise(y * 9, x * 0, setting.hills_seed + 5) * t
    field = np.abs(x - middle + wobble) - (np.float32(half) + t * np.float32(0.17))
    field = np.maximum(field, np.float32(door[1]) - y)
    base: Rgb = (0.80, 0.82, 0.88) if attributes.season == "snow" else (0.78, 0.68, 0.50)
    tone = (1 + np.float32(0.10) * fractal(x * 12, y * 22, setting.hills_seed + 17, 2))[..., None]
    area.paint(field, np.array(base, np.float32) * light.ground * tone, part="ground", soft=0.03, opacity=0.9)


def add_haze(picture: Picture, colour: NDArray[np.float32], share: float, setting: Setting) -> None:
    """Cover the picture with fog: `share` at the horizon, less towards the top and the near ground."""
    x, y = picture.frame.x, picture.frame.y
    layers = np.exp(-np.abs(y - np.float32(setting.horizon)) * np.float32(0.55))
    drift = 1 + np.float32(0.16) * fractal(x * 1.2, y * 2.8, setting.sky_seed + 13, 3)
    picture.cover(np.clip(np.float32(share) * layers * drift, 0, 1), colour)
