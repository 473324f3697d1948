"""The chunks of a PNG, for whoever reads or rewrites it without decoding. No torch, no Pillow.

The walk is lenient: it yields what there is of a damaged file. What a chunk must be is for the caller to check.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
FRAME_BYTES = 12
"""Length, type and checksum of a chunk, around its content."""


class PngChunk(NamedTuple):
    """A chunk: its type, its content, and all of it as it is in the file. Where the file ends within it, both are cut short."""

    kind: bytes
    body: memoryview
    whole: memoryview

    @property
    def is_complete(self) -> bool:
        """Whether the file holds all of it."""
        return len(self.whole) == len(self.body) + FRAME_BYTES

    @property
    def is_sound(self) -> bool:
        """Whether it is complete and has the right checksum."""
        return self.is_complete and zlib.crc32(self.whole[4:-4]) == int.from_bytes(self.whole[-4:])


def png_chunks(data: bytes, most: int) -> Iterator[PngChunk]:
    """Yield the chunks of `data` from the first to `IEND`, at most `most`. A last one of fewer than eight bytes is left out."""
    view, start = memoryview(data), len(PNG_MAGIC)
    for _ in range(most):
        if start + 8 > len(data):
            return
        length, kind = struct.unpack_from(">I4s", data, start)
        end = start + FRAME_BYTES + length
        yield PngChunk(kind, view[start + 8 : end - 4], view[start:end])
        if kind == b"IEND":
            return
        start = end
