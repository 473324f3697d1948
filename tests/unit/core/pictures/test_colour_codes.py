"""HEIC and AVIF that name their colours by a code and bring no profile."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from s2edit_core.delivery.output import Output, encode_result
from s2edit_core.pictures.colour_codes import ColourCodes, p3_profile
from s2edit_core.pictures.files import Original, check_photo, decode_original, decode_photo, reads
from s2edit_core.pictures.metadata import without_metadata
from s2edit_core.request.picture_limits import scaled_size
from tests.unit.core.delivery.profiles import DISPLAY_P3

SIZE = (96, 72)


def drawn() -> Image.Image:
    """Strong colours, in areas that lossy files keep."""
    picture = Image.new("RGB", SIZE, (230, 40, 30))
    picture.paste((20, 200, 60), (48, 0, 96, 36))
    picture.paste((128, 128, 128), (48, 36, 96, 72))
    return picture


def coded(kind: str, primaries: int, transfer: int) -> bytes:
    """`drawn`, in a file that says so of its colours."""
    out = io.BytesIO()
    if kind == "HEIF":
        assert reads("image/heic")
        told = {"color_primaries": primaries, "transfer_characteristics": transfer, "matrix_coefficients": 6, "full_range_flag": 1}
        drawn().save(out, "HEIF", quality=95, **told)
    else:
        drawn().save(out, "AVIF", quality=95)
    data = out.getvalue()
    at = data.index(b"nclx") + 4
    return data[:at] + bytes([0, primaries, 0, transfer]) + data[at + 4 :]


def levels(picture: Image.Image) -> Any:
    return np.asarray(picture).astype(int)


def without_codes(data: bytes) -> Image.Image:
    """The values as they are stored."""
    with Image.open(io.BytesIO(data)) as picture:
        return picture.convert("RGB")


@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
@pytest.mark.parametrize("max_pixels", [None, 4096])
class TestDisplayP3:
    def test_it_is_read_as_with_a_profile(self, kind: str, max_pixels: int | None) -> None:
        data = coded(kind, 12, 13)
        seen = scaled_size(SIZE, max_pixels)
        stored = without_codes(data).resize(seen, Image.Resampling.LANCZOS, reducing_gap=3.0)
        wanted = ImageCms.profileToProfile(
            stored, ImageCms.ImageCmsProfile(io.BytesIO(DISPLAY_P3)), ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
        assert wanted is not None
        photo = decode_photo(data, max_pixels)
        assert np.abs(levels(photo) - levels(wanted)).max() <= 1
        assert np.abs(levels(photo) - levels(stored)).max() > 20, "the case is a case"
        assert check_photo(data, max_pixels)[0] == photo.size == seen
        assert np.array_equal(levels(decode_photo(without_metadata(data, 1, "image"), max_pixels)), levels(photo))

    def test_the_result_has_the_photos_own_colours(self, kind: str, max_pixels: int | None) -> None:
        original = decode_original(coded(kind, 12, 13), max_pixels)
        mask = Image.new("L", SIZE)
        mask.paste(255, (0, 0, 10, 10))
        data, told = encode_result(original.photo, original, mask, Output())
        with Image.open(io.BytesIO(data)) as picture:
            assert np.array_equal(np.asarray(picture), np.asarray(original.colours))
            profile = ImageCms.ImageCmsProfile(io.BytesIO(picture.info["icc_profile"]))
        assert ImageCms.getProfileDescription(profile).strip() == "Display P3"
        assert told["profile"] == "the photo's"


@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
@pytest.mark.parametrize(
    ("primaries", "transfer", "told"),
    [(1, 13, "sRGB"), (2, 2, "sRGB"), (6, 6, "sRGB"), (9, 16, "sRGB, as which BT.2020, PQ was read")],
)
def test_other_colours_are_read_as_srgb_and_the_report_says_where_they_are_not(
    kind: str, primaries: int, transfer: int, told: str
) -> None:
    original = decode_original(coded(kind, primaries, transfer))
    assert np.abs(levels(original.photo) - levels(without_codes(coded(kind, primaries, transfer)))).max() == 0
    mask = Image.new("L", SIZE, 0)
    assert encode_result(original.photo, original, mask, Output())[1]["profile"] == told


def test_a_profile_goes_before_a_code_and_what_says_nothing_is_srgb() -> None:
    out = io.BytesIO()
    drawn().save(out, "AVIF", icc_profile=DISPLAY_P3)
    assert decode_original(out.getvalue()).profile == DISPLAY_P3
    assert ColourCodes.of(out.getvalue()) is None
    assert ColourCodes.of(b"") is None
    assert ColourCodes.of(coded("AVIF", 12, 13)[:100]) is None
    assert ColourCodes(12, 18).profile is None, "HDR in these primaries is another tone curve"
    assert ColourCodes(12, 18).unread == "Display P3, HLG"
    assert Original(drawn(), drawn()).unread is None


def test_the_profile_is_the_published_one() -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8))
    srgb = ImageCms.createProfile("sRGB")
    both = [
        ImageCms.profileToProfile(picture, ImageCms.ImageCmsProfile(io.BytesIO(profile)), srgb, outputMode="RGB")
        for profile in (p3_profile(), DISPLAY_P3)
    ]
    assert np.abs(levels(both[0]) - levels(both[1])).max() <= 1  # type: ignore[arg-type]
