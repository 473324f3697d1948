"""What an AVIF or HEIC file says of its picture, without decoding it: the size, and that all pieces are there. No torch.

Phones cut a picture into a grid of tiles, and put depths, gain maps and previews beside it; these are looked at no closer. Raises
`ValueError`, `struct.error` or `IndexError` for what is damaged or unusual (ISO/IEC 23008-12).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from s2edit_core.pictures.iso_media import IN_BOX, IN_FILE, Box, Reader, boxes, extents

CODED: Mapping[bytes, bytes] = {b"hvc1": b"hvcC", b"av01": b"av1C"}
"""Items that are pictures by themselves, and the property that their decoder needs."""
GRID = b"grid"
FILMS = (b"moov", b"moof")
MOST_TILES = 900
"""libheif reads files of at most 1,000 items."""


@dataclass(frozen=True, slots=True)
class Item:
    """One item: its type, its properties in order, and how many bytes of the file are its own."""

    kind: bytes
    properties: tuple[Box, ...]
    length: int
    start: int  # of its first piece, in the file


def shown_size(data: bytes) -> tuple[int, int]:
    """Width and height of the picture that is shown, upright."""
    parts = _parts(data)
    items = _items(data, parts)
    primary = _primary(data, parts[b"pitm"])
    size = _size(data, items[primary])
    if items[primary].kind == GRID:
        tiles = _tiles(data, parts[b"iref"], primary)
        _need(_grid(data, items[primary]) == (size, len(tiles)) and len(tiles) <= MOST_TILES)
        _need({items[tile].kind for tile in tiles} <= CODED.keys())
    else:
        tiles = [primary]
    for item in (items[tile] for tile in tiles):
        _need(item.length > 0 and CODED[item.kind] in {box.kind for box in item.properties})
    turns = [data[box.start] & 3 for box in items[primary].properties if box.kind == b"irot"]
    return size[::-1] if sum(turns) % 2 else size


def colour_codes(data: bytes) -> tuple[int, int] | None:
    """The codes for primaries and transfer of the picture that is shown; None where it has none, or an ICC profile as well."""
    parts = _parts(data)
    colours = [box for box in _items(data, parts)[_primary(data, parts[b"pitm"])].properties if box.kind == b"colr"]
    if len(colours) != 1 or data[colours[0].start : colours[0].start + 4] != b"nclx":
        return None
    primaries, transfer = struct.unpack_from(">HH", data, colours[0].start + 4)
    return primaries, transfer


def items_of(data: bytes) -> dict[int, Item]:
    """The items of a file, by their ids."""
    return _items(data, _parts(data))


def _parts(data: bytes) -> dict[bytes, Box]:
    """What the one box of a picture holds that tells of its items."""
    top = list(boxes(data, 0, len(data)))
    metas = [box for box in top if box.kind == b"meta"]
    _need(len(metas) == 1 and not any(box.kind in FILMS for box in top))
    return {box.kind: box for box in boxes(data, metas[0].start + 4, metas[0].end)}


def _need(condition: bool) -> None:
    if not condition:
        raise ValueError("not a plain picture")


def _primary(data: bytes, pitm: Box) -> int:
    return int.from_bytes(data[pitm.start + 4 : pitm.start + (6 if data[pitm.start] == 0 else 8)])


def _items(data: bytes, parts: Mapping[bytes, Box]) -> dict[int, Item]:
    kinds, lengths, starts = dict(_kinds(data, parts[b"iinf"])), dict[int, int](), dict[int, int]()
    iloc = parts[b"iloc"]
    for item, method, start, end in extents(data[iloc.start : iloc.end]):
        base, limit = 0, len(data)
        if method == IN_BOX:
            base, limit = parts[b"idat"].start, parts[b"idat"].end
        _need(method in (IN_FILE, IN_BOX) and start <= end and base + end <= limit)
        lengths[item] = lengths.get(item, 0) + end - start
        starts.setdefault(item, base + start)
    properties = dict(_properties(data, parts[b"iprp"]))
    return {item: Item(kind, properties.get(item, ()), lengths.get(item, 0), starts.get(item, 0)) for item, kind in kinds.items()}


def _kinds(data: bytes, iinf: Box) -> Iterator[tuple[int, bytes]]:
    for box in boxes(data, iinf.start + (6 if data[iinf.start] == 0 else 8), iinf.end):
        version = data[box.start]
        _need(box.kind == b"infe" and version in (2, 3))
        item, _, kind = struct.unpack_from(">HH4s" if version == 2 else ">IH4s", data, box.start + 4)
        yield item, kind


def _properties(data: bytes, iprp: Box) -> Iterator[tuple[int, tuple[Box, ...]]]:
    """Of each item, in order."""
    inner = {box.kind: box for box in boxes(data, iprp.start, iprp.end)}
    known, ipma = list(boxes(data, inner[b"ipco"].start, inner[b"ipco"].end)), inner[b"ipma"]
    wide, long = data[ipma.start] > 0, data[ipma.start + 3] & 1
    reader = Reader(data[ipma.start + 4 : ipma.end], 0)
    for _ in range(reader.number(4)):
        item, count = reader.number(4 if wide else 2), reader.number(1)
        indices = [reader.number(2) & 0x7FFF if long else reader.number(1) & 0x7F for _ in range(count)]
        yield item, tuple(known[index - 1] for index in indices if index > 0)


def _size(data: bytes, item: Item) -> tuple[int, int]:
    said = [box for box in item.properties if box.kind == b"ispe"]
    _need(len(said) == 1 and not any(box.kind == b"clap" for box in item.properties))  # a clean aperture crops
    width, height = struct.unpack_from(">II", data, said[0].start + 4)
    return width, height


def _grid(data: bytes, item: Item) -> tuple[tuple[int, int], int]:
    """Size and number of tiles that the item itself says."""
    _, flags, rows, columns = struct.unpack_from("4B", data, item.start)
    width, height = struct.unpack_from(">II" if flags & 1 else ">HH", data, item.start + 4)
    return (width, height), (rows + 1) * (columns + 1)


def _tiles(data: bytes, iref: Box, grid: int) -> list[int]:
    wide = 4 if data[iref.start] else 2
    for box in boxes(data, iref.start + 4, iref.end):
        reader = Reader(data[box.start : box.end], 0)
        if box.kind == b"dimg" and reader.number(wide) == grid:
            return [reader.number(wide) for _ in range(reader.number(2))]
    raise ValueError("a grid without tiles")
