"""Hostile metadata: Exif, XMP and colour profiles."""

from __future__ import annotations

import random
import struct
import zlib
from itertools import product

from PIL import ImageCms

from tests.hostile.build import PIXELS, SIZE, Named, behind_start, chunk, extended, picture, png, riff, saved, segment, sound, vp8


def tiff(entries: list[tuple[int, int, int, int]], *, first: int = 8, following: int = 0) -> bytes:
    """Return an Exif block with one directory. Entries are tag, type, count, and value or offset."""
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<I", first) + struct.pack("<H", len(entries)) + body + struct.pack("<I", following)


def exif() -> Named:
    blocks = {
        "nothing": b"",
        "garbage": random.Random(9).randbytes(3_000),
        "a directory outside": tiff([], first=2**32 - 1),
        "a directory that follows itself": tiff([(0x0112, 3, 1, 1)], following=8),
        "a directory within itself": tiff([(0x8769, 4, 1, 8), (0x8825, 4, 1, 8)]),
        "a value of 4 gigabytes": tiff([(0x010E, 2, 2**32 - 1, 8)]),
        "a value outside": tiff([(0x927C, 7, 60_000, 2**31)]),
        "an unknown type": tiff([(0x0112, 99, 1, 1)]),
        "5,000 values": tiff([(tag, 4, 1, tag) for tag in range(5_000)]),
        "an invalid GPS directory": tiff([(0x8825, 4, 1, 2**32 - 2)]),
        "another byte order": b"XX*\0" + bytes(60),
        "big-endian lengths": tiff([(0x0112, 3, 1, 6)]).replace(b"II*\0", b"MM\0*"),
    }
    turns = {f"orientation {value}": tiff([(0x0112, 3, 1, value)]) for value in (0, 9, 255, 65_535)}
    turns |= {f"orientation of type {kind}": tiff([(0x0112, kind, 3, 8)]) for kind in (1, 2, 5, 7, 12)}
    for name, block in (blocks | turns).items():
        yield f"JPEG, Exif with {name}", behind_start(sound()["jpeg"], segment(0xE1, b"Exif\0\0" + block))
        yield f"PNG, Exif with {name}", png(SIZE, pixels=PIXELS, between=chunk(b"eXIf", block))
        yield f"WebP, Exif with {name}", extended(8, SIZE, vp8(sound()["webp"]), riff(b"EXIF", block))
    for markup in ("<x" * 10_000, '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><x>&b;</x>', 'tiff:Orientation="99999"'):
        packet = b"http://ns.adobe.com/xap/1.0/\0" + markup.encode()
        yield f"JPEG with XMP {markup[:12]}", behind_start(sound()["jpeg"], segment(0xE1, packet))


def profiles() -> Named:
    good = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    good = good[:24] + bytes(12) + good[36:]  # without the date, so that the profile is reproducible
    dice = random.Random(11)
    blocks = {f"cut off at {place}": good[:place] for place in (0, 1, 4, 100, 128, 132, 200, len(good) - 1)}
    blocks |= {f"of size {size}": struct.pack(">I", size) + good[4:] for size in (0, 2**31, 2**32 - 1)}
    blocks |= {f"of {count} tags": good[:128] + struct.pack(">I", count) + good[132:] for count in (0, 101, 2**31, 2**32 - 1)}
    blocks |= {
        f"for {space.decode()}": good[:16] + space + good[20:] for space in (b"CMYK", b"Lab ", b"GRAY", b"\0\0\0\0", b"FCLR")
    }
    blocks |= {
        "to Lab": good[:20] + b"Lab " + good[24:],
        "of a link": good[:12] + b"link" + good[16:],
        "of garbage": dice.randbytes(3_000),
    }
    for number in range(10):
        changed = bytearray(good)
        for _ in range(12):
            changed[dice.randrange(128, len(good))] = dice.randrange(256)
        blocks[f"with wrong bytes, {number}"] = bytes(changed)
    for name, block in blocks.items():
        yield f"PNG, profile {name}", png(SIZE, pixels=PIXELS, between=chunk(b"iCCP", b"a\0\0" + zlib.compress(block)))
        yield f"JPEG, profile {name}", behind_start(sound()["jpeg"], segment(0xE2, b"ICC_PROFILE\0\1\1" + block))
    for number, count in product((0, 1, 255), (0, 2, 255)):
        yield (
            f"JPEG, profile {number} of {count}",
            behind_start(sound()["jpeg"], segment(0xE2, b"ICC_PROFILE\0" + bytes([number, count]) + good)),
        )
    yield "CMYK JPEG with an RGB profile", saved(picture("CMYK"), "JPEG", icc_profile=good)
