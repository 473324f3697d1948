"""Colour profiles as cameras and scanners embed them, made here from their published figures."""

from __future__ import annotations

import struct
from collections.abc import Mapping

WHITE = (0.9642, 1.0, 0.8249)


def fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def xyz(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + fixed(*values)


def profile(kind: bytes, space: bytes, connection: bytes, tags: Mapping[bytes, bytes]) -> bytes:
    table, data, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        table += name + struct.pack(">II", start + len(data), len(value))
        data += value + bytes(-len(value) % 4)
    body = struct.pack(">I", len(tags)) + table + data
    header = struct.pack(">I4sI4s4s4s12x4s28x", 128 + len(body), b"lcms", 0x02400000, kind, space, connection, b"acsp")
    return (header + fixed(*WHITE)).ljust(128, b"\0") + body


def _with_primaries(red: tuple[float, ...], green: tuple[float, ...], blue: tuple[float, ...]) -> bytes:
    """Of a display with sRGB's tone curve."""
    curve = b"para\0\0\0\0" + struct.pack(">HH", 3, 0) + fixed(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    tags = {b"wtpt": xyz(*WHITE), b"rXYZ": xyz(*red), b"gXYZ": xyz(*green), b"bXYZ": xyz(*blue)}
    return profile(b"mntr", b"RGB ", b"XYZ ", tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve))


DISPLAY_P3 = _with_primaries((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841))
"""What phones take photos in."""
GREY = profile(b"mntr", b"GRAY", b"XYZ ", {b"wtpt": xyz(*WHITE), b"kTRC": b"curv" + bytes(8)})
"""Of linear light."""


def _one_way() -> bytes:
    """A scanner's: a table from RGB to Lab, by lightness alone, and none that leads back."""
    straight = bytes(range(256))
    lightness = [85 * (r + g + b) for r in (0, 1) for g in (0, 1) for b in (0, 1)]
    matrix = fixed(*(1.0 if i % 4 == 0 else 0.0 for i in range(9)))
    table = bytes(value for level in lightness for value in (level, 128, 128))
    lut = b"mft1" + bytes(4) + bytes([3, 3, 2, 0]) + matrix + straight * 3 + table + straight * 3
    return profile(b"scnr", b"RGB ", b"Lab ", {b"wtpt": xyz(*WHITE), b"A2B0": lut})


INPUT_ONLY = _one_way()
