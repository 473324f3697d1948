"""A picture without its metadata is the same picture: bit for bit, upright, in its colours."""

from __future__ import annotations

import io
import random
import struct
import time
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from s2edit_core.errors import ImageInvalid, InvalidInput
from s2edit_core.pictures.containers import read_header
from s2edit_core.pictures.files import check_photo, decode_photo
from s2edit_core.pictures.metadata import without_metadata
from tests.canary_pictures import CANARY, ORIENTATION, box, canary_files, chunk, exif, saved
from tests.hostile import corpus

ORIENTATION_BYTES = 44
"""At most what an entry of it takes, in any format."""


def _items(pieces: int) -> bytes:
    """A HEIC whose one item of metadata lies all over the file, so many times."""
    infe = box(b"infe", b"\2\0\0\0" + struct.pack(">HH4s", 1, 0, b"Exif") + b"\0")
    iinf = box(b"iinf", b"\0\0\0\0" + struct.pack(">H", 1) + infe)
    iloc = box(b"iloc", b"\0\0\0\0\x44\0" + struct.pack(">HHHH", 1, 1, 0, pieces) + struct.pack(">II", 0, 10_000) * pieces)
    return box(b"ftyp", b"heic\0\0\0\0mif1heic") + box(b"meta", b"\0\0\0\0" + iinf + iloc) + box(b"mdat", bytes(10_000))


SCRAPPY = {
    "png": b"\x89PNG\r\n\x1a\n" + chunk(b"tEXt", b"") * 2_000_000,
    "jpeg": b"\xff\xd8" + b"\xff\xfe\0\2" * 5_000_000,
    "webp": b"RIFF" + struct.pack("<I", 24_000_004) + b"WEBP" + b"CANA\0\0\0\0" * 3_000_000,
    "heic, boxes": box(b"ftyp", b"heic\0\0\0\0mif1heic") + box(b"free", b"") * 2_000_000,
    "heic, pieces": _items(65_535),
    "heic, over one another": _items(1_500),
}


@pytest.mark.parametrize("name", list(canary_files()))
def test_nothing_but_the_picture_is_left(name: str) -> None:
    data = canary_files()[name]
    size, orientation = check_photo(data)
    bare = without_metadata(data, orientation)
    assert len(bare) <= len(data)
    assert [words for words in (CANARY.encode(), b"Photoshop", b"http", b"xmpmeta", b"GPS", b"MPF") if words in bare] == []
    assert check_photo(bare) == (size, orientation)
    assert (np.asarray(decode_photo(bare)) == np.asarray(decode_photo(data))).all()
    assert without_metadata(bare, orientation) is bare


@pytest.mark.parametrize("name", [name for name in canary_files() if "profile" in name])
def test_its_colour_profile_stays(name: str) -> None:
    data = canary_files()[name]
    with Image.open(io.BytesIO(data)) as before, Image.open(io.BytesIO(without_metadata(data, 1))) as after:
        assert before.info["icc_profile"] == after.info["icc_profile"]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "AVIF"])
@pytest.mark.parametrize("orientation", [*range(9), 9, 65535])
def test_it_is_turned_as_it_was(kind: str, orientation: int) -> None:
    data = saved(kind, exif=exif(orientation))
    _, said = check_photo(data)
    bare = without_metadata(data, said)
    assert CANARY.encode() not in bare
    assert (np.asarray(decode_photo(bare)) == np.asarray(decode_photo(data))).all()
    if kind != "AVIF" and orientation in range(1, 9):
        header = read_header(bare)
        assert header is not None
        assert header.orientation == said == orientation


def test_what_holds_no_metadata_is_the_very_same_object() -> None:
    for kind in ("PNG", "JPEG", "WEBP", "AVIF"):
        data = saved(kind)
        assert without_metadata(data, 1) is data


def test_a_file_in_disorder_is_refused_with_what_to_do() -> None:
    data = saved("JPEG")
    for broken in (
        b"GIF89a",
        b"\x89PNG\r\n\x1a\n",
        data[:2] + b"\0" + data[2:],
        data[:30],
        b"RIFF\xff\xff\xff\xffWEBPVP8 \xff\xff\xff\x7f",
    ):
        with pytest.raises(ImageInvalid, match="save it again") as refused:
            without_metadata(broken, 1, "mask")
        assert (refused.value.field, refused.value.reason) == ("mask", "image_damaged")


@pytest.mark.parametrize("name", SCRAPPY)
def test_a_file_of_too_many_parts_is_refused_at_little_cost(name: str) -> None:
    began = time.process_time()
    with pytest.raises(ImageInvalid):
        without_metadata(SCRAPPY[name], 1)
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize("name", list(canary_files()))
def test_whatever_is_wrong_with_a_file_it_is_refused_or_rewritten(name: str) -> None:
    """Nothing else is raised, and nothing is added that was not there."""
    whole, rng = canary_files()[name], random.Random(name)
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(rng.choice((1, 2, 20))):
            data[rng.randrange(min(len(data), rng.choice((60, 600, len(data)))))] = rng.choice((0, 255, rng.randrange(256)))
        with suppress(ImageInvalid):
            bare = without_metadata(bytes(data[: rng.choice((len(data), rng.randrange(len(data))))]), ORIENTATION)
            assert len(bare) <= len(data) + ORIENTATION_BYTES


def test_every_hostile_file_that_can_be_decoded_stays_the_picture_that_it_is() -> None:
    """Or is refused for what is in disorder; whatever happens, nothing else is raised."""
    same, refused = 0, 0
    for name, data in corpus().items():
        with suppress(ImageInvalid):
            without_metadata(data, 6)
        header = read_header(data)
        if "bomb" in name or "scans" in name or (header is not None and header.pixels > 1_000_000):  # they take long
            continue
        try:
            seen = decode_photo(data)
        except InvalidInput:
            continue
        try:
            bare = without_metadata(data, check_photo(data)[1])
        except ImageInvalid:
            refused += 1
            continue
        assert (np.asarray(decode_photo(bare)) == np.asarray(seen)).all(), name
        same += 1
    assert (same > 250, refused < 20) == (True, True)
