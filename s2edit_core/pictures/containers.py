"""Picture files as containers: what one says of itself, and whether it is whole, without its pixels. No torch.

Only plain files are read here, by short walks over their chunks. Whatever is damaged, cut off, costly or merely unusual is answered
by None, and then `pictures` must decode it to say what it is: so nothing is refused here, and nothing here runs a decoder.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from s2edit_core.pictures.files import SIDEWAYS, TURNS, media_type, reads
from s2edit_core.pictures.iso_header import shown_size
from s2edit_core.pictures.metadata import EXIF, ORIENTATION
from s2edit_core.request.limits import CEILING_PIXELS

MOST_CHUNKS = 1_000
MOST_SCANS = 30
MOST_TAGS = 200
MOST_PROFILE_BYTES = 10_000
"""Compressed; larger ones may be made to fill memory."""
DENSEST = 700
"""Pixels hardly fit into a file this many times smaller, unless all are alike or some are missing; deflate ends at 1,032."""
XMP = b"http://ns.adobe.com/xap/1.0/\0"

PNG_CHANNELS: Mapping[int, int] = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""By colour type."""
PNG_DEPTHS: Mapping[int, tuple[int, ...]] = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
PNG_LENGTHS: Mapping[bytes, int] = {b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"pHYs": 9}
PNG_UNUSUAL = (b"tRNS", b"zTXt", b"iTXt", b"acTL", b"fcTL", b"fdAT")
"""Chunks that change what is decoded, or how much."""
SOS, APP1 = 0xDA, 0xE1
JPEG_FRAMES = (0xC0, 0xC1, 0xC2)
"""Baseline, extended and progressive, by Huffman codes."""
JPEG_OTHERS = (0xC4, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0))
"""Tables, comments and what applications have written."""
JPEG_LENGTHS: Mapping[int, int] = {0xDD: 4}
WEBP_FLAGS = 0x3C
"""A profile, transparency, Exif, XMP: not an animation."""


@dataclass(frozen=True, slots=True)
class Header:
    """A plain file. `size` is width and height as the picture is seen, upright; `raw_bytes` its pixels before compression.

    `orientation` is what its metadata say of how it is turned, 1..8 as in Exif; 1 where they say nothing, or nonsense, and for AVIF
    and HEIC, which say it elsewhere.
    """

    size: tuple[int, int]
    raw_bytes: int
    file_bytes: int
    orientation: int = 1

    @property
    def pixels(self) -> int:
        return self.size[0] * self.size[1]

    @property
    def looks_flat(self) -> bool:
        """Whether all its pixels may be alike, by how small the file is."""
        return self.raw_bytes > DENSEST * self.file_bytes


class _Unusual(Exception):
    pass


def read_header(data: bytes) -> Header | None:
    """Of a plain and whole file of at most `CEILING_PIXELS`; None for any other, which only a decoder can judge."""
    kind = media_type(data)
    walk = WALKS.get(kind)
    if walk is None or not reads(kind):
        return None
    try:
        (width, height), bits, said = walk(data)
    except (_Unusual, struct.error, LookupError, ValueError):  # beyond its end
        return None
    if not 0 < width * height <= CEILING_PIXELS:
        return None
    orientation = said if said in TURNS else 1
    size = (height, width) if TURNS.get(orientation) in SIDEWAYS else (width, height)
    return Header(size, height * (width * bits // 8 + 1), len(data), orientation)


_Found = tuple[tuple[int, int], int, int | None]
"""Size as stored, bits of a pixel, and what is said of the orientation."""


def _need(condition: bool) -> None:
    if not condition:
        raise _Unusual


def _png(data: bytes) -> _Found:
    kinds: list[bytes] = []
    orientation = None
    for kind, body in _png_chunks(data):
        if kind != b"IDAT" or kinds[-1:] != [kind]:  # a run of them counts once
            kinds.append(kind)
        if kind == b"eXIf":
            orientation = _orientation(bytes(body))
        _need(not (kind == b"tEXt" and bytes(body[:11]) == b"Raw profile"))  # may be an orientation too
        _need(kind != b"iCCP" or (bytes(body[:80]).find(b"\0\0") >= 1 and len(body) <= MOST_PROFILE_BYTES))
    width, height, depth, colour, method, filters, interlace = struct.unpack_from(">IIBBBBB", data, 16)
    _need(depth in PNG_DEPTHS.get(colour, ()) and (method, filters) == (0, 0) and interlace <= 1)
    _need(kinds[0] == b"IHDR" and kinds.count(b"IHDR") == kinds.count(b"IDAT") == 1 and kinds.count(b"eXIf") <= 1)
    _need(colour != 3 or b"PLTE" in kinds[: kinds.index(b"IDAT")])
    return (width, height), depth * PNG_CHANNELS[colour], orientation


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Up to the last, each held to its checksum."""
    view, place = memoryview(data), 8
    for _ in range(MOST_CHUNKS):
        length, kind = struct.unpack_from(">I4s", data, place)
        end = place + 8 + length
        (checksum,) = struct.unpack_from(">I", data, end)
        _need(zlib.crc32(view[place + 4 : end]) == checksum)
        _need(kind in (b"IHDR", b"PLTE", b"IDAT", b"IEND") or (kind.isalpha() and kind[:1].islower() and kind not in PNG_UNUSUAL))
        _need(length == PNG_LENGTHS.get(kind, length))
        yield kind, view[place + 8 : end]
        place = end + 4
        if kind == b"IEND":
            _need(place == len(data))
            return
    raise _Unusual


def _jpeg(data: bytes) -> _Found:
    markers: list[int] = []
    size, components, orientation = (0, 0), 0, None
    for marker, body in _jpeg_segments(data):
        markers.append(marker)
        if marker in JPEG_FRAMES:
            size, components = _jpeg_frame(body)
        if marker == APP1 and body.startswith(EXIF):
            _need(orientation is None)
            orientation = _orientation(body[len(EXIF) :]) or 1
        elif marker == APP1 and body.startswith(XMP):
            _need(orientation is not None or b"tiff:Orientation" not in body)
    _need(sum(marker in JPEG_FRAMES for marker in markers) == 1 and 0xDB in markers)
    if 0xC2 in markers:  # these are gone through once for each scan
        _need(data.count(bytes([0xFF, SOS])) <= MOST_SCANS)
    else:
        _need(0xC4 in markers)
    return size, 8 * components, orientation


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Those before the pixels, if what follows has an end: within pixels an end marker can't stand by chance."""
    place = 2
    for _ in range(MOST_CHUNKS):
        start, marker, length = struct.unpack_from(">BBH", data, place)
        _need(start == 0xFF and marker in (*JPEG_FRAMES, *JPEG_OTHERS, SOS) and place + 2 + length <= len(data))
        _need(length >= 2 and length == JPEG_LENGTHS.get(marker, length))
        if marker == SOS:
            _need(data.endswith(b"\xff\xd9") or data.find(b"\xff\xd9", place) >= 0)
            return
        yield marker, data[place + 4 : place + 2 + length]
        place += 2 + length
    raise _Unusual


def _jpeg_frame(body: bytes) -> tuple[tuple[int, int], int]:
    """Size and number of components."""
    precision, height, width, components = struct.unpack_from(">BHHB", body)
    _need(precision == 8 and components in (1, 3) and len(body) == 6 + 3 * components)  # four are CMYK
    _need(all(1 <= sampling >> 4 <= 4 and 1 <= sampling & 15 <= 4 for sampling in body[7::3]))
    return (width, height), components


def _webp(data: bytes) -> _Found:
    (length,) = struct.unpack_from("<I", data, 4)
    _need(data[8:12] == b"WEBP" and length + 8 == len(data))
    chunks = dict(_webp_chunks(data))
    frame = chunks.get(b"VP8L") if b"VP8L" in chunks else chunks.get(b"VP8 ")
    if frame is None:
        raise _Unusual
    size = _lossless(frame) if b"VP8L" in chunks else _lossy(frame)
    first, orientation = next(iter(chunks)), None
    if first == b"VP8X":
        flags, *_, low_w, high_w, low_h, high_h = struct.unpack_from("<B3sHBHB", chunks[first])
        _need(not flags & ~WEBP_FLAGS and size == (1 + low_w + (high_w << 16), 1 + low_h + (high_h << 16)))
        orientation = _orientation(chunks[b"EXIF"].removeprefix(EXIF)) if b"EXIF" in chunks else None
        _need(orientation is not None or b"tiff:Orientation" not in chunks.get(b"XMP ", b""))
    else:
        _need(len(chunks) == 1)
    return size, 32, orientation


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Each kind once."""
    seen: set[bytes] = set()
    place = 12
    while place < len(data):
        kind, length = struct.unpack_from("<4sI", data, place)
        end = place + 8 + length
        _need(kind not in (*seen, b"ALPH") and end <= len(data))
        seen.add(kind)
        yield kind, data[place + 8 : end]
        place = end + length % 2


def _lossy(frame: bytes) -> tuple[int, int]:
    start, mark, width, height = struct.unpack_from("<3s3sHH", frame)
    partition = int.from_bytes(start, "little") >> 5
    _need(mark == b"\x9d\x01\x2a" and not start[0] & 1 and partition <= len(frame) - 10)  # a key frame, with its first part
    return width & 0x3FFF, height & 0x3FFF


def _lossless(frame: bytes) -> tuple[int, int]:
    mark, packed = struct.unpack_from("<BI", frame)
    _need(mark == 0x2F)
    return 1 + (packed & 0x3FFF), 1 + (packed >> 14 & 0x3FFF)


def _orientation(tiff: bytes) -> int | None:
    """What Exif says of it in its first directory; None if nothing."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    _need(order is not None)
    (start,) = struct.unpack_from(f"{order}I", tiff, 4)
    (count,) = struct.unpack_from(f"{order}H", tiff, start)
    _need(count <= MOST_TAGS)
    for place in range(start + 2, start + 2 + 12 * count, 12):
        tag, kind, values, value = struct.unpack_from(f"{order}HHIH", tiff, place)
        if tag == ORIENTATION:
            _need((kind, values) == (3, 1))  # one short number
            return int(value)
    return None


def _iso_media(data: bytes) -> _Found:
    return shown_size(data), 24, None


WALKS: Mapping[str, Callable[[bytes], _Found]] = {
    "image/png": _png,
    "image/jpeg": _jpeg,
    "image/webp": _webp,
    "image/avif": _iso_media,
    "image/heic": _iso_media,
}
