"""The header of an AVIF or HEIC file: the picture's size, and whether all its parts are present, without decoding. Loads no torch.

Phones store a picture as a grid of tiles, beside depth maps, gain maps and previews; those are not checked. Functions raise
`ValueError`, `struct.error` or `IndexError` for a damaged or unusual file (ISO/IEC 23008-12).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from s2edit_core.pictures.iso_metadata import IN_BOX, IN_FILE, Box, Reader, boxes, extents

CODED: Mapping[bytes, bytes] = {b"hvc1": b"hvcC", b"av01": b"av1C"}
"""Item types that are coded pictures, and the property that their decoder needs."""
GRID = b"grid"
FILMS = (b"moov", b"moof")
MAX_TILES = 900
"""Most tiles of a grid: libheif reads files of at most 1,000 items."""


@dataclass(frozen=True, slots=True)
class Item:
    """An item: its type, its properties in order, and its bytes in the file."""

    kind: bytes
    properties: tuple[Box, ...]
    length: int  # of all its extents
    start: int  # of its first extent, in the file


def shown_size(data: bytes) -> tuple[int, int]:
    """Return width and height of the primary picture, upright."""
    parts = _parts(data)
    items = _items(data, parts)
    primary = _primary(data, parts[b"pitm"])
    size = _size(data, items[primary])
    if items[primary].kind == GRID:
        tiles = _tiles(data, parts[b"iref"], primary)
        _require(_grid(data, items[primary]) == (size, len(tiles)) and len(tiles) <= MAX_TILES)
        _require({items[tile].kind for tile in tiles} <= CODED.keys())
    else:
        tiles = [primary]
    for item in (items[tile] for tile in tiles):
        _require(item.length > 0 and CODED[item.kind] in {box.kind for box in item.properties})
    quarter_turns = [data[box.start] & 3 for box in items[primary].properties if box.kind == b"irot"]
    return size[::-1] if sum(quarter_turns) % 2 else size


def colour_codes(data: bytes) -> tuple[int, int] | None:
    """Return the primaries and transfer codes of the primary picture; None if it has none, or an ICC profile as well."""
    parts = _parts(data)
    colours = [box for box in _items(data, parts)[_primary(data, parts[b"pitm"])].properties if box.kind == b"colr"]
    if len(colours) != 1 or data[colours[0].start : colours[0].start + 4] != b"nclx":
        return None
    primaries, transfer = struct.unpack_from(">HH", data, colours[0].start + 4)
    return primaries, transfer


def items_of(data: bytes) -> dict[int, Item]:
    """Return the items of a file by their ids."""
    return _items(data, _parts(data))


def _parts(data: bytes) -> dict[bytes, Box]:
    """Return the child boxes of the file's only `meta` box, by type."""
    top = list(boxes(data, 0, len(data)))
    metas = [box for box in top if box.kind == b"meta"]
    _require(len(metas) == 1 and not any(box.kind in FILMS for box in top))
    return {box.kind: box for box in boxes(data, metas[0].start + 4, metas[0].end)}


def _require(condition: bool) -> None:
    """Raise `ValueError` unless `condition` holds."""
    if not condition:
        raise ValueError("not a plain picture")


def _primary(data: bytes, pitm: Box) -> int:
    """Return the id of the primary item."""
    return int.from_bytes(data[pitm.start + 4 : pitm.start + (6 if data[pitm.start] == 0 else 8)])


def _items(data: bytes, parts: Mapping[bytes, Box]) -> dict[int, Item]:
    kinds, lengths, starts = dict(_kinds(data, parts[b"iinf"])), dict[int, int](), dict[int, int]()
    iloc = parts[b"iloc"]
    for item, method, start, end in extents(data[iloc.start : iloc.end]):
        base, limit = 0, len(data)
        if method == IN_BOX:
            base, limit = parts[b"idat"].start, parts[b"idat"].end
        _require(method in (IN_FILE, IN_BOX) and start <= end and base + end <= limit)
        lengths[item] = lengths.get(item, 0) + end - start
        starts.setdefault(item, base + start)
    properties = dict(_properties(data, parts[b"iprp"]))
    return {item: Item(kind, properties.get(item, ()), lengths.get(item, 0), starts.get(item, 0)) for item, kind in kinds.items()}


def _kinds(data: bytes, iinf: Box) -> Iterator[tuple[int, bytes]]:
    """Yield id and type of each item."""
    for box in boxes(data, iinf.start + (6 if data[iinf.start] == 0 else 8), iinf.end):
        version = data[box.start]
        _require(box.kind == b"infe" and version in (2, 3))
        item, _, kind = struct.unpack_from(">HH4s" if version == 2 else ">IH4s", data, box.start + 4)
        yield item, kind


def _properties(data: bytes, iprp: Box) -> Iterator[tuple[int, tuple[Box, ...]]]:
    """Yield id and properties, in order, of each item."""
    inner = {box.kind: box for box in boxes(data, iprp.start, iprp.end)}
    known, ipma = list(boxes(data, inner[b"ipco"].start, inner[b"ipco"].end)), inner[b"ipma"]
    wide, long = data[ipma.start] > 0, data[ipma.start + 3] & 1
    reader = Reader(data[ipma.start + 4 : ipma.end], 0)
    for _ in range(reader.number(4)):
        item, count = reader.number(4 if wide else 2), reader.number(1)
        indices = [reader.number(2) & 0x7FFF if long else reader.number(1) & 0x7F for _ in range(count)]
        yield item, tuple(known[index - 1] for index in indices if index > 0)


def _size(data: bytes, item: Item) -> tuple[int, int]:
    """Return the item's size as stored. Raises `ValueError` for an item that is cropped."""
    sizes = [box for box in item.properties if box.kind == b"ispe"]
    _require(len(sizes) == 1 and not any(box.kind == b"clap" for box in item.properties))  # a clean aperture crops
    width, height = struct.unpack_from(">II", data, sizes[0].start + 4)
    return width, height


def _grid(data: bytes, item: Item) -> tuple[tuple[int, int], int]:
    """Return the size and the number of tiles that a grid declares."""
    _, flags, rows, columns = struct.unpack_from("4B", data, item.start)
    width, height = struct.unpack_from(">II" if flags & 1 else ">HH", data, item.start + 4)
    return (width, height), (rows + 1) * (columns + 1)


def _tiles(data: bytes, iref: Box, grid: int) -> list[int]:
    """Return the item ids of a grid's tiles."""
    wide = 4 if data[iref.start] else 2
    for box in boxes(data, iref.start + 4, iref.end):
        reader = Reader(data[box.start : box.end], 0)
        if box.kind == b"dimg" and reader.number(wide) == grid:
            return [reader.number(wide) for _ in range(reader.number(2))]
    raise ValueError("a grid without tiles")
