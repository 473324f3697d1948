"""Backdrop, neck, shoulders and clothes."""

from __future__ import annotations

import random

import numpy as np

from lab.world.domain import Subject
from lab.world.painting.fields import Field, blend, box, coverage, ellipse, frame, polygon, polyline, segment, subtract
from lab.world.painting.picture import Picture, Pixels, mixed, rgb
from lab.world.painting.texture import fractal, noise
from lab.world.person.complexion import tone
from lab.world.person.geometry import Placement
from lab.world.person.identity import Colour, Setting
from lab.world.person.light import Light


def backdrop(setting: Setting, size: int) -> Pixels:
    """Return the blurred background."""
    at = frame(size)
    a, b = (rgb(c) for c in setting.backdrop_colours)
    rng = random.Random(f"backdrop-{setting.seed}")
    tilt = rng.uniform(-0.5, 0.5)
    t = np.clip(0.5 + 0.42 * at.y + tilt * at.x, 0, 1)[..., None]
    pixels: Pixels = a + (b - a) * t
    if setting.backdrop == "wall":
        pixels = a * (1 + 0.035 * fractal(at.x * 4, at.y * 4, setting.seed, 3))[..., None]
    elif setting.backdrop == "bokeh":
        pixels *= 0.72
        for _ in range(14):
            spot = np.hypot(at.x - np.float32(rng.uniform(-1, 1)), at.y - np.float32(rng.uniform(-1, 0.7))) - rng.uniform(0.07, 0.2)
            glow = coverage(spot, at.pixel, 0.07) * np.float32(rng.uniform(0.12, 0.45))
            pixels += (rgb(mixed(rng.choice(setting.backdrop_colours), (1, 0.92, 0.78), 0.55)) - pixels) * glow[..., None]
    elif setting.backdrop == "foliage":
        leaf = fractal(at.x * 3, at.y * 3, setting.seed, 2)
        sun = np.clip(fractal(at.x * 4.5, at.y * 4.5, setting.seed + 1, 2) - 0.15, 0, 1)
        dark, bright = rgb(mixed(setting.backdrop_colours[0], (0.16, 0.27, 0.12), 0.75)), rgb((0.52, 0.62, 0.30))
        pixels = dark + (bright - dark) * np.clip(0.4 + 0.7 * leaf, 0, 1)[..., None]
        pixels += (rgb((0.92, 0.92, 0.70)) - pixels) * np.clip(1.2 * sun, 0, 0.8)[..., None]
    lit = 1 + 0.12 * at.x * np.float32(setting.light[0]) - 0.10 * np.clip(np.hypot(at.x, at.y) - 0.5, 0, 1)
    pixels *= lit[..., None]
    return pixels


class Body:
    """Neck and shoulders, which turn less than the head."""

    def __init__(self, picture: Picture, placement: Placement, subject: Subject, light: Light) -> None:
        cx, cy = placement.centre
        self.picture = picture.window((-1.1, cy - 0.26), (1.1, 1.1))
        at = self.picture.frame
        self.light, self.placement, self.subject = light, placement, subject
        self.man = subject.attributes.gender == "man"
        scale = placement.scale
        self.x: Field = (at.x - np.float32(cx)) / scale
        self.y: Field = (at.y - np.float32(cy)) / scale + 0.13  # 0.13 at the pivot of the head
        self.neck_x = 0.035 * placement.rows[2][0]
        self.neck = 0.158 if self.man else 0.128
        self.pixel = at.pixel / scale
        self.drape = self._drape()

    def paint(self) -> None:
        """Paint neck and clothes."""
        wide = 0.80 if self.man else 0.70
        chest = ellipse(self.x, self.y, (0, 1.02), (wide, 0.60))
        slope = ellipse(self.x, self.y, (0, 0.62), (0.34, 0.17))
        shoulders = blend(chest, slope, 0.14)
        self._skin(blend(box(self.x, self.y, (self.neck_x, 0.2), (self.neck, 0.42), 0.05), shoulders, 0.10))
        kind = self.subject.setting.clothes
        getattr(self, f"_{kind.replace('-', '_')}")(shoulders)

    def _skin(self, field: Field) -> None:
        u = np.clip((self.x - self.neck_x) / (self.neck * 1.25), -1, 1)
        u = u * np.clip(1.25 - 1.1 * np.clip(self.y - 0.28, 0, 1), 0, 1)
        nz = np.sqrt(np.maximum(1 - u * u, 0.05))
        normal = (u, np.full_like(u, -0.05), nz)
        chin_x, chin_y, _ = self.placement.project((0, 0.44, 0.2))
        at = self.picture.frame
        lx, _, _ = self.light.direction
        spot = ellipse(at.x, at.y, (chin_x - 0.08 * lx, chin_y + 0.02), (0.30, 0.15))
        dark = coverage(spot, at.pixel, 0.16)
        cord = np.exp(-(((np.abs(self.x - self.neck_x) - 0.055 - 0.05 * (0.5 - self.y)) / 0.018) ** 2)) * np.clip(
            (self.y - 0.2) * 5, 0, 1
        )
        hollow = 0.25 * cord + 0.15 * dark
        colour = rgb(tone(self.subject.identity)) * self.light.on_skin(normal, hollow, dark * 0.85)
        self.picture.cover(coverage(field, self.pixel), colour, part="neck")

    def _drape(self) -> Pixels:
        """Return the light on cloth with soft folds, and its weave."""
        seed = self.subject.setting.seed
        u = np.clip(self.x / 0.72, -1, 1)
        folds = fractal(self.x * 3.2 + 1.5 * self.y, self.y * 2.2 - self.x, seed + 21, 2)
        weave = noise(self.x * 70, self.y * 70, seed + 22)
        nx = 0.8 * u + 0.35 * folds
        ny = np.clip(0.35 - 1.4 * np.maximum(0.42 - self.y + 0.25 * np.abs(u), 0), -0.8, 0.2) + 0.2 * folds
        nz = np.sqrt(np.maximum(1 - np.minimum(nx * nx + ny * ny, 0.9), 0.1))
        near = np.clip(1 - np.hypot((self.x - self.neck_x) / 0.30, (self.y - 0.28) / 0.22), 0, 1)
        pixels: Pixels = self.light.on_cloth((nx, ny, nz), 0.6 * near) * (1 + 0.035 * weave)[..., None]
        return pixels

    def _cloth(self, field: Field, colour: Colour, dark: float = 0.0, ribs: float = 0.0) -> None:
        """Paint cloth."""
        pixels = rgb(colour) * self.drape * np.float32(1 - dark)
        if ribs:
            pixels *= (1 + 0.08 * np.sin(self.x * ribs))[..., None]
        self.picture.cover(coverage(field, self.pixel), pixels, part="clothes")

    def _tee(self, shoulders: Field) -> None:
        colour = self.subject.setting.clothes_colour
        opening = ellipse(self.x, self.y, (self.neck_x * 0.5, 0.40), (0.215, 0.14 if self.man else 0.19))
        self._cloth(subtract(shoulders - 0.012, opening), colour)
        rim = np.maximum(np.maximum(np.abs(opening - 0.016) - 0.014, shoulders - 0.014), 0.36 - self.y)
        self._cloth(rim, colour, dark=0.14)

    def _v_neck(self, shoulders: Field) -> None:
        colour = self.subject.setting.clothes_colour
        cut = polygon(self.x, self.y, [(-0.20, 0.30), (0.20, 0.30), (0.165, 0.46), (0.0, 0.70), (-0.165, 0.46)])
        self._cloth(subtract(shoulders - 0.014, cut), colour)
        rim = np.maximum(np.maximum(np.abs(cut - 0.018) - 0.014, shoulders - 0.016), 0.38 - self.y)
        self._cloth(rim, colour, dark=0.16)

    def _shirt(self, shoulders: Field) -> None:
        colour = self.subject.setting.clothes_colour
        cut = polygon(self.x, self.y, [(-0.19, 0.26), (0.19, 0.26), (0.14, 0.44), (0.0, 0.60), (-0.14, 0.44)])
        self._cloth(subtract(shoulders - 0.014, cut), colour)
        self._collar(colour)
        self._cloth(segment(self.x, self.y, (0.015, 0.60), (0.015, 1.2), 0.007), colour, dark=0.3)
        for y in (0.68, 0.83):
            self._cloth(np.hypot(self.x, self.y - np.float32(y)) - 0.014, mixed(colour, (0.95, 0.95, 0.92), 0.7))

    def _collar(self, colour: Colour) -> None:
        side = np.abs(self.x)
        flap = polygon(side, self.y, [(0.145, 0.27), (0.20, 0.34), (0.225, 0.50), (0.115, 0.60), (0.015, 0.575), (0.10, 0.43)])
        self._cloth(flap - 0.012, colour, dark=0.24)
        self._cloth(flap, mixed(colour, (1, 1, 1), 0.10), dark=0.02)

    def _turtleneck(self, shoulders: Field) -> None:
        colour = self.subject.setting.clothes_colour
        self._cloth(shoulders - 0.014, colour)
        roll = box(self.x, self.y, (self.neck_x * 0.7, 0.36), (self.neck + 0.035, 0.13), 0.05)
        self._cloth(roll - 0.012, colour, dark=0.22)
        self._cloth(roll, colour, dark=0.0, ribs=95)

    def _hoodie(self, shoulders: Field) -> None:
        colour = self.subject.setting.clothes_colour
        hood = subtract(
            ellipse(self.x, self.y, (0, 0.40), (0.36, 0.20)), ellipse(self.x, self.y, (self.neck_x, 0.34), (0.185, 0.22))
        )
        opening = ellipse(self.x, self.y, (self.neck_x * 0.5, 0.38), (0.20, 0.18))
        self._cloth(subtract(shoulders - 0.03, opening), colour)
        self._cloth(hood - 0.01, colour, dark=0.26)
        self._cloth(hood + 0.01, colour, dark=0.04)
        for side in (-1, 1):
            cord = polyline(self.x, self.y, [(side * 0.10, 0.55), (side * 0.115, 0.70), (side * 0.10, 0.84)], 0.011)
            self._cloth(cord, self.subject.setting.under_colour)

    def _blazer(self, shoulders: Field) -> None:
        setting = self.subject.setting
        under = mixed(setting.under_colour, (1, 1, 1), 0.55)
        cut = ellipse(self.x, self.y, (self.neck_x * 0.5, 0.40), (0.19, 0.15))
        self._cloth(subtract(shoulders - 0.012, cut), under)
        side = np.abs(self.x)
        front = polygon(side, self.y, [(0.17, 0.20), (0.24, 0.36), (0.20, 0.62), (0.02, 1.05), (1.4, 1.05), (1.4, 0.20)])
        jacket = np.maximum(front, shoulders - 0.026)
        dark = mixed(setting.clothes_colour, (0.12, 0.12, 0.15), 0.45)
        self._cloth(jacket, dark)
        lapel = polygon(
            side, self.y, [(0.165, 0.28), (0.25, 0.36), (0.33, 0.60), (0.26, 0.64), (0.28, 0.70), (0.03, 1.03), (0.16, 0.62)]
        )
        self._cloth(lapel - 0.010, dark, dark=0.3)
        self._cloth(lapel, mixed(dark, (1, 1, 1), 0.07))
