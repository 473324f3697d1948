"""Portraits of the world as photographs: thousands of pixels wide, with hair strands, skin, weave, lens blur and grain.

What is added depends on the place, the part and the seed, never on the attributes. So a source and its true answer are equal, pixel
by pixel, wherever the edit changes nothing.
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
"""How far each texture moves the brightness, as a share: standard deviation of the strands and pores, amplitude of the weave."""
GRAIN = 2.2
"""Standard deviation of the sensor's noise, in 8-bit levels of middle grey; dark parts have less of it and bright parts more."""
CROWN = (FOCUS[0], FOCUS[1] - 26.0)
"""Where the strands of hair start from, in world units."""


@dataclass(frozen=True, eq=False)
class Photograph:
    """`picture` is RGB, `mask` the identity mask, L; both `size` pixels square. `labels` `(size, size)` index `PARTS`."""

    picture: Image.Image
    mask: Image.Image
    labels: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Textures:
    """What makes a photograph of `size` pixels more than a drawing: changes of brightness, and noise in levels."""

    strands: Floats  # (size, size), as are the next two
    pores: Floats
    weave: Floats
    grain: Floats  # (size, size, 3)


@lru_cache(maxsize=1)
def textures(size: int, seed: int) -> Textures:
    """Those of `seed`: the same for a person and for every edit of that person."""
    rng = np.random.default_rng(seed)
    strands, pores = _strands(size, rng), _pores(size, rng)
    grain = _smooth(rng.standard_normal((size, size, 3), dtype=np.float32), 0.6)
    return Textures(strands, pores, _weave(size), np.asarray(GRAIN / float(grain.std()) * grain, dtype=np.float32))


def photograph(person: Person, size: int, seed: int = 0) -> Photograph:
    """Take a photograph of `person`, `size` pixels square, with the textures and the grain of `seed`."""
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
    """`(size, size)` in 0..1: which pixels show one of the parts, with an edge as soft as the lens's."""
    return np.isin(parts, [PARTS.index(name) for name in names]).astype(np.float32)


def _smooth(noise: Floats, sigma: float) -> Floats:
    """Gaussian blur along the first two axes, by three passes of a box or by the kernel itself where it is short."""
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
    """Brightness of hair strands that run away from the crown: rough across them, smooth along them."""
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
    """Skin: blotches of several sizes, the finest some pixels wide at 12 megapixels."""
    total = np.zeros((size, size), dtype=np.float32)
    for cells, weight in ((90, 0.35), (360, 0.35), (1100, 0.6)):
        count = min(cells, size)
        noise = Image.fromarray(rng.standard_normal((count, count), dtype=np.float32))
        layer = np.asarray(noise.resize((size, size), Image.Resampling.BICUBIC))
        total += weight * layer / layer.std()
    return np.asarray(PORES * total, dtype=np.float32)


def _weave(size: int) -> Floats:
    """Cloth: threads both ways, some 300 across the picture."""
    phase = np.arange(size, dtype=np.float32) * np.float32(2 * math.pi * 300 / size)
    return np.asarray(WEAVE / 2 * (np.sin(phase)[:, None] * np.sin(phase)[None]), dtype=np.float32)


def _blurred_lens(pixels: Floats, size: int) -> Floats:
    """What the lens does: a Gaussian of 0.9 pixels at 12 megapixels, less where pixels are larger."""
    sigma = 0.9 * size / 3464
    if sigma < 0.2:
        return pixels
    picture = Image.fromarray(np.rint(pixels).clip(0, 255).astype(np.uint8))
    return np.asarray(picture.filter(ImageFilter.GaussianBlur(sigma)), dtype=np.float32)
