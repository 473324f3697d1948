"""The light of a photo, and how it falls on skin, hair and cloth."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lab.world.painting.fields import Field
from lab.world.painting.picture import Pixels, rgb
from lab.world.person.identity import Setting

SKIN_BLEED = np.array([0.80, 1.04, 1.14], dtype=np.float32)
"""Exponents of the light on skin: shadows stay warm, because red light travels furthest under the skin."""


@dataclass(frozen=True, slots=True)
class Light:
    """A soft key light, fill light from everywhere, and a rim light from behind. Directions are those of the picture."""

    direction: tuple[float, float, float]
    key: tuple[float, float, float]
    fill: tuple[float, float, float]
    strength: float  # of the key light
    ambient: float

    @classmethod
    def of(cls, setting: Setting) -> Light:
        x, y, z = setting.light[0] * 0.85, -setting.light[1] * 0.75, 0.78
        length = math.sqrt(x * x + y * y + z * z)
        warm = setting.warmth
        return cls(
            (x / length, y / length, z / length),
            (1 + 0.035 * warm, 1.0, 1 - 0.055 * warm),
            (1 - 0.02 * warm, 1.0, 1 + 0.05 * warm),
            0.56 + 0.16 * setting.contrast,
            0.52 - 0.13 * setting.contrast,
        )

    def level(self, normal: tuple[Field, Field, Field], hollow: Field | float = 0.0) -> tuple[Field, Field]:
        """Return the key light (wrapped a little around the form) and the fill light on a surface."""
        nx, ny, nz = normal
        lx, ly, lz = self.direction
        facing = nx * lx + ny * ly + nz * lz
        lit = np.clip((facing + 0.25) / 1.25, 0, 1)
        key: Field = self.strength * lit * (1 - 0.35 * hollow)
        fill: Field = self.ambient * (0.86 - 0.14 * ny) * (1 - 0.55 * hollow)
        return key, fill

    def on_skin(self, normal: tuple[Field, Field, Field], hollow: Field, dark: Field | float = 0.0) -> Pixels:
        """Return the factor per pixel and channel by which light changes skin. `dark` in 0..1 is cast shadow."""
        key, fill = self.level(normal, hollow)
        total = np.maximum(key * (1 - dark) + fill * (1 - 0.3 * dark), 0.02)
        edge = np.clip(1 - normal[2], 0, 1)
        edge = edge * edge * edge
        factor = total[..., None] ** SKIN_BLEED
        tint = (key[..., None] * rgb(self.key) + fill[..., None] * rgb(self.fill)) / (key + fill + 1e-4)[..., None]
        pixels: Pixels = (
            factor * tint + (0.10 * self.strength * edge * np.clip(0.4 - normal[0] * self.direction[0], 0, 1))[..., None]
        )
        return pixels

    def on_cloth(self, normal: tuple[Field, Field, Field], hollow: Field | float = 0.0) -> Pixels:
        """Return the factor per pixel and channel for dull cloth."""
        key, fill = self.level(normal, hollow)
        pixels: Pixels = key[..., None] * rgb(self.key) + fill[..., None] * rgb(self.fill)
        return pixels
