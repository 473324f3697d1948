"""What differs between two photos of one cat and is neither identity nor captioned: light, backdrop, framing and grain.

Backdrops are out of focus: a studio wall, a sofa, a garden, a window, lights at night.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from lab.world.cat.identity import Rgb
from lab.world.painting.fields import Field, box, coverage, ellipse, frame
from lab.world.painting.picture import Picture, Pixels, mixed
from lab.world.painting.texture import noise

Backdrop = Literal["studio", "sofa", "garden", "window", "lights"]
WALLS: tuple[Rgb, ...] = (
    (0.80, 0.74, 0.66),
    (0.62, 0.70, 0.76),
    (0.70, 0.76, 0.68),
    (0.82, 0.70, 0.68),
    (0.55, 0.55, 0.62),
    (0.46, 0.56, 0.56),
    (0.86, 0.82, 0.74),
)
SOFAS: tuple[Rgb, ...] = ((0.34, 0.42, 0.48), (0.58, 0.34, 0.28), (0.44, 0.46, 0.36), (0.66, 0.58, 0.48), (0.30, 0.28, 0.36))


@dataclass(frozen=True, slots=True)
class Setting:
    backdrop: Backdrop
    light_side: float  # -1 from the left .. 1 from the right
    light_height: float  # 0.2..0.8
    warmth: float  # -1 cool .. 1 warm
    brightness: float
    rim: float  # strength of the light from behind
    offset: tuple[float, float]
    scale: float
    roll: float  # of the head, radians
    yaw: float  # of the head, added to the pose's
    seed: int  # of backdrop and grain

    @classmethod
    def sample(cls, rng: random.Random) -> Setting:
        backdrop: Backdrop = rng.choice(get_args(Backdrop))
        return cls(
            backdrop=backdrop,
            light_side=rng.choice((-1, 1)) * rng.uniform(0.35, 1.0),
            light_height=rng.uniform(0.25, 0.75),
            warmth=rng.uniform(-0.6, 1.0),
            brightness=rng.uniform(0.92, 1.1),
            rim=rng.uniform(0.2, 0.75),
            offset=(rng.uniform(-0.06, 0.06), rng.uniform(-0.03, 0.05)),
            scale=rng.uniform(0.93, 1.05),
            roll=rng.uniform(-0.10, 0.10),
            yaw=rng.uniform(-0.06, 0.06),
            seed=rng.randrange(1 << 30),
        )

    @property
    def key_colour(self) -> Rgb:
        return mixed((1.0, 1.0, 1.0), (1.10, 0.97, 0.80) if self.warmth > 0 else (0.90, 0.98, 1.10), abs(self.warmth))

    @property
    def ambient_colour(self) -> Rgb:
        return mixed((1.0, 1.0, 1.0), (0.88, 0.95, 1.08) if self.warmth > 0 else (1.04, 1.0, 0.94), abs(self.warmth))


def backdrop(setting: Setting, size: int, parts: tuple[str, ...]) -> Picture:
    """Return a picture that shows the backdrop alone, its light falling from the side of the key light."""
    rng = random.Random(f"backdrop-{setting.seed}")
    at = frame(size)
    wall = rng.choice(WALLS)
    glow = np.clip(1.06 + 0.16 * setting.light_side * at.x - 0.16 * at.y, 0.6, 1.4)
    tint = np.asarray(setting.key_colour, np.float32)
    picture = Picture(size, _graded(at.y, mixed(wall, (1, 1, 1), 0.1), mixed(wall, (0.2, 0.18, 0.2), 0.35)), parts)
    paint = {"studio": _studio, "sofa": _sofa, "garden": _garden, "window": _window, "lights": _lights}[setting.backdrop]
    paint(picture, setting, rng)
    picture.pixels *= glow[..., None] * tint
    return picture


def _graded(y: Field, top: Rgb, bottom: Rgb) -> Pixels:
    t = np.clip((y + 1) / 2, 0, 1)
    return np.stack([(a + (b - a) * t) for a, b in zip(top, bottom, strict=True)], axis=-1)


def _studio(picture: Picture, setting: Setting, rng: random.Random) -> None:
    at = picture.frame
    spot = ellipse(at.x, at.y, (-0.3 * setting.light_side, -0.3), (0.75, 0.75))
    picture.paint(spot, mixed(rng.choice(WALLS), (1, 1, 1), 0.3), opacity=0.5, soft=1.3)
    picture.shade(1 + np.float32(0.05) * noise(at.x * 2.5, at.y * 2.5, setting.seed))


def _sofa(picture: Picture, setting: Setting, rng: random.Random) -> None:
    at = picture.frame
    colour, top = rng.choice(SOFAS), rng.uniform(-0.35, 0.1)
    lamp = rng.choice((-1, 1)) * rng.uniform(0.5, 0.9)
    picture.paint(ellipse(at.x, at.y, (lamp, -0.75), (0.3, 0.3)), (1.0, 0.90, 0.70), opacity=0.6, soft=0.6)
    frame_at = (-lamp * 0.85, rng.uniform(-0.75, -0.6))
    picture.paint(box(at.x, at.y, frame_at, (0.26, 0.22), 0.02), mixed(colour, (0.9, 0.88, 0.82), 0.7), opacity=0.7, soft=0.10)
    back = box(at.x, at.y, (0.0, top + 1.0), (1.6, 1.0), 0.15)
    folds = 0.06 * noise(at.x * 2.2, at.y * 1.2, setting.seed)
    light = np.clip(1.12 - 0.5 * (at.y - top) + folds, 0.6, 1.25)
    picture.paint(back, np.asarray(colour, np.float32) * light[..., None], soft=0.09)
    seam = rng.uniform(-0.5, 0.5)
    picture.paint(box(at.x, at.y, (seam, top + 1.0), (0.015, 0.96)), mixed(colour, (0, 0, 0), 0.5), opacity=0.5, soft=0.10)
    cushion = rng.choice((-0.85, 0.85))
    picture.paint(box(at.x, at.y, (cushion, top + 0.35), (0.3, 0.3), 0.1, 0.3), mixed(rng.choice(WALLS), (1, 1, 1), 0.2), soft=0.12)


def _garden(picture: Picture, setting: Setting, rng: random.Random) -> None:
    at = picture.frame
    picture.pixels[:] = _graded(at.y, (0.66, 0.78, 0.58), (0.26, 0.40, 0.20))
    leaves = noise(at.x * 2.0, at.y * 2.0, setting.seed) + 0.5 * noise(at.x * 4.5, at.y * 4.5, setting.seed + 1)
    picture.shade(1 + np.float32(0.28) * leaves)
    blossom = rng.choice(((0.95, 0.80, 0.40), (0.92, 0.60, 0.66), (0.90, 0.92, 0.95), (0.72, 0.62, 0.86)))
    for _ in range(12):
        colour = rng.choice(((0.80, 0.90, 0.55), (0.48, 0.64, 0.34), (0.94, 0.97, 0.80), blossom))
        _disc(picture, (rng.uniform(-1, 1), rng.uniform(-1, 0.7)), rng.uniform(0.07, 0.22), colour, rng.uniform(0.25, 0.6))


def _window(picture: Picture, setting: Setting, rng: random.Random) -> None:
    at = picture.frame
    x = 0.55 * setting.light_side / abs(setting.light_side) + rng.uniform(-0.1, 0.1)
    half = rng.uniform(0.42, 0.55)
    outside = _graded(at.y, (0.80, 0.87, 0.93), (0.58, 0.70, 0.54))
    picture.paint(box(at.x, at.y, (x, -0.4), (half, 0.72), 0.02), outside, soft=0.10)
    for bar in ((x, -0.4, 0.022, 0.72), (x, -0.45, half, 0.022)):
        picture.paint(box(at.x, at.y, bar[:2], bar[2:]), (0.88, 0.86, 0.84), opacity=0.8, soft=0.07)
    picture.paint(box(at.x, at.y, (x, 0.37), (half + 0.12, 0.05)), (0.90, 0.87, 0.82), soft=0.07)
    curtain = rng.choice(WALLS)
    for side in (-1, 1):
        folds = np.float32(0.9) + np.float32(0.12) * np.sin(at.x * 30 + side)
        cloth = np.asarray(curtain, np.float32) * folds[..., None]
        picture.paint(box(at.x, at.y, (x + side * (half + 0.08), -0.3), (0.12, 0.9)), cloth, soft=0.12)


def _lights(picture: Picture, setting: Setting, rng: random.Random) -> None:
    at = picture.frame
    dark = rng.choice(((0.16, 0.13, 0.20), (0.10, 0.15, 0.22), (0.22, 0.14, 0.12)))
    picture.pixels[:] = _graded(at.y, mixed(dark, (0.5, 0.4, 0.4), 0.25), dark)
    picture.shade(1 + np.float32(0.15) * noise(at.x * 2, at.y * 2, setting.seed))
    hues = rng.choice(
        (((1.0, 0.78, 0.42), (1.0, 0.62, 0.30)), ((0.96, 0.84, 0.60), (0.60, 0.72, 0.95)), ((1.0, 0.6, 0.6), (0.95, 0.85, 0.5)))
    )
    for _ in range(15):
        _disc(
            picture, (rng.uniform(-1, 1), rng.uniform(-1, 0.6)), rng.uniform(0.06, 0.15), rng.choice(hues), rng.uniform(0.3, 0.75)
        )


def _disc(picture: Picture, centre: tuple[float, float], radius: float, colour: Rgb, opacity: float) -> None:
    """Paint a light out of focus: a disc with a slightly brighter edge."""
    pad = radius + 0.04
    view = picture.window((centre[0] - pad, centre[1] - pad), (centre[0] + pad, centre[1] + pad))
    if view.pixels.size == 0:
        return
    field = ellipse(view.frame.x, view.frame.y, centre, (radius, radius))
    edge = np.clip(1 + field / np.float32(radius), 0, 1)
    view.cover(coverage(field, view.frame.pixel, 0.03) * np.float32(opacity) * (0.75 + 0.25 * edge), colour)
