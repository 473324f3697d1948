"""How large a picture may be, what decoding one may take, and how a large photo is scaled down. No torch, no Pillow."""

from __future__ import annotations

import math
from collections.abc import Mapping

from s2edit_core.errors import ImageInvalid

MAX_PIXELS = 50_000_000
"""Of a photo that is edited: those of phones have 48 or 50 megapixels at most, but for a few that may be scaled down."""
CEILING_PIXELS = 110_000_000
"""Of a file that is decoded at all: a photo of a 108-megapixel camera, scaled down on the way in, and a mask for it."""
LEAST_MAX_PIXELS = 65_536
"""The smallest photo that a caller may ask for: 256 × 256."""
MIN_SIDE = 32

CPU_S = 1.0
CPU_S_PER_MEGAPIXEL = 0.1
"""Processor time that decoding may take. The slowest photos measured, 10-bit HEIC, take 0.07 s per megapixel."""
MEMORY_BYTES = 256 * 2**20
"""Of a process that decodes, whatever it decodes: the libraries, the file and pictures of some megapixels."""
BYTES_PER_PIXEL: Mapping[str, int] = {"PNG": 10, "JPEG": 14, "HEIF": 16, "AVIF": 16, "WEBP": 26}
"""What decoding takes at most beside that, by the name of the format in Pillow; `lab/photos/decoding.py` measures it.

Pillow's pixels are 4 bytes. A progressive JPEG adds its coefficients, HEIF and AVIF the planes and a copy as RGBA, WebP two more.
"""
FILE_COPIES = 3
"""How often a file lies in memory while it is decoded, at most: as received, as read, and in the hands of its codec."""
MOST_FILE_BYTES = 400_000_000
"""Far more than anybody may upload, and than the result of the largest edit."""
MASK_BYTES_PER_PIXEL = 10
"""Of the photo's pixels: a mask is brought to the photo's size, and looked at there."""


def check_photo_size(size: tuple[int, int], max_pixels: int | None) -> None:
    """Raises `ImageInvalid` for a photo of more pixels than can be read, or than are edited unless it may be scaled down."""
    _check_ceiling(size, "image")
    pixels = size[0] * size[1]
    if max_pixels is None and pixels > MAX_PIXELS:
        raise ImageInvalid(
            f"the image has {_megapixels(pixels)} megapixels; at most {_megapixels(MAX_PIXELS)} are edited: send it smaller, or "
            "let it be scaled down by max_pixels",
            field="image",
            reason="image_too_large",
        )


def check_mask_size(size: tuple[int, int], field: str) -> None:
    """Raises `ImageInvalid` for a mask of more pixels than can be read. One that is larger than its photo is scaled to it."""
    _check_ceiling(size, field)


def _check_ceiling(size: tuple[int, int], field: str) -> None:
    pixels = size[0] * size[1]
    if pixels > CEILING_PIXELS:
        raise ImageInvalid(
            f"the {field} has {_megapixels(pixels)} megapixels; at most {_megapixels(CEILING_PIXELS)} can be read: send it smaller",
            field=field,
            reason="image_too_large",
        )


def _megapixels(pixels: int) -> str:
    return f"{pixels / 1e6:.3g}" if pixels < 1e9 else f"{pixels / 1e6:.0f}"


def scaled_size(size: tuple[int, int], max_pixels: int | None) -> tuple[int, int]:
    """Width and height of a photo of `size` once it is scaled down to at most `max_pixels`; `size` where it has no more."""
    width, height = size
    if max_pixels is None or width * height <= max_pixels:
        return size
    factor = math.sqrt(max_pixels / (width * height))
    return max(1, math.floor(width * factor)), max(1, math.floor(height * factor))


def cpu_s(pixels: int) -> float:
    """Seconds of processor time that decoding a picture of so many pixels may take."""
    return CPU_S + CPU_S_PER_MEGAPIXEL * min(pixels, CEILING_PIXELS) / 1e6


def memory_bytes(format: str, pixels: int, file_bytes: int, photo_pixels: int = 0) -> int:
    """What a process that decodes such a picture may take. `photo_pixels` are those of its photo, if it is a mask."""
    own = BYTES_PER_PIXEL.get(format, max(BYTES_PER_PIXEL.values())) * min(pixels, CEILING_PIXELS)
    return to_read_bytes(file_bytes) + own + MASK_BYTES_PER_PIXEL * min(photo_pixels, CEILING_PIXELS)


def to_read_bytes(file_bytes: int) -> int:
    """What it may take before it knows of any pixels."""
    return MEMORY_BYTES + FILE_COPIES * min(file_bytes, MOST_FILE_BYTES)


MOST_MEMORY_BYTES = max(memory_bytes(format, CEILING_PIXELS, MOST_FILE_BYTES, CEILING_PIXELS) for format in BYTES_PER_PIXEL)
"""No process that decodes takes more, whatever a file says of itself."""
