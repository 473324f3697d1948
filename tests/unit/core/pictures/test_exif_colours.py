"""A JPEG whose Exif data alone say Adobe RGB, as cameras write it, is Adobe RGB."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from s2edit_core.pictures.containers import read_header
from s2edit_core.pictures.exif import EXIF, declares_adobe_rgb, orientation_in, with_orientation
from s2edit_core.pictures.files import check_photo, decode_original, decode_photo
from s2edit_core.pictures.metadata import without_metadata
from s2edit_core.request.picture_limits import scaled_size
from tests.unit.core.delivery.output.profiles import DISPLAY_P3
from tests.unit.core.pictures.samples import check_own_colours, levels, stored

SIZE = (96, 72)
UNCALIBRATED, SRGB, NONSTANDARD_ADOBE = 0xFFFF, 1, 2


def drawn() -> Image.Image:
    """Colours, in areas that a JPEG keeps."""
    picture = Image.new("RGB", SIZE, (200, 60, 50))
    picture.paste((90, 180, 80), (48, 0, 96, 36))
    picture.paste((128, 128, 128), (48, 36, 96, 72))
    return picture


def exif(index: str | None = "R03", space: int | None = UNCALIBRATED, *, order: str = "<", orientation: int = 1) -> Image.Exif:
    """Return Exif data with an index of interoperability and a colour space, as cameras write them."""
    tags = Image.Exif()
    tags.endian = order
    tags[ExifTags.Base.Make], tags[ExifTags.Base.Orientation] = "Canary", orientation
    more: dict[int, Any] = {ExifTags.Base.ExifVersion: b"0230"}
    if space is not None:
        more[ExifTags.Base.ColorSpace] = space
    if index is not None:
        more[ExifTags.IFD.Interop] = {ExifTags.Interop.InteropIndex: index, ExifTags.Interop.InteropVersion: b"0100"}
    tags.get_ifd(ExifTags.IFD.Exif).update(more)
    return tags


def jpeg(tags: Image.Exif | bytes, kind: str = "JPEG", picture: Image.Image | None = None, **options: Any) -> bytes:
    out = io.BytesIO()
    (picture or drawn()).save(out, kind, quality=95, subsampling=0, exif=tags, **options)
    return out.getvalue()


def tiff(tags: Image.Exif) -> bytes:
    return tags.tobytes().removeprefix(EXIF)


def as_srgb(adobe: Image.Image) -> Any:
    """Return the levels in sRGB of values in Adobe RGB (1998), by the formulas of both standards."""
    linear = (levels(adobe) / 255) ** (563 / 256)
    to_xyz = np.array([[0.57667, 0.18556, 0.18823], [0.29734, 0.62736, 0.07529], [0.02703, 0.07069, 0.99134]])
    to_linear = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]])
    light = (linear @ (to_linear @ to_xyz).T).clip(0, 1)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("kind", ["JPEG", "MPO", "progressive"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("max_pixels", [None, 4096])
def test_it_is_converted_by_the_formulas_of_the_standard(kind: str, order: str, max_pixels: int | None) -> None:
    more: dict[str, dict[str, Any]] = {"MPO": {"save_all": True, "append_images": [drawn()]}, "progressive": {"progressive": True}}
    data = jpeg(exif(order=order), "MPO" if kind == "MPO" else "JPEG", **more.get(kind, {}))
    photo = decode_photo(data, max_pixels)
    wanted = as_srgb(drawn())
    places = [(x * photo.width // 96, y * photo.height // 72) for x, y in ((20, 36), (72, 15), (72, 55))]
    for x, y in places:
        at = (x * 96 // photo.width, y * 72 // photo.height)
        assert np.abs(levels(photo)[y, x] - wanted[at[1], at[0]]).max() < 4
    assert np.abs(wanted - levels(drawn())).max() > 20, "the case is a case"
    assert check_photo(data, max_pixels)[0] == photo.size == scaled_size(SIZE, max_pixels)


def test_what_is_stored_of_it_is_the_same_picture_without_its_metadata() -> None:
    data = jpeg(exif(orientation=6))
    size, orientation = check_photo(data)
    bare = without_metadata(data, orientation)
    assert b"Canary" not in bare
    assert b"R03" not in bare
    assert (check_photo(bare), check_photo(bare)[0]) == ((size, 6), SIZE[::-1])
    assert np.array_equal(levels(decode_photo(bare)), levels(decode_photo(data)))
    assert without_metadata(bare, orientation) is bare
    header = read_header(bare)
    assert header is not None
    assert header.size == size


def test_the_result_has_the_photos_own_colours() -> None:
    check_own_colours(jpeg(exif()), "Compatible with Adobe RGB (1998)")


@pytest.mark.parametrize(
    ("index", "space", "is_adobe"),
    [
        ("R03", UNCALIBRATED, True),
        ("R03", None, True),
        (None, NONSTANDARD_ADOBE, True),
        ("R03", SRGB, False),  # contradictory, and most photos are sRGB
        ("R98", SRGB, False),
        ("R98", UNCALIBRATED, False),
        ("THM", None, False),
        (None, UNCALIBRATED, False),
        (None, None, False),
    ],
)
def test_only_what_says_adobe_rgb_is_adobe_rgb(index: str | None, space: int | None, is_adobe: bool) -> None:
    tags = exif(index, space)
    assert declares_adobe_rgb(tiff(tags)) == is_adobe
    data = jpeg(tags)
    changed = np.abs(levels(decode_photo(data)) - levels(stored(data))).max() > 20
    assert (changed, (b"ICC_PROFILE" in without_metadata(data, 1))) == (is_adobe, is_adobe)


def test_a_profile_goes_before_it() -> None:
    data = jpeg(exif(), icc_profile=DISPLAY_P3)
    assert decode_original(data).profile == DISPLAY_P3
    assert decode_original(without_metadata(data, 1)).profile == DISPLAY_P3
    cut = data.replace(b"ICC_PROFILE\0\1\1", b"ICC_PROFILE\0\1\2")  # the second part is missing: it can't be read
    assert decode_original(cut).profile is None
    assert np.array_equal(levels(decode_photo(without_metadata(cut, 1))), levels(decode_photo(cut)))


def test_a_grey_photo_stays_as_it_is() -> None:
    data = jpeg(exif(), picture=drawn().convert("L"))
    assert np.array_equal(levels(decode_photo(data)), levels(stored(data)))
    assert b"ICC_PROFILE" not in without_metadata(data, 1)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_files_that_are_srgb_without_a_profile_stay_so(kind: str) -> None:
    """As the standards of these formats say."""
    out = io.BytesIO()
    drawn().save(out, kind, exif=exif(), lossless=True)
    assert np.array_equal(levels(decode_photo(out.getvalue())), levels(drawn()))


def test_exif_data_in_two_segments_are_read_as_one() -> None:
    block = tiff(exif())
    data = jpeg(b"")
    parts = [EXIF + block[:40], EXIF + block[40:]]
    data = data[:2] + b"".join(struct.pack(">BBH", 0xFF, 0xE1, len(part) + 2) + part for part in parts) + data[2:]
    assert np.abs(levels(decode_photo(data)) - levels(stored(data))).max() > 20
    assert np.array_equal(levels(decode_photo(without_metadata(data, 1))), levels(decode_photo(data)))


def test_damaged_data_declare_nothing_or_the_same_and_no_photo_is_refused_for_them() -> None:
    whole, found = tiff(exif()), {True: 0, False: 0}
    for at in range(len(whole)):
        for block in (whole[:at], whole[:at] + b"\xff" + whole[at + 1 :], whole[:at] + b"\0" + whole[at + 1 :]):
            found[declares_adobe_rgb(block)] += 1
    assert min(found.values()) > 20
    for block in (b"", b"II*\0", b"II*\0\xff\xff\xff\xff", whole[:60], b"MM\0*" + whole[4:]):
        assert not declares_adobe_rgb(block)


def test_a_directory_that_leads_to_itself_or_has_too_many_tags_declares_nothing() -> None:
    itself = struct.pack("<4sIHHHIIHHIII", b"II*\0", 8, 2, 0x8769, 4, 1, 8, 0xA005, 4, 1, 8, 0)
    many = b"II*\0" + struct.pack("<IH", 8, 5000) + struct.pack("<HHII", 0x8769, 4, 1, 8) * 5000
    assert not declares_adobe_rgb(itself)
    assert not declares_adobe_rgb(many)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_that_is_written_is_read(orientation: int) -> None:
    assert orientation_in(with_orientation(orientation)) == orientation
