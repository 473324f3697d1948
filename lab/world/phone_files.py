"""Synthetic files in the formats that phones write: tiled HEIC with auxiliary images, Ultra HDR JPEG and motion photos.

Pillow and pillow-heif encode the pictures. The boxes around them are written by hand, because no library writes all of them.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pillow_heif
from PIL import ExifTags, Image, ImageChops

from s2edit_core.pictures.iso_header import Item, items_of

TILE_PX = 512
GAIN_MAP = b"urn:com:apple:photo:2020:aux:hdrgainmap\0"
DEPTH = b"urn:mpeg:hevc:2015:auxid:2\0"
HDRGM = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
    b'xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0" hdrgm:GainMapMax="2.0"/></rdf:RDF></x:xmpmeta>'
)
FAST = {"preset": "ultrafast"}
OCTAVES = range(9, 1, -1)
P3 = {b"rXYZ": (0.51512, 0.2412, -0.00105), b"gXYZ": (0.29198, 0.69225, 0.04189), b"bXYZ": (0.1571, 0.06657, 0.78407)}


def scene(size: tuple[int, int], *, seed: int = 1, grain: float = 4.0) -> Image.Image:
    """Return an RGB picture with detail at every scale and sensor grain, like a photo."""
    dice, picture = np.random.default_rng(seed), None
    for octave in OCTAVES:
        coarse = (max(2, size[0] >> octave), max(2, size[1] >> octave))
        layer = Image.fromarray(dice.integers(0, 256, (coarse[1], coarse[0], 3), dtype=np.uint8))
        layer = layer.resize(size, Image.Resampling.BICUBIC)
        picture = layer if picture is None else Image.blend(picture, layer, 0.3)
    assert picture is not None
    noise = dice.normal(128, grain, (size[1], size[0])).clip(0, 255).astype(np.uint8)
    return ImageChops.add(picture, Image.merge("RGB", [Image.fromarray(noise)] * 3), 1, -128)


def saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def taken_by(orientation: int = 1) -> Image.Exif:
    """Return Exif data as a phone writes them, GPS position included."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = "Apple", "iPhone 17 Pro"
    exif.get_ifd(ExifTags.IFD.GPSInfo).update({ExifTags.GPS.GPSLatitudeRef: "N", ExifTags.GPS.GPSLatitude: (52.0, 31.0, 12.0)})
    return exif


# --- boxes --------------------------------------------------------------------------------------------------------


def box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", len(body) + 8, kind) + body


def full_box(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    return box(kind, struct.pack(">I", version << 24 | flags), *parts)


@dataclass(frozen=True, slots=True)
class Written:
    """A HEIF item to write. `references` are pairs of a reference type and the ids of its target items."""

    kind: bytes
    data: bytes
    properties: tuple[bytes, ...] = ()
    references: tuple[tuple[bytes, tuple[int, ...]], ...] = ()
    hidden: bool = False


def heif(items: Mapping[int, Written], primary: int, brands: Sequence[bytes] = (b"mif1", b"MiHE", b"miaf", b"heic")) -> bytes:
    """Return the file: its boxes, then the data of the items in their order."""
    start = box(b"ftyp", b"heic", bytes(4), *brands)
    at = len(start) + len(_meta(items, primary, 0)) + 8
    return start + _meta(items, primary, at) + box(b"mdat", *(item.data for item in items.values()))


def _meta(items: Mapping[int, Written], primary: int, at: int) -> bytes:
    known = list(dict.fromkeys(each for item in items.values() for each in item.properties))
    locations, associations, entries, references = [], [], [], []
    for number, item in items.items():
        entries.append(full_box(b"infe", 2, item.hidden, struct.pack(">HH4s", number, 0, item.kind), b"\0"))
        locations.append(struct.pack(">HHHHII", number, 0, 0, 1, at, len(item.data)))
        at += len(item.data)
        indices = [known.index(each) + 1 for each in item.properties]
        associations.append(struct.pack(">HB", number, len(indices)) + bytes(indices))
        for kind, targets in item.references:
            references.append(box(kind, struct.pack(f">HH{len(targets)}H", number, len(targets), *targets)))
    return full_box(
        b"meta",
        0,
        0,
        full_box(b"hdlr", 0, 0, bytes(4), b"pict", bytes(13)),
        full_box(b"pitm", 0, 0, struct.pack(">H", primary)),
        full_box(b"iinf", 0, 0, struct.pack(">H", len(entries)), *entries),
        full_box(b"iref", 0, 0, *references),
        box(b"iprp", box(b"ipco", *known), full_box(b"ipma", 0, 0, struct.pack(">I", len(associations)), *associations)),
        full_box(b"iloc", 1, 0, b"\x44\0", struct.pack(">H", len(locations)), *locations),
    )


# --- HEIC ---------------------------------------------------------------------------------------------------------


def coded(picture: Image.Image, *, quality: int, bits: int = 8, tile_px: int = TILE_PX) -> list[Written]:
    """Encode the picture in HEVC as tiles, row by row. A picture no larger than a tile gives one item."""
    mode, pixels = picture.mode, picture.tobytes()
    if bits > 8:
        mode, pixels = f"{mode};16", (np.asarray(picture).astype(np.uint16) * 257).tobytes()
    buffer = io.BytesIO()
    pillow_heif.from_bytes(mode, picture.size, pixels).save(buffer, quality=quality, tile_size=tile_px, enc_params=FAST)
    data = buffer.getvalue()
    return [_copied(data, item) for item in items_of(data).values() if item.kind == b"hvc1"]


def _copied(data: bytes, item: Item) -> Written:
    kept = tuple(data[each.type_at - 4 : each.end] for each in item.properties if each.kind in (b"hvcC", b"ispe", b"pixi"))
    return Written(b"hvc1", data[item.start : item.start + item.length], kept)


def heic(
    picture: Image.Image,
    *,
    quality: int = 45,
    bits: int = 8,
    turned: int = 0,
    orientation: int = 1,
    profile: bytes | None = None,
    beside: bool = True,
) -> bytes:
    """Write a HEIC as an iPhone does, in tiles of 512 pixels. With `beside`, it has a gain map, a depth map and a preview.

    `turned` is the rotation for display, in quarter turns counter-clockwise. `orientation` repeats it in Exif, which readers of
    HEIC ignore.
    """
    tiles = [replace(tile, hidden=True) for tile in coded(picture, quality=quality, bits=bits)]
    items = dict(enumerate(tiles, 1))
    shown = [box(b"irot", bytes([turned]))] if turned else []
    colours = [box(b"colr", b"prof", profile)] if profile else []
    primary = len(tiles) + 1
    if len(tiles) == 1:
        primary = 1
        items[1] = replace(tiles[0], hidden=False, properties=(*tiles[0].properties, *colours, *shown))
    else:
        rows, columns = (-(-side // TILE_PX) for side in picture.size[::-1])
        ispe = full_box(b"ispe", 0, 0, struct.pack(">II", *picture.size))
        layout = struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, *picture.size)
        items[primary] = Written(b"grid", layout, (ispe, *colours, *shown), ((b"dimg", tuple(range(1, primary))),))
    if beside:
        items |= _auxiliary_items(picture, primary, max(items) + 1, tuple(shown))
    exif = b"\0\0\0\x06Exif\0\0" + taken_by(orientation).tobytes().removeprefix(b"Exif\0\0")
    items[max(items) + 1] = Written(b"Exif", exif, (), ((b"cdsc", (primary,)),), hidden=True)
    return heif(items, primary)


def _auxiliary_items(picture: Image.Image, primary: int, first: int, shown: tuple[bytes, ...]) -> dict[int, Written]:
    small = picture.resize((max(64, picture.width // 8), max(64, picture.height // 8)))
    made: dict[int, Written] = {}
    for source, kind, auxiliary in (
        (small.convert("L"), b"auxl", GAIN_MAP),
        (small.convert("L"), b"auxl", DEPTH),
        (small, b"thmb", b""),
    ):
        (item,) = coded(source, quality=40, tile_px=max(source.size))
        declared = (full_box(b"auxC", 0, 0, auxiliary),) if auxiliary else ()
        made[first + len(made)] = replace(
            item, hidden=bool(auxiliary), properties=(*item.properties, *declared, *shown), references=((kind, (primary,)),)
        )
    return made


# --- JPEG ---------------------------------------------------------------------------------------------------------


def ultra_hdr(picture: Image.Image, *, quality: int = 90, **options: Any) -> bytes:
    """Write an Ultra HDR file as Android 14 does: a JPEG followed by its gain map, in the Multi-Picture Format."""
    gain = picture.convert("L").resize((picture.width // 4, picture.height // 4))
    return saved(picture, "MPO", save_all=True, append_images=[gain], xmp=HDRGM, quality=quality, **options)


def film(length: int = 50_000) -> bytes:
    """Return boxes like those of a short MP4."""
    return box(b"ftyp", b"mp42", bytes(4), b"isommp42") + box(b"mdat", np.random.default_rng(3).bytes(length))


def motion_photo(jpeg: bytes, *, maker: str = "google") -> bytes:
    """Append a film to a JPEG. Samsung's format adds a directory after it."""
    if maker == "google":
        return jpeg + film()
    name = b"MotionPhoto_Data"
    block = struct.pack("<HHI", 0, 0x0A30, len(name)) + name + film()
    directory = b"SEFH" + struct.pack("<II", 107, 1) + struct.pack("<HHII", 0, 0x0A30, len(block), len(block))
    return jpeg + block + directory + struct.pack("<I", len(directory)) + b"SEFT"


# --- colours ------------------------------------------------------------------------------------------------------


def display_p3() -> bytes:
    """Return an ICC profile with the primaries of Display P3 and a gamma of 2.2."""

    def xyz(*values: float) -> bytes:
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))

    white, gamma = (0.9642, 1.0, 0.8249), b"curv" + bytes(4) + struct.pack(">IHxx", 1, round(2.2 * 256))
    tags = {b"wtpt": xyz(*white)} | {name: xyz(*value) for name, value in P3.items()}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), gamma)
    table, data, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        table += struct.pack(">4sII", name, start + len(data), len(value))
        data += value
    body = struct.pack(">I", len(tags)) + table + data
    header = struct.pack(">I4sI4s4s4s12x4s28x", 128 + len(body), b"lcms", 0x02400000, b"mntr", b"RGB ", b"XYZ ", b"acsp")
    return (header + xyz(*white)[8:]).ljust(128, b"\0") + body
