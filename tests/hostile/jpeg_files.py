"""Hostile JPEG files: damaged segments, false dimensions and decompression bombs."""

from __future__ import annotations

from PIL import Image

from tests.hostile.build import Named, behind_start, picture, resized, saved, segment, sound


def jpeg_segments() -> Named:
    data = sound()["jpeg"]
    for marker in (
        0x01,
        0xC3,
        0xC4,
        0xC8,
        0xC9,
        0xCC,
        0xD0,
        0xD8,
        0xD9,
        0xDA,
        0xDB,
        0xDC,
        0xDD,
        0xE0,
        0xE1,
        0xE2,
        0xED,
        0xEE,
        0xFE,
        0xFF,
    ):
        for inside in (b"", b"\xff" * 300):
            yield f"JPEG with {len(inside)} bytes of marker {marker:02x}", behind_start(data, segment(marker, inside))
    for length in (0, 1, 2, 65_535):
        yield f"JPEG that declares a segment of {length} bytes", behind_start(data, segment(0xE1, b"Exif\0\0", length=length))
    for size in ((0, 0), (1, 1), (65_535, 65_535), (65_535, 1), (6_000, 6_000), (96, 0)):
        yield f"JPEG that claims {size}", resized(data, *size)
    place = data.index(b"\xff\xc0")
    for count in (0, 2, 5, 255):
        yield f"JPEG of {count} components", data[: place + 9] + bytes([count]) + data[place + 10 :]
    for sampling in (0x00, 0x44, 0xFF, 0x01):
        yield f"JPEG sampled by {sampling:02x}", data[: place + 11] + bytes([sampling]) + data[place + 12 :]
    for marker in (0xDB, 0xC4, 0xDA):
        yield f"JPEG with marker {marker:02x} made a comment", data.replace(bytes([0xFF, marker]), b"\xff\xfe")
    yield "JPEG of two thousand comments", behind_start(data, segment(0xFE, b"x" * 100) * 2_000)
    yield "JPEG of two pictures", data + data
    yield "JPEG of 20,000 restart markers", data[:-2] + b"\xff\xd0" * 20_000 + data[-2:]
    yield "JPEG of CMYK", saved(picture("CMYK"), "JPEG")


def jpeg_bombs() -> Named:
    for progressive in (False, True):
        flat = saved(Image.new("RGB", (2_000, 2_000)), "JPEG", progressive=progressive)
        kind = "progressive" if progressive else "baseline"
        for size in ((6_000, 6_600), (65_000, 600), (600, 65_000)):
            yield f"JPEG bomb, {kind}, of {size}", resized(flat, *size)
    flat = saved(Image.new("L", (3_000, 3_000)), "JPEG", progressive=True)
    scans = flat.rindex(b"\xff\xda")
    for count in (100, 2_000):
        yield f"JPEG of {count} scans more", flat[:-2] + flat[scans:-2] * count + flat[-2:]
