"""What pictures need of Exif data, which is a TIFF without pixels: orientation and colour space. No torch, no Pillow."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

EXIF = b"Exif\0\0"
"""What precedes Exif data in a JPEG, and in some WebP files."""
ORIENTATION = 0x0112
EXIF_DIRECTORY, INTEROPERABILITY_DIRECTORY = 0x8769, 0xA005
COLOUR_SPACE, INTEROPERABILITY_INDEX = 0xA001, 0x0001
SRGB, ADOBE_RGB = 1, 2
"""Values of `COLOUR_SPACE`. The second is no part of the standard: some programs write it."""
ADOBE_RGB_FILE = b"R03\0"
"""The value of `INTEROPERABILITY_INDEX` that stands for Adobe RGB in DCF 2.0, the standard of cameras' files."""
SHORT, LONG = 3, 4
MAX_TAGS = 200


class Tag(NamedTuple):
    """An entry of a directory, and how many `values` it has. `value` has four bytes: they if they fit, else where they are."""

    tag: int
    kind: int
    values: int
    value: bytes


def orientation_in(tiff: bytes) -> int | None:
    """Return the orientation in the first directory; None if there is none.

    Raises `ValueError` or `struct.error` for damaged data.
    """
    order, start = _opened(tiff)
    for each in _tags(tiff, order, start):
        if each.tag == ORIENTATION:
            return _number(each, order, SHORT)
    return None


def with_orientation(orientation: int) -> bytes:
    """Return Exif data with the orientation as its only entry."""
    return b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, ORIENTATION, SHORT, 1, orientation, 0, 0)


def declares_adobe_rgb(tiff: bytes) -> bool:
    """Return whether the colour space is Adobe RGB (1998). Cameras write no profile then, but "uncalibrated" and `ADOBE_RGB_FILE`.

    Damaged data declare nothing.
    """
    try:
        order, start = _opened(tiff)
        first = {each.tag: each for each in _tags(tiff, order, start)}
        exif = {each.tag: each for each in _tags(tiff, order, _number(first[EXIF_DIRECTORY], order, LONG))}
        space = _number(exif[COLOUR_SPACE], order, SHORT) if COLOUR_SPACE in exif else None
        if space in (SRGB, ADOBE_RGB):
            return space == ADOBE_RGB
        index = _tags(tiff, order, _number(exif[INTEROPERABILITY_DIRECTORY], order, LONG))
        return any((each.tag, each.value) == (INTEROPERABILITY_INDEX, ADOBE_RGB_FILE) for each in index)
    except (ValueError, LookupError, struct.error):
        return False


def _opened(tiff: bytes) -> tuple[str, int]:
    """Return the byte order, as `struct` writes it, and where the first directory is. Raises `ValueError` for other data."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        raise ValueError("no Exif data")
    (start,) = struct.unpack_from(f"{order}I", tiff, 4)
    return order, start


def _tags(tiff: bytes, order: str, start: int) -> Iterator[Tag]:
    (count,) = struct.unpack_from(f"{order}H", tiff, start)
    if count > MAX_TAGS:
        raise ValueError("too many tags")
    for at in range(start + 2, start + 2 + 12 * count, 12):
        yield Tag(*struct.unpack_from(f"{order}HHI4s", tiff, at))


def _number(tag: Tag, order: str, kind: int) -> int:
    """Return the value of a tag that holds one number of that kind. Raises `ValueError` for any other."""
    if (tag.kind, tag.values) != (kind, 1):
        raise ValueError("not one number of that kind")
    (number,) = struct.unpack_from(f"{order}{'H' if kind == SHORT else 'I'}", tag.value)
    return int(number)
