"""Scenes with people of the portrait world and their masks: the training data of the shipped model's segmenter.

A scene has zero to three people of any size. They may be rotated, cut off by the border or partly hidden, and stand in front of the
world's own backdrop or another one. Texture, blur, noise and JPEG compression follow. The mask covers what
`lab.world.portraits.person_mask` covers.
"""

from __future__ import annotations

import io
import math
import random
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from lab.world.dataset import PORTRAITS
from lab.world.drawing import PARTS, SUPERSAMPLING
from lab.world.people import Colour, Person, sample_person
from lab.world.portraits import draw

Pixels = NDArray[np.floating[Any]]
UNMASKED = [PARTS.index(name) for name in ("background", "clothes", "neck")]
"""Indices of the parts outside the person's mask."""


def scene(seed: int, side: int = 128) -> tuple[Image.Image, Image.Image]:
    """Return the scene of that seed and its mask, RGB and L, `side` pixels square. Both are the same on every machine."""
    rng = random.Random(f"scene-{seed}")
    noise = np.random.default_rng(rng.randrange(2**32))
    people = rng.choices((0, 1, 2, 3), (0.05, 0.75, 0.14, 0.06))[0]
    picture: Pixels | None = None
    mask: Pixels = np.zeros((side, side), dtype=np.float32)
    for _ in range(people):
        layers = cutout(sample_person(rng.randrange(PORTRAITS)))
        if picture is None:
            picture = backdrop(rng, noise, side, layers[0].convert("RGB"))
        shown, head = _placed(rng, layers, side, alone=people == 1)
        opaque = shown[..., 3:] / 255
        picture = picture * (1 - opaque) + shown[..., :3] * opaque
        mask = mask * (1 - opaque[..., 0]) + head / 255
    if picture is None:
        picture = backdrop(rng, noise, side)
    if rng.random() < 0.1:
        picture, mask = _occluded(rng, picture, mask)
    marked = Image.fromarray(np.rint(mask.clip(0, 1) * 255).astype(np.uint8))
    return _photographed(rng, noise, picture), marked


def cutout(person: Person) -> tuple[Image.Image, Image.Image]:
    """Return a person with a transparent background (RGBA) and the mask of the head (L), at drawing size.

    The transparent pixels keep the colours of the background.
    """
    drawn, labels = draw(person, SUPERSAMPLING)
    drawn.putalpha(Image.fromarray((labels != PARTS.index("background")).astype(np.uint8) * 255))
    return drawn, Image.fromarray((~np.isin(labels, UNMASKED)).astype(np.uint8) * 255)


def _placed(
    rng: random.Random, person: tuple[Image.Image, Image.Image], side: int, *, alone: bool
) -> tuple[Pixels, NDArray[np.uint8]]:
    """Scale, rotate and place a person. Returns RGBA `(side, side, 4)` and the mask `(side, side)`, both in 0..255."""
    usual = alone and rng.random() < 0.35
    scale = rng.uniform(0.94, 1.06) if usual else math.exp(rng.uniform(math.log(0.25), math.log(1.9 if alone else 0.8)))
    width = max(24, round(side * scale))
    slack = side - width
    left = round(slack / 2 + (rng.uniform(-4, 4) if usual else rng.uniform(-0.5, 0.5) * max(abs(slack), 0.35 * side)))
    low = side - width + (0 if usual else rng.choice((0.0, rng.uniform(-0.5, 0.35))) * side)  # on the lower border, or floating
    angle = rng.uniform(-18, 18) if rng.random() < 0.35 else 0.0
    out = []
    for layer in person:
        turned = layer.rotate(angle, Image.Resampling.NEAREST) if angle else layer
        small = turned.resize((width, width), Image.Resampling.BOX if width < layer.width else Image.Resampling.BILINEAR)
        whole = Image.new(layer.mode, (side, side))
        whole.paste(small, (left, round(low)))
        out.append(np.asarray(whole))
    return out[0].astype(np.float32), out[1]


def backdrop(rng: random.Random, noise: np.random.Generator, side: int, portrait: Image.Image | None = None) -> Pixels:
    """Return a backdrop, `(side, side, 3)` around 0..255: the left edge of `portrait` extended, or a random one."""
    kind = rng.choices(("own", "gradient", "clouds", "shapes"), (0.35, 0.2, 0.2, 0.25))[0]
    if kind == "own" and portrait is not None:
        column = portrait.crop((0, 0, 1, portrait.height)).resize((1, side), Image.Resampling.BOX)
        return np.repeat(np.asarray(column, dtype=np.float32), side, axis=1)
    a, b = (np.array(_colour(rng), dtype=np.float32) for _ in range(2))
    angle = rng.uniform(0, 2 * math.pi)
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side - 0.5
    share = (0.5 + 0.7 * (x * math.cos(angle) + y * math.sin(angle)))[..., None]
    plain: Pixels = a * (1 - share) + b * share
    if kind == "clouds":
        plain = plain + rng.uniform(10, 70) * _clouds(noise, side, rng.choice((1, 3)))
    if kind == "shapes":
        return _with_shapes(rng, plain)
    return plain


def _clouds(noise: np.random.Generator, side: int, channels: int) -> Pixels:
    """Return multi-scale noise, mostly coarse, `(side, side, channels)` with a standard deviation of 1."""
    total = np.zeros((side, side, channels), dtype=np.float32)
    for cells in (2, 4, 8, 16, 32, 64):
        layer = noise.standard_normal((channels, cells, cells)).astype(np.float32)
        wide = [np.asarray(Image.fromarray(each).resize((side, side), Image.Resampling.BICUBIC)) for each in layer]
        total += np.stack(wide, axis=-1) / math.sqrt(cells)
    spread: Pixels = total / total.std()
    return spread


def _with_shapes(rng: random.Random, plain: Pixels) -> Pixels:
    """Add clutter: ellipses, rectangles and lines in any colour, including those of skin and hair."""
    side = len(plain)
    picture = Image.fromarray(np.rint(plain.clip(0, 255)).astype(np.uint8))
    pencil = ImageDraw.Draw(picture)
    for _ in range(rng.randint(2, 14)):
        x, y = (rng.uniform(-0.2, 1.0) * side for _ in range(2))
        width, height = (rng.uniform(0.04, 0.6) * side for _ in range(2))
        box = (x, y, x + width, y + height)
        shape = rng.randrange(3)
        if shape == 0:
            pencil.ellipse(box, fill=_colour(rng))
        elif shape == 1:
            pencil.rectangle(box, fill=_colour(rng))
        else:
            pencil.line(box, fill=_colour(rng), width=rng.randint(1, 6))
    if rng.random() < 0.5:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 4)))
    return np.asarray(picture, dtype=np.float32)


def _colour(rng: random.Random) -> Colour:
    """Return a random colour. Half of them have the low saturation of walls and skin."""
    r, g, b = (rng.randrange(256) for _ in range(3))
    if rng.random() < 0.5:
        grey = rng.randrange(256)
        r, g, b = ((2 * grey + c) // 3 for c in (r, g, b))
    return r, g, b


def _occluded(rng: random.Random, picture: Pixels, mask: Pixels) -> tuple[Pixels, Pixels]:
    """Cover a part of picture and mask with an ellipse or a rectangle."""
    side = len(mask)
    shape = Image.new("L", (side, side))
    x, y = (rng.uniform(0, 1) * side for _ in range(2))
    box = (x, y, x + rng.uniform(0.05, 0.4) * side, y + rng.uniform(0.05, 0.4) * side)
    (ImageDraw.Draw(shape).ellipse if rng.random() < 0.5 else ImageDraw.Draw(shape).rectangle)(box, fill=255)
    opaque = np.asarray(shape, dtype=np.float32) / 255
    colour = np.array(_colour(rng), dtype=np.float32)
    return picture * (1 - opaque[..., None]) + colour * opaque[..., None], mask * (1 - opaque)


def _photographed(rng: random.Random, noise: np.random.Generator, picture: Pixels) -> Image.Image:
    """Apply texture, lighting, blur, grain and JPEG compression, each with some probability."""
    side = len(picture)
    if rng.random() < 0.3:
        picture = picture * (1 + rng.uniform(0.03, 0.15) * _clouds(noise, side, 1))
    if rng.random() < 0.4:
        picture = 255 * (picture.clip(0, 255) / 255) ** math.exp(rng.uniform(-0.5, 0.5))
        picture = picture * np.array([rng.uniform(0.8, 1.2) for _ in range(3)], dtype=np.float32)
    if rng.random() < 0.04:
        picture = np.repeat(picture.mean(axis=-1, keepdims=True), 3, axis=-1)
    taken = Image.fromarray(np.rint(picture.clip(0, 255)).astype(np.uint8))
    if rng.random() < 0.3:
        taken = taken.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 1.3)))
    if rng.random() < 0.4:
        grain = noise.standard_normal((side, side, rng.choice((1, 3)))) * rng.uniform(1, 14)
        taken = Image.fromarray(np.rint((np.asarray(taken) + grain).clip(0, 255)).astype(np.uint8))
    if rng.random() < 0.3:
        file = io.BytesIO()
        taken.save(file, "JPEG", quality=rng.randint(30, 95))
        taken = Image.open(file).convert("RGB")
    return taken
