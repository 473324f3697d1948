"""Hostile WebP files, and animations of several formats."""

from __future__ import annotations

import struct

from PIL import Image

from tests.hostile.build import PIXELS, SIZE, Named, chunk, extended, low24, png, riff, saved, sound, vp8, webp


def frames() -> Named:
    still = [Image.new("RGB", SIZE, (number, 0, 0)) for number in range(100)]
    yield "APNG of 100 frames", saved(still[0], "PNG", save_all=True, append_images=still[1:])
    yield "WebP of 100 frames", saved(still[0], "WEBP", save_all=True, append_images=still[1:])
    frame = struct.pack(">IIIIIHHBB", 0, *SIZE, 0, 0, 1, 1, 0, 0)
    for count in (2**32 - 1, 5_000):
        counted = chunk(b"acTL", struct.pack(">II", count, 0)) + chunk(b"fcTL", frame) * min(count, 5_000)
        yield f"APNG that claims {count} frames", png(SIZE, pixels=PIXELS, between=counted)
    yield "MPO of 3 pictures", saved(still[0], "MPO", save_all=True, append_images=still[1:3])
    yield "GIF of 100 frames", saved(still[0], "GIF", save_all=True, append_images=still[1:])
    one = vp8(sound()["webp"])
    animation = b"VP8X" + struct.pack("<I", 10) + b"\2\0\0\0" + low24(SIZE[0] - 1) + low24(SIZE[1] - 1) + riff(b"ANIM", bytes(6))
    place = low24(0) * 2 + low24(SIZE[0] - 1) + low24(SIZE[1] - 1) + low24(1) + b"\0"
    yield "WebP of 300 frames", webp(animation + riff(b"ANMF", place + one) * 300)
    outside = low24(2**23) * 2 + low24(SIZE[0] - 1) + low24(SIZE[1] - 1) + low24(1) + b"\0"
    yield "WebP with its frame outside", webp(animation + riff(b"ANMF", outside + one))
    yield "WebP with an empty frame", webp(animation + riff(b"ANMF", place))


def webp_chunks() -> Named:
    data = sound()["webp"]
    one = vp8(data)
    for length in (0, 4, 12, 2**31, 2**32 - 1):
        yield f"WebP that declares {length} bytes", webp(one, length)
        yield f"WebP that declares a picture of {length} bytes", webp(riff(one[:4], one[8:], length))
    for size in ((1, 1), (16_383, 16_383), (2**24, 2**24), (2**24, 1), (6_000, 6_600)):
        yield f"WebP with a canvas of {size}", extended(0, size, one)
        yield f"animated WebP with a canvas of {size}", extended(2, size, riff(b"ANIM", bytes(6)), riff(b"ANMF", bytes(16) + one))
    for flags in (0x01, 0x04, 0x08, 0x10, 0x20, 0x3E, 0xFF):
        yield f"WebP with flags {flags:02x} without their chunks", extended(flags, SIZE, one)
    for kind in (b"ICCP", b"EXIF", b"XMP ", b"ALPH", b"VP8L", b"XXXX"):
        for inside in (b"", b"\xff" * 4_000):
            yield f"WebP with {len(inside)} bytes of {kind.decode()}", extended(0x3C, SIZE, riff(kind, inside), one)
    for bits in (0x3FFF | 0x3FFF << 14, 5_999 | 6_599 << 14):
        yield f"lossless WebP that claims {bits:x}", webp(riff(b"VP8L", b"\x2f" + struct.pack("<I", bits) + bytes(400)))
    large = bytearray(data)
    large[26:30] = struct.pack("<HH", 0x3FFF, 0x3FFF)
    yield "WebP that claims 16383 by 16383", bytes(large)
    yield "WebP bomb of 39 megapixels", saved(Image.new("RGB", (6_500, 6_000)), "WEBP", lossless=True, method=0)
    yield "AVIF bomb of 39 megapixels", saved(Image.new("RGB", (6_500, 6_000)), "AVIF", speed=10)
    yield "WebP of nothing", b"RIFF\4\0\0\0WEBP"
    yield "RIFF of sound", b"RIFF" + struct.pack("<I", 100) + b"WAVEfmt " + bytes(92)
