"""Pictures that name their colours otherwise than by a profile."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from s2edit_core.delivery.output import Output, encode_result
from s2edit_core.pictures.colour_codes import SRGB_PRIMARIES, ColourCodes, p3_profile, unread_colours
from s2edit_core.pictures.files import Original, check_photo, decode_original, decode_photo, reads
from s2edit_core.pictures.metadata import without_metadata
from s2edit_core.pictures.png_chunks import PNG_MAGIC
from s2edit_core.request.picture_limits import scaled_size
from tests.unit.core.delivery.output.profiles import DISPLAY_P3
from tests.unit.core.pictures.samples import check_own_colours, levels, stored

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
    if kind == "PNG":
        return png(cicp(primaries, transfer))
    if kind == "HEIF":
        assert reads("image/heic")
        told = {"color_primaries": primaries, "transfer_characteristics": transfer, "matrix_coefficients": 6, "full_range_flag": 1}
        drawn().save(out, "HEIF", quality=95, **told)
    else:
        drawn().save(out, "AVIF", quality=95)
    data = out.getvalue()
    at = data.index(b"nclx") + 4
    return data[:at] + bytes([0, primaries, 0, transfer]) + data[at + 4 :]


def png(*chunks: tuple[bytes, bytes], mode: str = "RGB", **options: Any) -> bytes:
    """`drawn`, in a PNG with further chunks after its header."""
    out = io.BytesIO()
    drawn().convert("L" if mode == "I;16" else mode).convert(mode).save(out, "PNG", **options)
    data, end = out.getvalue(), len(PNG_MAGIC) + 25
    added = [struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks]
    return data[:end] + b"".join(added) + data[end:]


def cicp(primaries: int, transfer: int, full_range: int = 1) -> tuple[bytes, bytes]:
    return b"cICP", bytes([primaries, transfer, 0, full_range])


def fractions(kind: bytes, *values: float) -> tuple[bytes, bytes]:
    return kind, struct.pack(f">{len(values)}I", *(round(value * 100_000) for value in values))


def reported(data: bytes) -> str:
    """Return what a report says of the profile of the photo's result."""
    original = decode_original(data)
    return str(encode_result(original.photo, original, Image.new("L", SIZE), Output())[1]["profile"])


@pytest.mark.parametrize("kind", ["HEIF", "AVIF", "PNG"])
@pytest.mark.parametrize("max_pixels", [None, 4096])
class TestDisplayP3:
    def test_it_is_read_as_with_a_profile(self, kind: str, max_pixels: int | None) -> None:
        data = coded(kind, 12, 13)
        seen = scaled_size(SIZE, max_pixels)
        unconverted = stored(data).resize(seen, Image.Resampling.LANCZOS, reducing_gap=3.0)
        wanted = ImageCms.profileToProfile(
            unconverted, ImageCms.ImageCmsProfile(io.BytesIO(DISPLAY_P3)), ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
        assert wanted is not None
        photo = decode_photo(data, max_pixels)
        assert np.abs(levels(photo) - levels(wanted)).max() <= 1
        assert np.abs(levels(photo) - levels(unconverted)).max() > 20, "the case is a case"
        assert check_photo(data, max_pixels)[0] == photo.size == seen
        assert np.array_equal(levels(decode_photo(without_metadata(data, 1, "image"), max_pixels)), levels(photo))

    def test_the_result_has_the_photos_own_colours(self, kind: str, max_pixels: int | None) -> None:
        check_own_colours(coded(kind, 12, 13), "Display P3", max_pixels)


@pytest.mark.parametrize("kind", ["HEIF", "AVIF", "PNG"])
@pytest.mark.parametrize(
    ("primaries", "transfer", "told"),
    [(1, 13, "sRGB"), (2, 2, "sRGB"), (6, 6, "sRGB"), (9, 16, "sRGB, as which BT.2020, PQ was read")],
)
def test_other_colours_are_read_as_srgb_and_the_report_says_where_they_are_not(
    kind: str, primaries: int, transfer: int, told: str
) -> None:
    original = decode_original(coded(kind, primaries, transfer))
    assert np.abs(levels(original.photo) - levels(stored(coded(kind, primaries, transfer)))).max() == 0
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


class TestPng:
    @pytest.mark.parametrize("mode", ["L", "LA", "1", "I;16"])
    def test_grey_is_the_grey_of_srgb(self, mode: str) -> None:
        plain = png(mode=mode)
        data = png(cicp(12, 13), mode=mode)
        assert np.array_equal(levels(decode_photo(data)), levels(decode_photo(plain)))
        assert (reported(data), check_photo(data)[0]) == ("sRGB", SIZE)

    @pytest.mark.parametrize("mode", ["P", "RGBA"])
    def test_palettes_and_transparent_pictures_are_converted(self, mode: str) -> None:
        data = png(cicp(12, 13), mode=mode)
        assert np.abs(levels(decode_photo(data)) - levels(decode_photo(png(mode=mode)))).max() > 20
        assert reported(data) == "the photo's"

    def test_codes_go_before_a_profile_unless_they_cannot_be_converted(self) -> None:
        p3 = {"icc_profile": DISPLAY_P3}
        assert decode_original(png(cicp(1, 13), **p3)).profile is None
        assert decode_original(png(cicp(12, 13), **p3)).profile == p3_profile()
        assert decode_original(png(cicp(9, 16), **p3)).profile == DISPLAY_P3
        assert reported(png(cicp(9, 16), **p3)) == "the photo's"

    def test_what_is_read_as_srgb_without_being_it_is_reported(self) -> None:
        gamma, primaries = fractions(b"gAMA", 1 / 1.8), fractions(b"cHRM", 0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)
        assert reported(png(cicp(12, 13, 0))) == "sRGB, as which Display P3, H.273 13, narrow range was read"
        assert reported(png(gamma)) == "sRGB, as which gamma 1.8 was read"
        assert reported(png(gamma, primaries)) == "sRGB, as which gamma 1.8, other primaries was read"
        assert reported(png(gamma, primaries, (b"sRGB", b"\0"))) == "sRGB"
        assert reported(png(fractions(b"gAMA", 0.45455), fractions(b"cHRM", *SRGB_PRIMARIES))) == "sRGB"
        assert reported(png(gamma, icc_profile=DISPLAY_P3)) == "the photo's"

    @pytest.mark.parametrize("chunk", [(b"cICP", b"\x0c\x0d"), (b"gAMA", b"\0\0\0\0"), (b"gAMA", b"\1"), (b"cHRM", b"\0" * 8)])
    def test_what_says_nothing_is_srgb(self, chunk: tuple[bytes, bytes]) -> None:
        data = png(chunk)
        assert unread_colours(data) is None
        assert unread_colours(data[:60]) is None
        assert ColourCodes.of(data) is None


def test_the_profile_is_the_published_one() -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8))
    srgb = ImageCms.createProfile("sRGB")
    both = [
        ImageCms.profileToProfile(picture, ImageCms.ImageCmsProfile(io.BytesIO(profile)), srgb, outputMode="RGB")
        for profile in (p3_profile(), DISPLAY_P3)
    ]
    assert np.abs(levels(both[0]) - levels(both[1])).max() <= 1  # type: ignore[arg-type]
