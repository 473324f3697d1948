"""Hostile HEIC and AVIF files: false dimensions, and damaged boxes and grids."""

from __future__ import annotations

import struct

from PIL import Image

from tests.hostile.build import Named, heics, saved


def with_size(data: bytes, size: tuple[int, int], to: tuple[int, int]) -> bytes:
    """Return the file with its declared `size` replaced by `to`."""
    ispe = b"ispe\0\0\0\0" + struct.pack(">II", *size)
    assert ispe in data
    return data.replace(ispe, b"ispe\0\0\0\0" + struct.pack(">II", *to))


def iso_boxes() -> Named:
    tiles, piece, flat = heics()["tiles"], heics()["piece"], heics()["flat"]
    avif = saved(Image.new("RGB", (4_000, 3_000)), "AVIF", speed=10)
    for claimed in ((1, 1), (64, 64), (0, 9), (65_535, 1), (10_000, 5_000), (10_000, 11_000), (2**31, 2**31), (2**32 - 1, 1)):
        yield f"AVIF of 12 megapixels that claims {claimed}", with_size(avif, (4_000, 3_000), claimed)
        yield f"HEIC of 12 megapixels that claims {claimed}", with_size(flat, (4_000, 3_000), claimed)
        yield f"HEIC of one piece that claims {claimed}", with_size(piece, (200, 160), claimed)
        yield f"HEIC of tiles that claim {claimed}", with_size(tiles, (512, 512), claimed)
    grid = struct.pack(">BBBBHH", 0, 0, 1, 1, 700, 600)
    assert grid in tiles
    for claimed in ((0, 0, 64, 64), (255, 255, 700, 600), (255, 255, 65_535, 65_535), (1, 1, 1, 1)):
        yield f"HEIC with a grid of {claimed}", tiles.replace(grid, struct.pack(">BBBBHH", 0, 0, *claimed))
    yield "HEIC bomb of 12 megapixels", flat
    tile_ids = struct.pack(">HHHHH", 5, 4, 1, 2, 3)  # item 5 is the grid; it references four tiles, 1, 2, 3 and so on
    assert tile_ids in tiles
    yield "HEIC of a grid in itself", tiles.replace(tile_ids, struct.pack(">HHHHH", 5, 4, 5, 5, 5))
    yield "HEIC of missing tiles", tiles.replace(tile_ids, struct.pack(">HHHHH", 5, 4, 90, 91, 92))
    yield "HEIC of one tile four times", tiles.replace(tile_ids, struct.pack(">HHHHH", 5, 4, 1, 1, 1))
    for kind in (
        b"hvcC",
        b"ispe",
        b"ipma",
        b"ipco",
        b"iloc",
        b"iinf",
        b"iref",
        b"pitm",
        b"hdlr",
        b"mdat",
        b"dimg",
        b"grid",
        b"hvc1",
    ):
        yield f"HEIC without {kind.decode()}", tiles.replace(kind, b"free")
    for kind in (b"ipma", b"iloc", b"iinf", b"iref"):
        place = tiles.index(kind)
        yield f"HEIC with a huge {kind.decode()}", tiles[: place + 8] + b"\xff" * 8 + tiles[place + 16 :]
