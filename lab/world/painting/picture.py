"""A picture under construction: layers of colour, and which part each pixel shows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from lab.world.painting.fields import Field, Frame, Point, coverage, frame

Pixels = Field
Colour = Sequence[float] | Pixels
"""Red, green and blue in 0..1: `(3,)`, or `(h, w, 3)` for a colour per pixel."""


class Picture:
    """An RGB picture in 0..1, painted back to front.

    `parts` holds the visible share of each named part in each pixel; those of later layers hide those of earlier ones. All part
    names are given at the start, the first one being the background's. Without names the picture keeps no track of parts.
    """

    def __init__(self, size: int, background: Colour, parts: Sequence[str] = ("background",)) -> None:
        self.frame: Frame = frame(size)
        self.pixels: Pixels = np.empty((size, size, 3), dtype=np.float32)
        self.pixels[:] = background
        self.parts: dict[str, Field] = {name: np.zeros((size, size), dtype=np.float32) for name in parts}
        if parts:
            self.parts[parts[0]][:] = 1

    def window(self, low: Point, high: Point) -> Picture:
        """Return the part of the picture between two corners. Painting there paints this picture, at the cost of the part alone."""
        at = self.frame.window(low, high)
        view = object.__new__(Picture)
        view.frame = Frame(self.frame.x[at], self.frame.y[at], self.frame.pixel)
        view.pixels = self.pixels[at]
        view.parts = {name: share[at] for name, share in self.parts.items()}
        return view

    def paint(
        self, field: Field, colour: Colour, *, part: str | None = None, opacity: float | Field = 1.0, soft: float = 0.0
    ) -> None:
        """Paint the shape of `field` in `colour`. With `part`, its pixels belong to that part from now on."""
        self.cover(coverage(field, self.frame.pixel, soft) * np.float32(opacity), colour, part=part)

    def cover(self, share: Field, colour: Colour, *, part: str | None = None) -> None:
        """Blend `colour` into the picture by `share` in 0..1 of each pixel."""
        self.pixels += (np.asarray(colour, dtype=np.float32) - self.pixels) * share[..., None]
        if part is None or not self.parts:
            return
        keep = 1 - share
        for each in self.parts.values():
            each *= keep
        self.parts[part] += share

    def shade(self, factor: Field, where: Field | None = None) -> None:
        """Multiply the picture by `factor` (1: unchanged), in the pixels of `where` in 0..1."""
        change = factor if where is None else 1 + (factor - 1) * where
        self.pixels *= change[..., None]

    def grain(self, strength: float, seed: int) -> None:
        """Add film grain: Gaussian noise of standard deviation `strength`, mostly in brightness, weaker in black and white."""
        rng = np.random.default_rng(seed)
        height, width, _ = self.pixels.shape
        luma, chroma = rng.standard_normal((height, width, 1)), rng.standard_normal((height, width, 3))
        level = self.pixels.mean(axis=2, keepdims=True)
        amount = strength * (0.4 + 2.4 * level * (1 - level))
        self.pixels += (amount * (luma + 0.35 * chroma)).astype(np.float32)

    def image(self) -> Image.Image:
        """Return the picture as 8-bit RGB."""
        return Image.fromarray(np.rint(self.pixels.clip(0, 1) * 255).astype(np.uint8))


def rgb(colour: Sequence[float]) -> Pixels:
    """Return the colour as an array, for arithmetic."""
    return np.asarray(colour, dtype=np.float32)


def mixed(a: Sequence[float], b: Sequence[float], t: float) -> tuple[float, float, float]:
    """Return the colour between `a` (t = 0) and `b` (t = 1)."""
    r, g, blue = (x + (y - x) * t for x, y in zip(a, b, strict=True))
    return r, g, blue
