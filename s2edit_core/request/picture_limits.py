"""Limits: the size of pictures, the resources that decoding one may use, and the size that a large photo is scaled to.

No torch, no Pillow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from s2edit_core.errors import ImageInvalid

MAX_PIXELS = 50_000_000
"""Of a photo that is edited. Most phones take photos of at most 48 or 50 megapixels; photos of the few others may be scaled down.
"""
CEILING_PIXELS = 110_000_000
"""Of a file that is decoded at all: a 108-megapixel photo that is then scaled down, or a mask for one."""
MIN_MAX_PIXELS = 65_536
"""The least `max_pixels` of a request: 256 × 256."""
MIN_SIDE = 32
"""The least side of a photo, in pixels."""
MAX_PREVIEW_BYTES = 8192
"""Of the preview of a running edit."""

CPU_S = 1.0
CPU_S_PER_MEGAPIXEL = 0.1
"""The CPU time that decoding may take. The slowest photos measured, 10-bit HEIC, take 0.07 s per megapixel."""
MEMORY_BYTES = 256 * 2**20
"""Of a decoding process, independent of the picture: libraries, the file, and pictures of a few megapixels."""
BYTES_PER_PIXEL: Mapping[str, int] = {"PNG": 10, "JPEG": 14, "HEIF": 16, "AVIF": 16, "WEBP": 26}
"""Additional memory of decoding per pixel, by Pillow's format name; `lab/photos/decoding.py` measures it.

A pixel takes 4 bytes in Pillow. A progressive JPEG adds its coefficients, HEIF and AVIF add planes and an RGBA copy, WebP two more
copies.
"""
FILE_COPIES = 3
"""Copies of a file in memory while it is decoded, at most: as received, as read, and in the codec."""
MAX_FILE_BYTES = 400_000_000
"""Far more than the upload limit, and than the result of the largest edit."""
MASK_BYTES_PER_PIXEL = 10
"""Per pixel of the photo: a mask is resized to the photo's size and checked there."""


def check_photo_size(size: tuple[int, int], max_pixels: int | None) -> None:
    """Raise `ImageInvalid` for a photo with more pixels than can be read, or, without `max_pixels`, than can be edited."""
    _check_ceiling(size, "image")
    pixels = size[0] * size[1]
    if max_pixels is None and pixels > MAX_PIXELS:
        raise ImageInvalid(
            f"the image has {_megapixels(pixels)} megapixels; at most {_megapixels(MAX_PIXELS)} can be edited: send a smaller "
            "one, or set max_pixels to have it scaled down",
            field="image",
            reason="image_too_large",
        )


def check_mask_size(size: tuple[int, int], field: str) -> None:
    """Raise `ImageInvalid` for a mask with more pixels than can be read. A mask larger than its photo is scaled to it."""
    _check_ceiling(size, field)


def _check_ceiling(size: tuple[int, int], field: str) -> None:
    pixels = size[0] * size[1]
    if pixels > CEILING_PIXELS:
        raise ImageInvalid(
            f"the {field} has {_megapixels(pixels)} megapixels; at most {_megapixels(CEILING_PIXELS)} can be read: "
            "send a smaller one",
            field=field,
            reason="image_too_large",
        )


def _megapixels(pixels: int) -> str:
    return f"{pixels / 1e6:.3g}" if pixels < 1e9 else f"{pixels / 1e6:.0f}"


def scaled_size(size: tuple[int, int], max_pixels: int | None) -> tuple[int, int]:
    """Return width and height of a photo of `size` after scaling it down to at most `max_pixels`; `size` if it has no more."""
    width, height = size
    if max_pixels is None or width * height <= max_pixels:
        return size
    factor = math.sqrt(max_pixels / (width * height))
    return max(1, math.floor(width * factor)), max(1, math.floor(height * factor))


def cpu_s(pixels: int) -> float:
    """Return the seconds of CPU time that decoding a picture of `pixels` may take."""
    return CPU_S + CPU_S_PER_MEGAPIXEL * min(pixels, CEILING_PIXELS) / 1e6


def memory_bytes(format: str, pixels: int, file_bytes: int, photo_pixels: int = 0) -> int:
    """Return the memory that a process may use to decode such a picture. `photo_pixels` is the size of a mask's photo."""
    own = BYTES_PER_PIXEL.get(format, max(BYTES_PER_PIXEL.values())) * min(pixels, CEILING_PIXELS)
    return memory_bytes_to_read(file_bytes) + own + MASK_BYTES_PER_PIXEL * min(photo_pixels, CEILING_PIXELS)


def memory_bytes_to_read(file_bytes: int) -> int:
    """Return the memory that a process may use until it knows the picture's size."""
    return MEMORY_BYTES + FILE_COPIES * min(file_bytes, MAX_FILE_BYTES)


MAX_MEMORY_BYTES = max(memory_bytes(format, CEILING_PIXELS, MAX_FILE_BYTES, CEILING_PIXELS) for format in BYTES_PER_PIXEL)
"""The limit of any decoding process, whatever size its file declares."""
