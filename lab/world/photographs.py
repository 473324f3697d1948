"""Portraits rendered as photographs: thousands of pixels wide, with hair strands, skin, weave, lens blur and grain.

Textures and grain depend on position, part and seed, never on the attributes. So a source and its ground truth are equal pixel by
pixel wherever the edit changes nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from lab.world.drawing import FOCUS, PARTS, SIZE
from lab.world.people import Person
from lab.world.portraits import draw

Floats = NDArray[np.float32]
HAIR = ("hair", "beard", "brows")
SKIN = ("face", "neck", "ears", "nose")
STRANDS, PORES, WEAVE = 0.16, 0.035, 0.06
"""Relative change of brightness by each texture: standard deviation for strands and pores, amplitude for the weave."""
GRAIN = 2.2
"""Standard deviation of the sensor noise in 8-bit levels at middle grey. It grows with the square root of the brightness."""
CROWN = (FOCUS[0], FOCUS[1] - 26.0)
"""The point that the strands of hair start from, in world units."""


@dataclass(frozen=True, eq=False)
class Photograph:
    """A picture (RGB), its identity mask (L) and the index in `PARTS` of every pixel, all `size` pixels square."""

    picture: Image.Image
    mask: Image.Image
    labels: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Textures:
    """Textures as relative changes of brightness, and grain in 8-bit levels, for photographs of `size` pixels."""

    strands: Floats  # (size, size), as are the next two
    pores: Floats
    weave: Floats
    grain: Floats  # (size, size, 3)


@lru_cache(maxsize=1)
def textures(size: int, seed: int) -> Textures:
    """Return the textures of `seed`. A person and every edit of that person share them."""
    rng = np.random.default_rng(seed)
    strands, pores = _strands(size, rng), _pores(size, rng)
    grain = _smooth(rng.standard_normal((size, size, 3), dtype=np.float32), 0.6)
    return Textures(strands, pores, _weave(size), np.asarray(GRAIN / float(grain.std()) * grain, dtype=np.float32))


def photograph(person: Person, size: int, seed: int = 0) -> Photograph:
    """Render `person` as a photograph, `size` pixels square, with the textures and the grain of `seed`."""
    drawn, labels = draw(person, math.ceil(size / SIZE))
    picture = np.asarray(drawn.resize((size, size), Image.Resampling.LANCZOS), dtype=np.float32)
    parts = np.asarray(Image.fromarray(labels).resize((size, size), Image.Resampling.NEAREST))
    texture = textures(size, seed)
    brightness = 1 + texture.strands * _share(parts, HAIR) + texture.pores * _share(parts, SKIN)
    brightness += texture.weave * _share(parts, ("clothes", "hat"))
    textured = _blurred_lens(picture * brightness[..., None], size)
    noise = np.sqrt(np.clip(textured, 16, 255) / 128) * texture.grain
    body = np.isin(parts, [PARTS.index(name) for name in ("background", "clothes", "neck")])
    mask = Image.fromarray(((~body) * 255).astype(np.uint8))
    return Photograph(Image.fromarray(np.rint(textured + noise).clip(0, 255).astype(np.uint8)), mask, parts)


def _share(parts: NDArray[np.uint8], names: tuple[str, ...]) -> Floats:
    """Return `(size, size)`: 1 where a pixel shows one of the parts, else 0."""
    return np.isin(parts, [PARTS.index(name) for name in names]).astype(np.float32)


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


def _strands(size: int, rng: np.random.Generator) -> Floats:
    """Return the brightness of hair strands that radiate from the crown, `(size, size)`: rough across them, smooth along them."""
    across, along = 4096, 24
    table = rng.standard_normal((across, along), dtype=np.float32)
    table = np.asarray(Image.fromarray(table).resize((256, across), Image.Resampling.BICUBIC))
    table = table / table.std()
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) * np.float32(SIZE / size)
    dx, dy = x - CROWN[0], y - CROWN[1]
    radius = np.hypot(dx, dy)
    wave = 0.05 * np.sin(radius / 7)
    angle = (np.arctan2(dy, dx) / (2 * math.pi) + 0.5 + wave / np.maximum(radius / 12, 1)) % 1
    rows = (angle * across).astype(np.int32) % across
    columns = np.clip(radius / 100 * 256, 0, 255).astype(np.int32)
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
