"""Removes metadata from AVIF and HEIC files (ISO/IEC 14496-12 boxes). Bytes are overwritten in place, so that no offset changes."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

KEPT = (b"ftyp", b"meta", b"mdat", b"moov")
"""Top-level boxes that decoding a picture needs. The others hold films, previews and data of apps."""
DESCRIPTIVE = (b"meta", b"udta", b"uuid")
"""Boxes among and within tracks that hold only metadata."""
FREE = b"free"
"""The type of a box without content."""
UNUSED_ITEM = b"skip"
"""An item type that no decoder reads."""
METADATA = (b"Exif", b"mime", b"uri ")
"""Item types that hold metadata."""
MAX_BOXES = 2_000
"""Most boxes within one box, and most extents of all items: far more than any picture has, and quick to read."""
MAX_KEPT_BOXES = 50
"""Most top-level boxes of a picture; phones write three."""
IN_FILE, IN_BOX = 0, 1
"""Construction methods of an item's extents: offsets from the start of the file, or of the box `idat`."""


@dataclass(frozen=True, slots=True)
class Box:
    """A box: its type, the offset of that type, and the range of its content."""

    kind: bytes
    type_at: int
    start: int  # of its content
    end: int


def without_metadata_items(data: bytes) -> bytes:
    """Return `data` with zeros in place of its metadata, and of everything else that is no part of a picture.

    Raises `ValueError`, `struct.error` or `IndexError` for a file that does not conform to ISO/IEC 14496-12.
    """
    bare, top = bytearray(data), list(boxes(data, 0, len(data)))
    kept = [box for box in top if box.kind in KEPT]
    if len(kept) > MAX_KEPT_BOXES:
        raise ValueError("a picture has too many boxes")
    for box in top:
        if box.kind not in KEPT:
            _free(bare, box)
        elif box.kind == b"meta":
            _clear_items(bare, {child.kind: child for child in boxes(data, box.start + 4, box.end)}, kept)
        elif box.kind == b"moov":
            _clear_tracks(bare, box)
    return bytes(bare)


def boxes(data: bytes | bytearray, offset: int, end: int) -> Iterator[Box]:
    """Yield the boxes in `data[offset:end]`. Raises `ValueError` for a box that exceeds this range, or for too many."""
    for _ in range(MAX_BOXES):
        if offset >= end:
            return
        size, kind = struct.unpack_from(">I4s", data, offset)
        start = offset + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, start)
            start += 8
        elif size == 0:
            size = end - offset
        if not start <= offset + size <= end:
            raise ValueError("a box exceeds its parent")
        yield Box(kind, offset + 4, start, offset + size)
        offset += size
    raise ValueError("too many boxes")


def _free(bare: bytearray, box: Box) -> None:
    """Turn a box into free space."""
    bare[box.type_at : box.type_at + 4] = FREE
    _zero(bare, box.start, box.end)


def _zero(bare: bytearray, start: int, end: int) -> None:
    """Overwrite a range of bytes. Raises `ValueError` if it lies outside the file."""
    if not 0 <= start <= end <= len(bare):
        raise ValueError("an item lies outside the file")
    bare[start:end] = bytes(end - start)


def _clear_tracks(bare: bytearray, tracks: Box) -> None:
    """Free the metadata boxes of a film and of its tracks."""
    for track in list(boxes(bare, tracks.start, tracks.end)):
        for box in [track] if track.kind != b"trak" else list(boxes(bare, track.start, track.end)):
            if box.kind in DESCRIPTIVE:
                _free(bare, box)


def _clear_items(bare: bytearray, meta: dict[bytes, Box], kept: Sequence[Box]) -> None:
    """Overwrite the metadata items of a picture, and their entries in the item table.

    All other items must lie in a box that is `kept`. Raises `ValueError` otherwise, and for items that can't be located.
    """
    if b"iinf" not in meta or b"iloc" not in meta:
        raise ValueError("no items")
    metadata_items = set(_clear_names(bare, meta[b"iinf"]))
    base = meta[b"idat"].start if b"idat" in meta else None
    cleared = 0
    for item, method, start, end in extents(bytes(bare[meta[b"iloc"].start : meta[b"iloc"].end])):
        if item not in metadata_items:
            if method == IN_FILE and end > start and not any(box.start <= start and end <= box.end for box in kept):
                raise ValueError("an item lies outside the boxes of a picture")
            continue
        cleared += end - start
        if cleared > len(bare):
            raise ValueError("metadata items overlap")
        if method not in (IN_FILE, IN_BOX) or (method == IN_BOX and base is None):
            raise ValueError("an item is constructed from other items")
        offset = base if method == IN_BOX and base is not None else 0
        _zero(bare, offset + start, offset + end)


def _clear_names(bare: bytearray, iinf: Box) -> Iterator[int]:
    """Yield the ids of the metadata items, and overwrite their type and name."""
    first = iinf.start + (6 if bare[iinf.start] == 0 else 8)
    for box in list(boxes(bare, first, iinf.end)):
        version = bare[box.start]
        if box.kind != b"infe" or version not in (2, 3):
            raise ValueError("an item has no type")
        item, _, kind = struct.unpack_from(">HH4s" if version == 2 else ">IH4s", bare, box.start + 4)
        if kind in METADATA:
            name_at = box.start + (12 if version == 2 else 14)
            bare[name_at - 4 : name_at] = UNUSED_ITEM
            _zero(bare, name_at, box.end)
            yield item


def extents(iloc: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Yield one tuple per extent of each item: its id, construction method, start and end."""
    version, sizes, more = iloc[0], iloc[4], iloc[5]
    reader = Reader(iloc, 6)
    wide, total = 2 if version < 2 else 4, 0
    for _ in range(reader.number(wide)):
        item = reader.number(wide)
        method = reader.number(2) & 15 if version else IN_FILE
        reader.number(2)  # data reference: this file
        base = reader.number(more >> 4)
        total += (count := reader.number(2))
        if total > MAX_BOXES:
            raise ValueError("items have too many extents")
        for _ in range(count):
            reader.number(more & 15 if version else 0)
            start = base + reader.number(sizes >> 4)
            length = reader.number(sizes & 15)
            yield item, method, start, start + length


class Reader:
    """Reads unsigned big-endian integers from a table."""

    def __init__(self, data: bytes, offset: int) -> None:
        self._data, self._offset = data, offset

    def number(self, size: int) -> int:
        """Return the next integer of `size` bytes. Raises `ValueError` at the end of the table."""
        end = self._offset + size
        if end > len(self._data):
            raise ValueError("a table is cut off")
        value = int.from_bytes(self._data[self._offset : end])
        self._offset = end
        return value
