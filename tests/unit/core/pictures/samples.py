"""Small pictures, their files, and a check of a result's colours."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from s2edit_core.delivery.output import Output, encode_result
from s2edit_core.pictures.files import decode_original


def png(picture: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", **options)
    return buffer.getvalue()


def gradient(size: tuple[int, int] = (64, 48)) -> Image.Image:
    x = np.linspace(0, 255, size[0]).astype(np.uint8)
    return Image.fromarray(np.stack([np.tile(x, (size[1], 1))] * 3, axis=2))


def noise(size: tuple[int, int] = (64, 48)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(2).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def levels(picture: Image.Image) -> Any:
    return np.asarray(picture).astype(float)


def stored(data: bytes) -> Image.Image:
    """The values of a picture as they are stored."""
    with Image.open(io.BytesIO(data)) as picture:
        return picture.convert("RGB")


def check_own_colours(data: bytes, profile: str, max_pixels: int | None = None) -> None:
    """Assert that the result of an edit has the values of the photo `data`, and a profile of that name."""
    original = decode_original(data, max_pixels)
    mask = Image.new("L", original.photo.size)
    mask.paste(255, (0, 0, 10, 10))
    result, told = encode_result(original.photo, original, mask, Output())
    with Image.open(io.BytesIO(result)) as picture:
        assert np.array_equal(np.asarray(picture), np.asarray(original.colours))
        embedded = ImageCms.ImageCmsProfile(io.BytesIO(picture.info["icc_profile"]))
    assert ImageCms.getProfileDescription(embedded).strip() == profile
    assert told["profile"] == "the photo's"
