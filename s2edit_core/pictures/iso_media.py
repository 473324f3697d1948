"""AVIF and HEIC files, boxes in boxes: what is no picture is overwritten where it lies, so that no offset in the file changes."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

PLAIN = (b"ftyp", b"meta", b"mdat", b"moov")
"""Boxes of the file that a picture is read from. The others hold films, previews and whatever an app has put there."""
TOLD = (b"meta", b"udta", b"uuid")
"""Boxes among tracks, and within one, that only tell."""
FREE = b"free"
NOTHING = b"skip"
"""As the type of an item: one that no decoder looks for."""
METADATA = (b"Exif", b"mime", b"uri ")
MOST = 2_000
"""Boxes in one, and pieces of items: far more than any picture has, few enough to cost nothing."""
MOST_KEPT = 50
"""Of the boxes that a picture is read from: phones write three."""
IN_FILE, IN_BOX = 0, 1
"""Where the bytes of an item lie: counted from the beginning of the file, or of the box `idat`."""


@dataclass(frozen=True, slots=True)
class Box:
    kind: bytes
    type_at: int
    start: int  # of what it holds
    end: int


def without_items(data: bytes) -> bytes:
    """`data` with zeros for its metadata and for all that is no part of a picture. Raises `ValueError`, `struct.error` or
    `IndexError` for a file that is not built as the standard says (ISO/IEC 14496-12)."""
    bare, top = bytearray(data), list(boxes(data, 0, len(data)))
    kept = [box for box in top if box.kind in PLAIN]
    if len(kept) > MOST_KEPT:
        raise ValueError("a picture in too many boxes")
    for box in top:
        if box.kind not in PLAIN:
            _free(bare, box)
        elif box.kind == b"meta":
            _clear_items(bare, {child.kind: child for child in boxes(data, box.start + 4, box.end)}, kept)
        elif box.kind == b"moov":
            _clear_tracks(bare, box)
    return bytes(bare)


def boxes(data: bytes | bytearray, place: int, end: int) -> Iterator[Box]:
    for _ in range(MOST):
        if place >= end:
            return
        size, kind = struct.unpack_from(">I4s", data, place)
        start = place + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, start)
            start += 8
        elif size == 0:
            size = end - place
        if not start <= place + size <= end:
            raise ValueError("a box is larger than what it lies in")
        yield Box(kind, place + 4, start, place + size)
        place += size
    raise ValueError("too many boxes")


def _free(bare: bytearray, box: Box) -> None:
    bare[box.type_at : box.type_at + 4] = FREE
    _zero(bare, box.start, box.end)


def _zero(bare: bytearray, start: int, end: int) -> None:
    if not 0 <= start <= end <= len(bare):
        raise ValueError("an item lies outside the file")
    bare[start:end] = bytes(end - start)


def _clear_tracks(bare: bytearray, tracks: Box) -> None:
    for track in list(boxes(bare, tracks.start, tracks.end)):
        for box in [track] if track.kind != b"trak" else list(boxes(bare, track.start, track.end)):
            if box.kind in TOLD:
                _free(bare, box)


def _clear_items(bare: bytearray, meta: dict[bytes, Box], kept: Sequence[Box]) -> None:
    """Of a picture: where its metadata lie, and that they are there. What is no metadata must lie in a box that is `kept`."""
    if b"iinf" not in meta or b"iloc" not in meta:
        raise ValueError("no items")
    told = set(_clear_names(bare, meta[b"iinf"]))
    base = meta[b"idat"].start if b"idat" in meta else None
    cleared = 0
    for item, method, start, end in extents(bytes(bare[meta[b"iloc"].start : meta[b"iloc"].end])):
        if item not in told:
            if method == IN_FILE and end > start and not any(box.start <= start and end <= box.end for box in kept):
                raise ValueError("a picture lies where none may be")
            continue
        cleared += end - start
        if cleared > len(bare):
            raise ValueError("items lie over one another")
        if method not in (IN_FILE, IN_BOX) or (method == IN_BOX and base is None):
            raise ValueError("an item is made of others")
        offset = base if method == IN_BOX and base is not None else 0
        _zero(bare, offset + start, offset + end)


def _clear_names(bare: bytearray, iinf: Box) -> Iterator[int]:
    """Ids of the items that hold metadata, which have no type then."""
    first = iinf.start + (6 if bare[iinf.start] == 0 else 8)
    for box in list(boxes(bare, first, iinf.end)):
        version = bare[box.start]
        if box.kind != b"infe" or version not in (2, 3):
            raise ValueError("an item has no type")
        item, _, kind = struct.unpack_from(">HH4s" if version == 2 else ">IH4s", bare, box.start + 4)
        if kind in METADATA:
            name_at = box.start + (12 if version == 2 else 14)
            bare[name_at - 4 : name_at] = NOTHING
            _zero(bare, name_at, box.end)
            yield item


def extents(iloc: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Id of the item, how its place is meant, and where it begins and ends; once for each piece."""
    version, sizes, more = iloc[0], iloc[4], iloc[5]
    reader = Reader(iloc, 6)
    wide, pieces = 2 if version < 2 else 4, 0
    for _ in range(reader.number(wide)):
        item = reader.number(wide)
        method = reader.number(2) & 15 if version else IN_FILE
        reader.number(2)  # the file: this one
        base = reader.number(more >> 4)
        pieces += (count := reader.number(2))
        if pieces > MOST:
            raise ValueError("items of too many pieces")
        for _ in range(count):
            reader.number(more & 15 if version else 0)
            start = base + reader.number(sizes >> 4)
            length = reader.number(sizes & 15)
            yield item, method, start, start + length


class Reader:
    def __init__(self, data: bytes, place: int) -> None:
        self._data, self._place = data, place

    def number(self, size: int) -> int:
        """The next one, of so many bytes."""
        end = self._place + size
        if end > len(self._data):
            raise ValueError("a table is cut off")
        value = int.from_bytes(self._data[self._place : end])
        self._place = end
        return value
