"""Headers of picture files: declared size and orientation, and whether a file is complete, without decoding it. Loads no torch.

Only plain files are parsed. For a file that is damaged, truncated, costly or merely unusual, `read_header` returns None; `files`
must then decode it to tell. So nothing is refused here, and no decoder runs here.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from s2edit_core.pictures.exif import EXIF, orientation_in
from s2edit_core.pictures.files import SIDEWAYS, TURNS, media_type, reads
from s2edit_core.pictures.iso_header import shown_size
from s2edit_core.pictures.png_chunks import PNG_MAGIC, png_chunks
from s2edit_core.request.picture_limits import CEILING_PIXELS

MAX_CHUNKS = 1_000
MAX_SCANS = 30
MAX_PROFILE_BYTES = 10_000
"""Compressed size of an ICC profile; larger ones may be built to fill memory."""
MAX_COMPRESSION = 700
"""A file whose pixels take more than this many times its size is suspicious: its pixels may all be equal, or some may be missing.
Deflate reaches at most 1,032.
"""
XMP = b"http://ns.adobe.com/xap/1.0/\0"

PNG_CHANNELS: Mapping[int, int] = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Channels, by colour type."""
PNG_DEPTHS: Mapping[int, tuple[int, ...]] = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
"""Valid bit depths, by colour type."""
PNG_LENGTHS: Mapping[bytes, int] = {b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"pHYs": 9}
"""Chunks of a fixed length."""
PNG_UNUSUAL = (b"tRNS", b"zTXt", b"iTXt", b"acTL", b"fcTL", b"fdAT")
"""Chunks that change what is decoded, or how much."""
SOS, APP1 = 0xDA, 0xE1
JPEG_FRAMES = (0xC0, 0xC1, 0xC2)
"""Start of frame: baseline, extended and progressive, with Huffman coding."""
JPEG_OTHERS = (0xC4, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0))
"""Segments of tables, comments and applications."""
JPEG_LENGTHS: Mapping[int, int] = {0xDD: 4}
WEBP_FLAGS = 0x3C
"""The flags for a profile, transparency, Exif and XMP, but not for animation."""


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a plain file.

    `size` is width and height of the upright picture, and `raw_bytes` the size of its uncompressed pixels. `orientation` is the
    value of the metadata, 1..8 as in Exif. It is 1 if the metadata hold none or an invalid one, and for AVIF and HEIC, which store
    it elsewhere.
    """

    size: tuple[int, int]
    raw_bytes: int
    file_bytes: int
    orientation: int = 1

    @property
    def pixels(self) -> int:
        """The number of pixels."""
        return self.size[0] * self.size[1]

    @property
    def looks_flat(self) -> bool:
        """Whether all pixels may be equal, judging by how small the file is."""
        return self.raw_bytes > MAX_COMPRESSION * self.file_bytes


class _Unusual(Exception):
    """A file that only a decoder can judge."""

    pass


def read_header(data: bytes) -> Header | None:
    """Return the header of a plain, complete file of at most `CEILING_PIXELS`; None for a file that only a decoder can judge."""
    kind = media_type(data)
    parse = PARSERS.get(kind)
    if parse is None or not reads(kind):
        return None
    try:
        (width, height), bits, declared = parse(data)
    except (_Unusual, struct.error, LookupError, ValueError):  # LookupError: beyond the end of the file
        return None
    if not 0 < width * height <= CEILING_PIXELS:
        return None
    orientation = declared if declared in TURNS else 1
    size = (height, width) if TURNS.get(orientation) in SIDEWAYS else (width, height)
    return Header(size, height * (width * bits // 8 + 1), len(data), orientation)


_Found = tuple[tuple[int, int], int, int | None]
"""Size as stored, bits per pixel, and the declared orientation."""


def _require(condition: bool) -> None:
    if not condition:
        raise _Unusual


def _png(data: bytes) -> _Found:
    kinds: list[bytes] = []
    orientation = None
    for kind, body in _png_chunks(data):
        if kind != b"IDAT" or kinds[-1:] != [kind]:  # consecutive IDAT chunks count once
            kinds.append(kind)
        if kind == b"eXIf":
            orientation = orientation_in(bytes(body))
        _require(
            not (kind == b"tEXt" and bytes(body[:11]) == b"Raw profile")
        )  # ImageMagick's form of Exif, which may hold an orientation
        _require(kind != b"iCCP" or (bytes(body[:80]).find(b"\0\0") >= 1 and len(body) <= MAX_PROFILE_BYTES))
    width, height, depth, colour, method, filters, interlace = struct.unpack_from(">IIBBBBB", data, 16)
    _require(depth in PNG_DEPTHS.get(colour, ()) and (method, filters) == (0, 0) and interlace <= 1)
    _require(kinds[0] == b"IHDR" and kinds.count(b"IHDR") == kinds.count(b"IDAT") == 1 and kinds.count(b"eXIf") <= 1)
    _require(colour != 3 or b"PLTE" in kinds[: kinds.index(b"IDAT")])
    return (width, height), depth * PNG_CHANNELS[colour], orientation


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Yield type and content of all chunks, each verified by its checksum. The file must end with the last."""
    kind, length = b"", len(PNG_MAGIC)
    for chunk in png_chunks(data, MAX_CHUNKS):
        kind, length = chunk.kind, length + len(chunk.whole)
        _require(chunk.is_sound and len(chunk.body) == PNG_LENGTHS.get(kind, len(chunk.body)))
        _require(
            kind in (b"IHDR", b"PLTE", b"IDAT", b"IEND") or (kind.isalpha() and kind[:1].islower() and kind not in PNG_UNUSUAL)
        )
        yield kind, chunk.body
    _require(kind == b"IEND" and length == len(data))


def _jpeg(data: bytes) -> _Found:
    markers: list[int] = []
    size, components, orientation = (0, 0), 0, None
    for marker, body in _jpeg_segments(data):
        markers.append(marker)
        if marker in JPEG_FRAMES:
            size, components = _jpeg_frame(body)
        if marker == APP1 and body.startswith(EXIF):
            _require(orientation is None)
            orientation = orientation_in(body[len(EXIF) :]) or 1
        elif marker == APP1 and body.startswith(XMP):
            _require(orientation is not None or b"tiff:Orientation" not in body)
    _require(sum(marker in JPEG_FRAMES for marker in markers) == 1 and 0xDB in markers)
    if 0xC2 in markers:  # a progressive JPEG costs one pass over the picture per scan
        _require(data.count(bytes([0xFF, SOS])) <= MAX_SCANS)
    else:
        _require(0xC4 in markers)
    return size, 8 * components, orientation


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield marker and content of the segments before the pixels.

    Requires an end marker, which can't occur by chance within pixels.
    """
    offset = 2
    for _ in range(MAX_CHUNKS):
        start, marker, length = struct.unpack_from(">BBH", data, offset)
        _require(start == 0xFF and marker in (*JPEG_FRAMES, *JPEG_OTHERS, SOS) and offset + 2 + length <= len(data))
        _require(length >= 2 and length == JPEG_LENGTHS.get(marker, length))
        if marker == SOS:
            _require(data.endswith(b"\xff\xd9") or data.find(b"\xff\xd9", offset) >= 0)
            return
        yield marker, data[offset + 4 : offset + 2 + length]
        offset += 2 + length
    raise _Unusual


def _jpeg_frame(body: bytes) -> tuple[tuple[int, int], int]:
    """Return size and number of components."""
    precision, height, width, components = struct.unpack_from(">BHHB", body)
    _require(precision == 8 and components in (1, 3) and len(body) == 6 + 3 * components)  # four are CMYK
    _require(all(1 <= sampling >> 4 <= 4 and 1 <= sampling & 15 <= 4 for sampling in body[7::3]))
    return (width, height), components


def _webp(data: bytes) -> _Found:
    (length,) = struct.unpack_from("<I", data, 4)
    _require(data[8:12] == b"WEBP" and length + 8 == len(data))
    chunks = dict(_webp_chunks(data))
    frame = chunks.get(b"VP8L") if b"VP8L" in chunks else chunks.get(b"VP8 ")
    if frame is None:
        raise _Unusual
    size = _lossless(frame) if b"VP8L" in chunks else _lossy(frame)
    first, orientation = next(iter(chunks)), None
    if first == b"VP8X":
        flags, *_, low_w, high_w, low_h, high_h = struct.unpack_from("<B3sHBHB", chunks[first])
        _require(not flags & ~WEBP_FLAGS and size == (1 + low_w + (high_w << 16), 1 + low_h + (high_h << 16)))
        orientation = orientation_in(chunks[b"EXIF"].removeprefix(EXIF)) if b"EXIF" in chunks else None
        _require(orientation is not None or b"tiff:Orientation" not in chunks.get(b"XMP ", b""))
    else:
        _require(len(chunks) == 1)
    return size, 32, orientation


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield type and content of the chunks, each type at most once."""
    seen: set[bytes] = set()
    offset = 12
    while offset < len(data):
        kind, length = struct.unpack_from("<4sI", data, offset)
        end = offset + 8 + length
        _require(kind not in (*seen, b"ALPH") and end <= len(data))
        seen.add(kind)
        yield kind, data[offset + 8 : end]
        offset = end + length % 2


def _lossy(frame: bytes) -> tuple[int, int]:
    start, mark, width, height = struct.unpack_from("<3s3sHH", frame)
    partition = int.from_bytes(start, "little") >> 5
    _require(mark == b"\x9d\x01\x2a" and not start[0] & 1 and partition <= len(frame) - 10)  # a key frame with its first partition
    return width & 0x3FFF, height & 0x3FFF


def _lossless(frame: bytes) -> tuple[int, int]:
    mark, packed = struct.unpack_from("<BI", frame)
    _require(mark == 0x2F)
    return 1 + (packed & 0x3FFF), 1 + (packed >> 14 & 0x3FFF)


def _iso_media(data: bytes) -> _Found:
    return shown_size(data), 24, None


PARSERS: Mapping[str, Callable[[bytes], _Found]] = {
    "image/png": _png,
    "image/jpeg": _jpeg,
    "image/webp": _webp,
    "image/avif": _iso_media,
    "image/heic": _iso_media,
}
"""The parser of each media type."""
