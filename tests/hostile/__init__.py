"""A corpus of hostile picture files. Rules generate it, so it is the same in every run."""

from __future__ import annotations

import hashlib
from functools import cache

from tests.hostile.build import SIZE, picture, png, saved, sound
from tests.hostile.heif_files import iso_boxes
from tests.hostile.jpeg_files import jpeg_bombs, jpeg_segments
from tests.hostile.metadata import exif, profiles
from tests.hostile.other import cut_off, flipped, other_types, polyglots
from tests.hostile.png_files import png_bombs, png_chunks, png_headers
from tests.hostile.webp_files import frames, webp_chunks

__all__ = ["SIZE", "corpus", "picture", "png", "saved", "sound", "summary"]


@cache
def corpus() -> dict[str, bytes]:
    """Return all files by name."""
    pngs = (png_headers, png_chunks, png_bombs)
    others = (frames, jpeg_segments, jpeg_bombs, webp_chunks, iso_boxes, exif, profiles, other_types, polyglots)
    files: dict[str, bytes] = {}
    for part in (cut_off, flipped, *pngs, *others):
        for name, data in part():
            assert name not in files, name
            files[name] = data
    return files


def summary() -> str:
    """Return a digest of the whole corpus."""
    parts = (name.encode() + hashlib.sha256(data).digest() for name, data in corpus().items())
    return hashlib.sha256(b"".join(parts)).hexdigest()
