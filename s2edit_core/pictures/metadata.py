"""Removes metadata from picture files: Exif, GPS, XMP, comments, thumbnails, further frames, and trailing data.

Files are rewritten chunk by chunk without decoding, so all pixels stay bit for bit. The result keeps the first frame, its colour
profile, its resolution and its orientation: everything that decoding and a result need. It decodes to the same picture as the
original.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping

from s2edit_core.errors import ImageInvalid
from s2edit_core.pictures.colour_codes import adobe_rgb_profile
from s2edit_core.pictures.exif import EXIF, declares_adobe_rgb, with_orientation
from s2edit_core.pictures.files import TURNS, media_type
from s2edit_core.pictures.iso_metadata import without_metadata_items
from s2edit_core.pictures.png_chunks import PNG_MAGIC, png_chunks

PNG_KEPT = (b"IHDR", b"PLTE", b"tRNS", b"iCCP", b"IDAT")
PNG_SHORT: Mapping[bytes, int] = {b"cICP": 4, b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"pHYs": 9}
"""Chunks that are kept if they have exactly this length."""
MAX_PARTS = 100_000
"""Most parts of a file; more would take too long."""
SOI, EOI, SOS, APP0, APP1, APP2, APP14, COM = 0xD8, 0xD9, 0xDA, 0xE0, 0xE1, 0xE2, 0xEE, 0xFE
JFIF, ADOBE, ICC = b"JFIF\0", b"Adobe", b"ICC_PROFILE\0"
FRAMES = (0xC0, 0xC1, 0xC2)
COLOUR_CHANNELS = 3
JFIF_BYTES, ADOBE_BYTES = 14, 12
NEXT_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
"""The end of a run of compressed pixels. Stuffed zeros after 0xFF and restart markers belong to the run."""
WEBP_KEPT = (b"VP8X", b"ICCP", b"ANIM", b"ALPH", b"VP8 ", b"VP8L")
FRAME = b"ANMF"
FRAME_HEADER = 16
WEBP_EXIF, WEBP_XMP = 0x08, 0x04


class _Unreadable(Exception):
    """A file whose parts can't be told apart."""

    pass


def without_metadata(data: bytes, orientation: int, field: str = "image") -> bytes:
    """Return the picture file `data` without metadata; the same object if there are none.

    `orientation` is the value in the file's metadata (1..8 as in Exif; others count as 1), which the result keeps. Raises
    `ImageInvalid` for a file whose parts can't be told apart, even if a decoder accepts it.
    """
    rewrite = REWRITERS.get(media_type(data))
    try:
        if rewrite is None:
            raise _Unreadable
        bare = rewrite(data, orientation if orientation in TURNS else 1)
    except (_Unreadable, ValueError, struct.error, IndexError):
        message = f"the metadata of the {field} can't be removed, because the file is malformed: save it again as PNG or JPEG"
        raise ImageInvalid(message, field=field, reason="image_damaged") from None
    return data if bare == data else bare


def _png(data: bytes, orientation: int) -> bytes:
    parts: list[bytes | memoryview] = [PNG_MAGIC]
    turned = [_png_chunk(b"eXIf", with_orientation(orientation))] if orientation != 1 else []
    kind = b""
    for chunk in png_chunks(data, MAX_PARTS):
        kind = chunk.kind
        if not chunk.is_complete:
            raise _Unreadable
        if kind in PNG_KEPT or len(chunk.body) == PNG_SHORT.get(kind):
            parts += [chunk.whole, *turned] if kind == b"IHDR" else [chunk.whole]
    if kind != b"IEND":
        raise _Unreadable
    return b"".join([*parts, _png_chunk(b"IEND", b"")])


def _png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _jpeg(data: bytes, orientation: int) -> bytes:
    """Keep the file's first picture. Cameras append previews, depth maps and films, which have metadata of their own.

    A colour space that only the Exif data declare becomes a profile.
    """
    first: list[bytes | memoryview] = [b"\xff\xd8"]
    parts: list[bytes | memoryview] = []
    exif, has_profile, channels = b"", False, 0
    for marker, body, pixels in _jpeg_segments(data):
        if marker == APP1 and body.startswith(EXIF):
            exif += body[len(EXIF) :]
        has_profile |= marker == APP2 and body.startswith(ICC)
        channels = body[5] if marker in FRAMES else channels
        if (kept := _jpeg_kept(marker, body)) is not None:
            (first if marker == APP0 else parts).extend((_jpeg_segment(marker, kept), pixels))
    turned = [_jpeg_segment(APP1, EXIF + with_orientation(orientation))] if orientation != 1 else []
    if channels == COLOUR_CHANNELS and not has_profile and declares_adobe_rgb(exif):
        turned.append(_jpeg_segment(APP2, ICC + b"\1\1" + adobe_rgb_profile()))
    return b"".join([*first, *turned, *parts, b"\xff\xd9"])


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes, memoryview]]:
    """Yield marker, content and following compressed pixels of each segment.

    The end marker may be missing: decoders accept that.
    """
    offset = 2
    for _ in range(MAX_PARTS):
        marker, offset = _jpeg_marker(data, offset)
        if marker == EOI:
            return
        end = offset + struct.unpack_from(">H", data, offset)[0]
        if end < offset + 2 or end > len(data):
            raise _Unreadable
        found = NEXT_MARKER.search(data, end) if marker == SOS else None
        behind = found.start() if found else len(data) if marker == SOS else end
        yield marker, data[offset + 2 : end], memoryview(data)[end:behind]
        offset = behind
        if offset == len(data):
            return
    raise _Unreadable


def _jpeg_segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _jpeg_marker(data: bytes, offset: int) -> tuple[int, int]:
    """Return the marker and the offset after it; any number of 0xFF may precede one."""
    if data[offset] != 0xFF:
        raise _Unreadable
    while data[offset] == 0xFF:
        offset += 1
    marker = data[offset]
    if marker in (0x00, 0x01, SOI) or 0xD0 <= marker <= 0xD7:
        raise _Unreadable
    return marker, offset + 1


def _jpeg_kept(marker: int, body: bytes) -> bytes | None:
    """Return the part of a segment that is kept, None for nothing."""
    if marker == APP0:
        # The two zeros declare a thumbnail of no size.
        return body[: JFIF_BYTES - 2] + b"\0\0" if body.startswith(JFIF) and len(body) >= JFIF_BYTES else None
    if marker == APP2:
        return body if body.startswith(ICC) else None
    if marker == APP14:
        return body[:ADOBE_BYTES] if body.startswith(ADOBE) else None
    return None if APP0 <= marker <= 0xEF or marker == COM else body


def _webp(data: bytes, orientation: int) -> bytes:
    (length,) = struct.unpack_from("<I", data, 4)
    chunks: dict[bytes, bytes] = {}
    for kind, body in _webp_chunks(data[12 : 8 + length]):
        if kind in WEBP_KEPT:
            chunks.setdefault(kind, body)
        elif kind == FRAME:
            frame = b"".join(_webp_chunk(*part) for part in _webp_chunks(body[FRAME_HEADER:]) if part[0] in WEBP_KEPT)
            chunks.setdefault(kind, body[:FRAME_HEADER] + frame)
    if b"VP8X" in chunks:
        flags = chunks[b"VP8X"][0] & ~(WEBP_EXIF | WEBP_XMP) | (WEBP_EXIF if orientation != 1 else 0)
        chunks[b"VP8X"] = bytes([flags]) + chunks[b"VP8X"][1:]
    if orientation != 1:
        if b"VP8X" not in chunks:
            raise _Unreadable
        chunks[b"EXIF"] = with_orientation(orientation)
    rewritten = b"WEBP" + b"".join(_webp_chunk(*part) for part in chunks.items())
    return b"RIFF" + struct.pack("<I", len(rewritten)) + rewritten


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    offset = 0
    for _ in range(MAX_PARTS):
        if offset >= len(data):
            return
        kind, length = struct.unpack_from("<4sI", data, offset)
        if offset + 8 + length > len(data):
            raise _Unreadable
        yield kind, data[offset + 8 : offset + 8 + length]
        offset += 8 + length + length % 2
    raise _Unreadable


def _webp_chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def _iso_media(data: bytes, orientation: int) -> bytes:  # noqa: ARG001  AVIF and HEIC store the orientation in boxes that are kept
    return without_metadata_items(data)


REWRITERS: Mapping[str, Callable[[bytes, int], bytes]] = {
    "image/png": _png,
    "image/jpeg": _jpeg,
    "image/webp": _webp,
    "image/avif": _iso_media,
    "image/heic": _iso_media,
}
"""The function that removes metadata, by media type."""
