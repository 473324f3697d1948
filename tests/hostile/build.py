"""Building blocks of hostile files: valid pictures, and the parts of PNG, JPEG and WebP files."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Iterator
from functools import cache

from PIL import Image

from lab.world.phone_files import heic

Named = Iterator[tuple[str, bytes]]

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
SIZE = (96, 128)


def picture(mode: str = "RGB", size: tuple[int, int] = SIZE) -> Image.Image:
    """Return a picture of noise, so that every byte of its file matters."""
    noise = random.Random(5).randbytes(size[0] * size[1] * len(mode))
    return Image.frombytes(mode, size, noise)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@cache
def sound() -> dict[str, bytes]:
    """Return the valid files that the others are derived from."""
    return {
        "png": saved(picture(), "PNG"),
        "png-interlaced": png(SIZE, 8, 2, interlace=1, pixels=zlib.compress(random.Random(1).randbytes(60_000))),
        "jpeg": saved(picture(), "JPEG", quality=80),
        "jpeg-progressive": saved(picture(), "JPEG", quality=80, progressive=True),
        "webp": saved(picture(), "WEBP", quality=70),
        "webp-lossless": saved(picture(), "WEBP", lossless=True),
        "webp-alpha": saved(picture("RGBA"), "WEBP", quality=70),
        "avif": saved(picture(), "AVIF", quality=60),
        "heic": heics()["tiles"],
    }


@cache
def heics() -> dict[str, bytes]:
    flat = Image.new("RGB", (4_000, 3_000))
    return {
        "tiles": heic(picture(size=(700, 600)), quality=30),
        "piece": heic(picture(size=(200, 160)), quality=30),
        "flat": heic(flat, beside=False),
    }


# --- PNG ---


def chunk(kind: bytes, data: bytes = b"", *, length: int | None = None, crc: int | None = None) -> bytes:
    check = zlib.crc32(kind + data) if crc is None else crc
    return struct.pack(">I", len(data) if length is None else length) + kind + data + struct.pack(">I", check)


def header(
    size: tuple[int, int], depth: int = 8, colour: int = 2, *, method: int = 0, filters: int = 0, interlace: int = 0
) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", *size, depth, colour, method, filters, interlace))


def png(
    size: tuple[int, int],
    depth: int = 8,
    colour: int = 2,
    *,
    pixels: bytes,
    between: bytes = b"",
    interlace: int = 0,
    behind: bytes = b"",
) -> bytes:
    middle = header(size, depth, colour, interlace=interlace) + between
    return PNG_MAGIC + middle + chunk(b"IDAT", pixels) + chunk(b"IEND") + behind


PIXELS = zlib.compress((b"\0" + bytes(SIZE[0] * 3)) * SIZE[1])


def zeros(count: int) -> bytes:
    """Return `count` zero bytes, compressed, without ever holding all of them in memory."""
    packer = zlib.compressobj(9, wbits=-15)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)  # a full flush makes the block repeatable
    last = zlib.compressobj(9, wbits=-15)
    rest = last.compress(bytes(count % (1 << 20))) + last.flush()
    return b"\x78\xda" + block * (count >> 20) + rest + struct.pack(">HH", count % 65_521, 1)  # the Adler-32 checksum of zeros


# --- JPEG ---


def segment(marker: int, data: bytes, *, length: int | None = None) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2 if length is None else length) + data


def behind_start(data: bytes, inserted: bytes) -> bytes:
    """Insert bytes after the first marker of a JPEG."""
    return data[:2] + inserted + data[2:]


def resized(data: bytes, width: int, height: int) -> bytes:
    """Return the JPEG with other declared dimensions."""
    place = next(place for place in range(2, len(data)) if data[place] == 0xFF and data[place + 1] in (0xC0, 0xC2))
    return data[: place + 5] + struct.pack(">HH", height, width) + data[place + 9 :]


# --- WebP ---


def low24(value: int) -> bytes:
    return struct.pack("<I", value)[:3]


def riff(kind: bytes, data: bytes, length: int | None = None) -> bytes:
    return kind + struct.pack("<I", len(data) if length is None else length) + data + b"\0" * (len(data) % 2)


def webp(chunks: bytes, length: int | None = None) -> bytes:
    return b"RIFF" + struct.pack("<I", len(chunks) + 4 if length is None else length) + b"WEBP" + chunks


def vp8(data: bytes) -> bytes:
    """Return the image chunk of a simple WebP."""
    return data[12:]


def extended(flags: int, size: tuple[int, int], *chunks: bytes) -> bytes:
    head = bytes([flags, 0, 0, 0]) + low24(size[0] - 1) + low24(size[1] - 1)
    return webp(riff(b"VP8X", head) + b"".join(chunks))
