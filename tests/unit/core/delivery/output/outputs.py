"""Photos, masks and edits for the tests of this folder."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from s2edit_core.delivery.output import Output
from s2edit_core.pictures.files import Original

SIZE = (80, 60)
BOX = (20, 10, 60, 50)
PNG, JPEG, WEBP, EXACT = Output(), Output("jpeg"), Output("webp"), Output("webp", 100)


def colourful(seed: int = 0) -> NDArray[np.uint8]:
    """Soft colours, also the strongest ones, with grain."""
    y, x = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    soft = np.stack([x * 255 / SIZE[0], y * 255 / SIZE[1], 255 - x * 255 / SIZE[0]], axis=-1)
    return (soft + np.random.default_rng(seed).integers(-12, 13, soft.shape)).clip(0, 255).astype(np.uint8)


def photo_of(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def box_mask(size: tuple[int, int], box: tuple[int, int, int, int]) -> Image.Image:
    drawn = Image.new("L", size)
    drawn.paste(255, box)
    return drawn


def mask() -> Image.Image:
    return box_mask(SIZE, BOX)


def file_of(pixels: NDArray[np.uint8], format: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, format, **options)
    return out.getvalue()


def see_through() -> NDArray[np.uint8]:
    """Clear on the left, with colours hidden there; then half clear, then opaque."""
    alpha = np.zeros((SIZE[1], SIZE[0], 1), np.uint8)
    alpha[:, 30:45], alpha[:, 45:] = 128, 255
    return np.concatenate([colourful(), alpha], axis=-1)


def repainted(original: Original, colour: tuple[int, int, int] = (200, 30, 40)) -> Image.Image:
    result = original.photo.copy()
    result.paste(colour, BOX)
    return result


def pixels(data: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.mode in ("RGB", "RGBA")
        return np.asarray(picture)


OUTSIDE = np.asarray(mask()) == 0
