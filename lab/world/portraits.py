"""Synthetic portraits with a known ground truth for every edit.

A `Person` has an `Identity`, which captions never name, and `Attributes`, which they do. The ground truth of an edit is the same
identity with other attributes:

    answer = render(replace_attributes(person, hair_colour="red"))

`render` draws `SUPERSAMPLING` times larger than 128 pixels and scales down. `draw` draws at any scale.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lab.world.drawing import PARTS, SIZE, SUPERSAMPLING, FaceLayout, PartName, ShapeCanvas, draw_background
from lab.world.features import (
    draw_beard,
    draw_body,
    draw_brows,
    draw_earrings,
    draw_eyes,
    draw_hair_behind,
    draw_hair_in_front,
    draw_hat,
    draw_head,
    draw_lenses,
    draw_mouth,
    draw_nose,
)
from lab.world.people import Person


def _draw(person: Person, scale: int = SUPERSAMPLING, *, parts: bool) -> ShapeCanvas:
    who, has = person.identity, person.attributes
    face = FaceLayout.of(person)
    canvas = ShapeCanvas(draw_background(who, scale), scale, parts=parts)
    draw_hair_behind(canvas, face, person)
    draw_body(canvas, face, person)
    draw_head(canvas, face, person)
    draw_eyes(canvas, face, person)
    draw_nose(canvas, face, who)
    if has.beard:
        draw_beard(canvas, face, person)
    draw_mouth(canvas, face, person)
    draw_brows(canvas, face, person)
    draw_hair_in_front(canvas, face, person)
    if has.earrings:
        draw_earrings(canvas, face)
    if has.glasses or has.sunglasses:
        draw_lenses(canvas, face, person)
    if has.hat:
        draw_hat(canvas, face, who)
    return canvas


def render(person: Person, size: int = SIZE) -> Image.Image:
    """Return the portrait, RGB, `size` pixels square."""
    return _draw(person, parts=False).image.resize((size, size), Image.Resampling.LANCZOS)


def draw(person: Person, scale: int) -> tuple[Image.Image, NDArray[np.uint8]]:
    """Return the portrait as drawn, RGB and `128 · scale` pixels square, and the index in `PARTS` of every pixel.

    Edges are hard; scale the picture down to soften them.
    """
    canvas = _draw(person, scale, parts=True)
    assert canvas.labels is not None
    return canvas.image, np.asarray(canvas.labels)


def part_masks(person: Person, size: int = SIZE) -> dict[PartName, NDArray[np.float32]]:
    """Return the share of each part in each pixel, `(size, size)` in 0..1. The shares of a pixel add up to one.

    Raises `ValueError` unless `size` divides 512.
    """
    labels = _draw(person, parts=True).labels
    assert labels is not None
    index = np.asarray(labels)
    block = index.shape[0] // size
    if size * block != index.shape[0]:
        raise ValueError(f"size must divide {index.shape[0]}, got {size}")
    counts = (index == np.arange(len(PARTS), dtype=index.dtype)[:, None, None]).astype(np.float32)
    shares = counts.reshape(len(PARTS), size, block, size, block).mean(axis=(2, 4))
    return dict(zip(PARTS, shares, strict=True))


def person_mask(person: Person, size: int = SIZE) -> Image.Image:
    """Return the identity mask, 8-bit grey with 255 inside: head, hair, hat and glasses, without neck and clothes."""
    masks = part_masks(person, size)
    covered = 1.0 - masks["background"] - masks["clothes"] - masks["neck"]
    return Image.fromarray(np.rint(covered.clip(0, 1) * 255).astype(np.uint8))
