"""Pictures for requests, made in memory."""

from __future__ import annotations

import io
import struct
import zlib

from PIL import Image, ImageDraw

SIZE = (96, 128)


def encoded(picture: Image.Image, format: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format)
    return buffer.getvalue()


def photo(size: tuple[int, int] = SIZE, format: str = "PNG") -> bytes:
    gradient = Image.linear_gradient("L").resize(size)
    return encoded(Image.merge("RGB", (gradient, gradient.rotate(180), gradient)), format)


def mask(size: tuple[int, int] = SIZE, *, fill: str = "ellipse") -> bytes:
    """Draw a mask; `fill` is "ellipse", "dot", "nothing" or "everything"."""
    picture = Image.new("L", size, 255 if fill == "everything" else 0)
    if fill == "ellipse":
        ImageDraw.Draw(picture).ellipse([size[0] // 4, size[1] // 4, 3 * size[0] // 4, 3 * size[1] // 4], fill=255)
    if fill == "dot":
        picture.putpixel((size[0] // 2, size[1] // 2), 255)
    return encoded(picture)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_bomb(width: int = 10_000, height: int = 6_000, *, sound: bool = True) -> bytes:
    """A one-bit PNG of 60 megapixels in a few kilobytes; with `sound=False` its pixels can't be decoded at all."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    row = b"\0" * (1 + (width + 7) // 8)
    pixels = zlib.compress(row * height, 9) if sound else b"not zlib"
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")
