"""What a look at a file tells agrees with what decoding it tells, and is silent where only decoding can tell."""

from __future__ import annotations

import io
import zlib

import pytest
from PIL import ExifTags, Image, ImageDraw

from s2edit_core.errors import InvalidInput
from s2edit_core.pictures.containers import read_header
from s2edit_core.pictures.files import check_photo
from tests.hostile import SIZE, corpus, picture, png, saved, sound

PLAIN = ("png", "png-interlaced", "jpeg", "jpeg-progressive", "webp", "webp-lossless")


@pytest.mark.parametrize("kind", PLAIN)
def test_a_plain_file_says_its_size(kind: str) -> None:
    data = sound()[kind]
    header = read_header(data)
    assert header is not None
    assert (header.size, header.pixels, header.file_bytes) == (SIZE, SIZE[0] * SIZE[1], len(data))
    assert not header.looks_flat


@pytest.mark.parametrize("kind", PLAIN)
def test_one_that_is_cut_off_anywhere_says_nothing(kind: str) -> None:
    data = sound()[kind]
    assert [end for end in range(0, len(data), 97) if read_header(data[:end]) is not None] == []
    assert read_header(data[:-1]) is None


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_one_says_its_size_upright(format: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    data = saved(picture(), format, exif=exif)
    header = read_header(data)
    assert header is not None
    assert (header.size, header.orientation) == check_photo(data) == (SIZE if orientation < 5 else SIZE[::-1], orientation)


def test_what_it_says_of_hostile_files_is_what_the_decoder_says() -> None:
    read = {name: (data, header) for name, data in corpus().items() if (header := read_header(data)) is not None}
    assert len(read) > 150
    said = {name: decoded(data) for name, (data, _) in read.items() if "bomb" not in name}
    assert {name: size for name, size in said.items() if size not in ((read[name][1].size, read[name][1].orientation), None)} == {}


def decoded(data: bytes) -> tuple[tuple[int, int], int] | None:
    try:
        return check_photo(data)
    except InvalidInput:
        return None


def test_a_wrong_byte_of_a_png_shows() -> None:
    data = bytearray(sound()["png"])
    data[len(data) // 2] ^= 1
    assert read_header(bytes(data)) is None


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "1"])
def test_a_picture_of_one_colour_looks_flat_and_a_drawn_one_does_not(mode: str) -> None:
    flat = Image.new(mode, (1600, 1600))
    drawn = flat.copy()
    ImageDraw.Draw(drawn).ellipse([400, 400, 1200, 1200], fill="white" if mode != "1" else 1)
    found = [read_header(saved(one, "PNG")) for one in (flat, drawn)]
    assert [one is not None and one.looks_flat for one in found] == [True, False]


def test_pixels_that_are_none_do_not_show() -> None:
    """They are for the decoder to find."""
    data = png(SIZE, pixels=zlib.compress(b"hello"))
    assert read_header(data) is not None
    with pytest.raises(InvalidInput):
        check_photo(data)


def test_an_animation_says_nothing() -> None:
    buffer = io.BytesIO()
    frames = [Image.new("RGB", SIZE, (value, 0, 0)) for value in (0, 99)]
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:])
    assert read_header(buffer.getvalue()) is None
