"""People as photographs at full size: thousands of pixels wide, with hair strands, skin, weave, lens blur and grain.

A person is drawn at `DRAWN_AT` pixels at most and scaled up. Textures and grain are added at full size. They depend on the pose,
the position, the part and a seed, not on the other attributes. So a source and its true answer are equal pixel by pixel wherever
the edit changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from lab.world.domain import Subject
from lab.world.person import portrait

Floats = NDArray[np.float32]
Point = tuple[float, float]
DRAWN_AT = 1024
"""Drawing takes four times as long at twice the side: about 8 s here."""
HAIR = ("hair", "beard", "brows")
SKIN = ("skin", "neck")
CLOTH = ("clothes", "hat")
STRANDS, PORES, WEAVE = 0.16, 0.035, 0.06
"""Relative change of brightness by each texture: standard deviation for strands and pores, amplitude for the weave."""
GRAIN = 2.2
"""Standard deviation of the sensor noise in 8-bit levels at middle grey. It grows with the square root of the brightness."""
CROWN = (0.0, -0.5, -0.1)
"""The point of the head that the strands of hair start from."""


@dataclass(frozen=True, eq=False)
class Photograph:
    """A picture (RGB), its identity mask (L) and where the whole person stands (L), all `size` pixels square."""

    picture: Image.Image
    mask: Image.Image
    person: Image.Image


@dataclass(frozen=True, eq=False)
class Textures:
    """Textures as relative changes of brightness, and grain in 8-bit levels, for photographs of `size` pixels."""

    strands: Floats  # (size, size), as are the next two
    pores: Floats
    weave: Floats
    grain: Floats  # (size, size, 3)


@dataclass(frozen=True, eq=False)
class Drawing:
    """A person without textures and grain, and the share of each pixel that shows some of the parts."""

    picture: Image.Image
    shares: Mapping[str, Image.Image]

    def at(self, size: int) -> Drawing:
        """Scale to `size` pixels."""
        if self.picture.width == size:
            return self
        way, square = Image.Resampling.BICUBIC, (size, size)
        return Drawing(self.picture.resize(square, way), {name: each.resize(square, way) for name, each in self.shares.items()})


@lru_cache(maxsize=8)
def drawing(subject: Subject, size: int) -> Drawing:
    """Draw a person. The last ones are kept, because the same drawing serves photographs of all larger sizes."""
    painted = portrait.paint(subject, size, parts=True)

    def share(names: tuple[str, ...]) -> Image.Image:
        covered = sum(painted.parts[name] for name in names)
        return Image.fromarray(np.rint(np.clip(covered, 0, 1) * 255).astype(np.uint8))

    groups = {"hair": HAIR, "skin": SKIN, "cloth": CLOTH}
    groups |= {"masked": tuple(name for name in portrait.PARTS if name not in portrait.OUTSIDE)}
    groups |= {"person": tuple(name for name in portrait.PARTS if name != "background")}
    return Drawing(painted.image(), {name: share(parts) for name, parts in groups.items()})


def photograph(subject: Subject, size: int, seed: int = 0) -> Photograph:
    """Return a photograph of a person, `size` pixels square, with the textures and the grain of `seed`."""
    drawn = drawing(subject, min(size, DRAWN_AT)).at(size)
    shares = {name: np.asarray(drawn.shares[name], dtype=np.float32) / np.float32(255) for name in ("hair", "skin", "cloth")}
    texture = textures(size, seed, _crown(subject))
    brightness = 1 + texture.strands * shares["hair"] + texture.pores * shares["skin"] + texture.weave * shares["cloth"]
    textured = _blurred_lens(np.asarray(drawn.picture, dtype=np.float32) * brightness[..., None], size)
    noise = np.sqrt(np.clip(textured, 16, 255) / 128) * texture.grain
    picture = Image.fromarray(np.rint(textured + noise).clip(0, 255).astype(np.uint8))
    return Photograph(picture, drawn.shares["masked"], drawn.shares["person"])


@lru_cache(maxsize=1)
def textures(size: int, seed: int, crown: Point) -> Textures:
    """Return the textures of `seed`. A person and every edit of that person in the same pose share them."""
    rng = np.random.default_rng(seed)
    strands, pores = _strands(size, crown, rng), _pores(size, rng)
    grain = _smooth(rng.standard_normal((size, size, 3), dtype=np.float32), 0.6)
    return Textures(strands, pores, _weave(size), np.asarray(GRAIN / float(grain.std()) * grain, dtype=np.float32))


def _crown(subject: Subject) -> Point:
    """Return the place of the crown in the frame, which spans -1..1."""
    x, y, _ = portrait.placement_of(subject).project(CROWN)
    return x, y


def _smooth(noise: Floats, sigma: float) -> Floats:
    """Blur along the first two axes with a Gaussian."""
    reach = max(1, math.ceil(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1, dtype=np.float32) / sigma) ** 2)
    kernel /= kernel.sum()
    for axis in (0, 1):
        pads = [(reach, reach) if each == axis else (0, 0) for each in range(noise.ndim)]
        padded = np.pad(noise, pads, mode="reflect")
        length = noise.shape[axis]
        noise = np.sum([weight * np.take(padded, range(i, i + length), axis=axis) for i, weight in enumerate(kernel)], axis=0)
    return noise


def _strands(size: int, crown: Point, rng: np.random.Generator) -> Floats:
    """Return the brightness of hair strands that radiate from the crown, `(size, size)`: rough across them, smooth along them."""
    across, along = 4096, 24
    table = rng.standard_normal((across, along), dtype=np.float32)
    table = np.asarray(Image.fromarray(table).resize((256, across), Image.Resampling.BICUBIC))
    table = table / table.std()
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) * np.float32(2 / size) - 1
    dx, dy = x - np.float32(crown[0]), y - np.float32(crown[1])
    radius = np.hypot(dx, dy)
    wave = 0.05 * np.sin(9 * radius)
    angle = (np.arctan2(dy, dx) / (2 * math.pi) + 0.5 + wave / np.maximum(5 * radius, 1)) % 1
    rows = (angle * across).astype(np.int32) % across
    columns = np.clip(radius / 1.6 * 256, 0, 255).astype(np.int32)
    share = (angle * across) % 1
    between = (1 - share) * table[rows, columns] + share * table[(rows + 1) % across, columns]
    return np.asarray(STRANDS * between, dtype=np.float32)


def _pores(size: int, rng: np.random.Generator) -> Floats:
    """Return the brightness of skin, `(size, size)`: blotches of several sizes, the finest a few pixels wide at 12 megapixels."""
    total = np.zeros((size, size), dtype=np.float32)
    for cells, weight in ((90, 0.35), (360, 0.35), (1100, 0.6)):
        count = min(cells, size)
        noise = Image.fromarray(rng.standard_normal((count, count), dtype=np.float32))
        layer = np.asarray(noise.resize((size, size), Image.Resampling.BICUBIC))
        total += weight * layer / layer.std()
    return np.asarray(PORES * total, dtype=np.float32)


def _weave(size: int) -> Floats:
    """Return the brightness of cloth, `(size, size)`: 300 threads across the picture in each direction."""
    phase = np.arange(size, dtype=np.float32) * np.float32(2 * math.pi * 300 / size)
    return np.asarray(WEAVE / 2 * (np.sin(phase)[:, None] * np.sin(phase)[None]), dtype=np.float32)


def _blurred_lens(pixels: Floats, size: int) -> Floats:
    """Blur as a lens does: a Gaussian of 0.9 pixels at 12 megapixels, scaled to `size`."""
    sigma = 0.9 * size / 3464
    if sigma < 0.2:
        return pixels
    picture = Image.fromarray(np.rint(pixels).clip(0, 255).astype(np.uint8))
    return np.asarray(picture.filter(ImageFilter.GaussianBlur(sigma)), dtype=np.float32)
