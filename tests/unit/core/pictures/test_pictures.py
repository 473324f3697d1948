"""Uploaded files: what is accepted, what is refused and why, and which pixels come out."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from s2edit_core.errors import ImageInvalid
from s2edit_core.pictures.files import check_photo, decode_photo, encode_png
from s2edit_core.pictures.mask_files import decode_mask
from tests.unit.core.pictures.samples import gradient, noise, png


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def written_out(
    size: tuple[int, int], depth: int, colour: int, pixel: bytes, transparent: bytes = b"", rows: int | None = None
) -> bytes:
    """A PNG of one colour, chunk by chunk: for kinds that Pillow does not write. `rows` may fall short of the height."""
    header = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, 0)
    body = zlib.compress((b"\0" + pixel * size[0]) * (size[1] if rows is None else rows))
    middle = chunk(b"tRNS", transparent) if transparent else b""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + middle + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def test_a_png_is_read_back_as_it_was() -> None:
    assert np.array_equal(np.asarray(decode_photo(png(gradient()))), np.asarray(gradient()))


def test_encoded_results_lose_nothing() -> None:
    assert np.array_equal(np.asarray(decode_photo(encode_png(gradient()))), np.asarray(gradient()))


def test_exif_orientation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    buffer = io.BytesIO()
    gradient((64, 48)).save(buffer, "JPEG", exif=exif, quality=95)
    assert decode_photo(buffer.getvalue()).size == (48, 64)


def test_alpha_is_laid_on_white() -> None:
    clear = Image.new("RGBA", (40, 40), (255, 0, 0, 0))
    assert decode_photo(png(clear)).getpixel((5, 5)) == (255, 255, 255)


def test_palettes_with_transparency_are_laid_on_white_too() -> None:
    palette = Image.new("P", (40, 40), 0)
    palette.putpalette([10, 20, 30] + [0] * 765)
    assert decode_photo(png(palette, transparency=0)).getpixel((5, 5)) == (255, 255, 255)


def test_16_bit_grey_is_scaled_and_not_clipped() -> None:
    deep = Image.fromarray(np.full((40, 40), 257 * 100, dtype=np.uint16))
    assert decode_photo(png(deep)).getpixel((5, 5)) == (100, 100, 100)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "image_format"),
        (b"not an image at all", "image_format"),
        (png(noise())[:300], "image_damaged"),
        (png(noise())[:-30], "image_damaged"),
        (png(noise())[:400] + b"junk" + png(noise())[404:], "image_damaged"),
        (png(gradient((20, 20))), "image_too_small"),
    ],
    ids=["empty", "text", "truncated", "without its end", "overwritten", "small"],
)
def test_what_is_no_sound_photo_is_refused_with_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(ImageInvalid) as refused:
        decode_photo(data)
    assert refused.value.reason == reason
    assert refused.value.field == "image"


def test_a_photo_that_is_scaled_too_thin_is_told_of_the_limit() -> None:
    with pytest.raises(ImageInvalid, match=r"the image is 14×4525 at max_pixels=65536; each side needs 32 pixels"):
        decode_photo(png(gradient((64, 20_000))), 65_536)


def test_16_bit_grey_with_a_transparent_level_is_scaled_too() -> None:
    data = written_out((40, 40), 16, 0, struct.pack(">H", 257 * 100), transparent=struct.pack(">H", 7))
    assert decode_photo(data).getpixel((5, 5)) == (100, 100, 100)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_comes_out_upright(orientation: int) -> None:
    """A picture with a white corner at the top left when upright, stored turned or mirrored."""
    upright = Image.new("RGB", (64, 48))
    upright.paste((255, 255, 255), (0, 0, 16, 16))
    stored_as = {
        1: (),
        2: (Image.Transpose.FLIP_LEFT_RIGHT,),
        3: (Image.Transpose.ROTATE_180,),
        4: (Image.Transpose.FLIP_TOP_BOTTOM,),
        5: (Image.Transpose.TRANSPOSE,),
        6: (Image.Transpose.ROTATE_90,),
        7: (Image.Transpose.TRANSVERSE,),
        8: (Image.Transpose.ROTATE_270,),
    }
    stored = upright
    for turn in stored_as[orientation]:
        stored = stored.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = decode_photo(png(stored, exif=exif))
    assert np.array_equal(np.asarray(decoded), np.asarray(upright))


@pytest.mark.parametrize(
    ("data", "level"),
    [
        (png(Image.new("L", (40, 40), 90)), (90, 90, 90)),
        (png(Image.new("1", (40, 40), 1)), (255, 255, 255)),
        (png(Image.new("LA", (40, 40), (90, 0))), (255, 255, 255)),
        (png(Image.new("RGBA", (40, 40), (0, 0, 0, 51))), (204, 204, 204)),
        (written_out((40, 40), 16, 2, struct.pack(">HHH", 257 * 9, 257 * 8, 0)), (9, 8, 0)),
        (written_out((40, 40), 8, 2, bytes([1, 2, 3]), transparent=struct.pack(">HHH", 1, 2, 3)), (255, 255, 255)),
    ],
    ids=["grey", "black and white", "clear grey", "a fifth of black", "16-bit RGB", "RGB with a clear colour"],
)
def test_every_kind_of_png_becomes_rgb(data: bytes, level: tuple[int, int, int]) -> None:
    decoded = decode_photo(data)
    assert decoded.mode == "RGB"
    assert decoded.getpixel((5, 5)) == level


@pytest.mark.parametrize("lossless", [True, False])
def test_webp_is_read(lossless: bool) -> None:
    buffer = io.BytesIO()
    gradient().save(buffer, "WEBP", lossless=lossless, quality=95)
    difference = np.abs(np.asarray(decode_photo(buffer.getvalue())).astype(int) - np.asarray(gradient()))
    assert difference.max() <= (0 if lossless else 8)


@pytest.mark.parametrize("size", [(12_000, 10_000), (30000, 30000), (300000, 500)], ids=["120 MP", "900 MP", "150 MP"])
@pytest.mark.parametrize(
    "decode",
    [decode_photo, lambda data: decode_photo(data, 1_000_000), lambda data: decode_mask(data, (64, 64))],
    ids=["photo", "scaled", "mask"],
)
def test_a_bomb_is_refused_by_its_header_before_anything_is_unpacked(size: tuple[int, int], decode: Any) -> None:
    """The file says its size and holds one row: it is refused for what it says, not for what is missing."""
    with pytest.raises(ImageInvalid) as refused:
        decode(written_out(size, 1, 0, b"", rows=1))
    assert refused.value.reason == "image_too_large"


def test_a_colour_profile_is_converted_to_srgb() -> None:
    """The same numbers under a profile of another tone curve look otherwise; under sRGB's own they stay."""
    picture = Image.new("RGB", (40, 40), (128, 128, 128))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert decode_photo(png(picture, icc_profile=srgb)).getpixel((5, 5)) == (128, 128, 128)
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    for unusable in (lab, b"no profile at all"):
        assert decode_photo(png(picture, icc_profile=unusable)).getpixel((5, 5)) == (128, 128, 128)


def linear_profile(space: bytes) -> bytes:
    """A colour profile of linear light, of grey or of sRGB's primaries: its middle is much lighter than sRGB's."""

    def xyz(*values: float) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    linear = b"curv" + bytes(8)
    white = (0.9642, 1.0, 0.8249)
    tags = {b"wtpt": xyz(*white)}
    if space == b"GRAY":
        tags[b"kTRC"] = linear
    else:
        primaries = {b"rXYZ": (0.4360, 0.2225, 0.0139), b"gXYZ": (0.3851, 0.7169, 0.0971), b"bXYZ": (0.1431, 0.0606, 0.7139)}
        tags |= {name: xyz(*value) for name, value in primaries.items()} | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), linear)
    table, data, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        table += name + struct.pack(">II", start + len(data), len(value))
        data += value
    body = struct.pack(">I", len(tags)) + table + data
    header = struct.pack(">I4sI4s4s4s12x4s28x", 128 + len(body), b"lcms", 0x02400000, b"mntr", space, b"XYZ ", b"acsp")
    return (header + xyz(*white)[8:]).ljust(128, b"\0") + body


def ink_profile() -> bytes:
    """A profile of CMYK as a table of two levels per ink: paper is white, black ink black, cyan ink alone of half lightness."""
    inks = [(c, m, y, k) for c in (0, 1) for m in (0, 1) for y in (0, 1) for k in (0, 1)]
    lightness = [0 if k or (m and y) else 128 if c or m or y else 255 for c, m, y, k in inks]
    straight = bytes(range(256))
    matrix = struct.pack(">9i", *(65536 if i % 4 == 0 else 0 for i in range(9)))
    table = bytes(value for level in lightness for value in (level, 128, 128))
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + matrix + straight * 4 + table + straight * 3
    lut += bytes(-len(lut) % 4)
    body = struct.pack(">I", 1) + b"A2B0" + struct.pack(">II", 144, len(lut)) + lut
    header = struct.pack(">I4sI4s4s4s12x4s28x", 128 + len(body), b"lcms", 0x02400000, b"prtr", b"CMYK", b"Lab ", b"acsp")
    white = struct.pack(">3i", *(round(value * 65536) for value in (0.9642, 1.0, 0.8249)))
    return (header + white).ljust(128, b"\0") + body


@pytest.mark.parametrize(("inks", "level"), [((0, 0, 0, 0), 255), ((0, 0, 0, 255), 0), ((255, 0, 0, 0), 119)])
def test_cmyk_is_converted_by_its_profile(inks: tuple[int, int, int, int], level: int) -> None:
    """Lightness 50 is level 119 of sRGB; without the profile, cyan would be cyan."""
    decoded = decode_photo(saved(Image.new("CMYK", (40, 40), inks), "JPEG", quality=100, icc_profile=ink_profile()))
    assert decoded.mode == "RGB"
    assert np.abs(np.asarray(decoded, dtype=int) - level).max() <= 4


def saved(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def palette_picture() -> Image.Image:
    picture = Image.new("P", (40, 40), 0)
    picture.putpalette([128, 128, 128] + [0] * 765)
    return picture


@pytest.mark.parametrize(
    ("picture", "space", "kind"),
    [
        (Image.new("RGB", (40, 40), (128, 128, 128)), b"RGB ", "PNG"),
        (Image.new("RGB", (40, 40), (128, 128, 128)), b"RGB ", "JPEG"),
        (Image.new("RGBA", (40, 40), (128, 128, 128, 255)), b"RGB ", "PNG"),
        (palette_picture(), b"RGB ", "PNG"),
        (Image.new("L", (40, 40), 128), b"GRAY", "PNG"),
        (Image.new("L", (40, 40), 128), b"GRAY", "JPEG"),
        (Image.new("LA", (40, 40), (128, 255)), b"GRAY", "PNG"),
        (Image.fromarray(np.full((40, 40), 257 * 128, dtype=np.uint16)), b"GRAY", "PNG"),
    ],
    ids=["RGB", "JPEG", "RGBA", "palette", "grey", "grey JPEG", "grey with alpha", "16-bit grey"],
)
def test_the_profile_of_every_kind_of_picture_counts(picture: Image.Image, space: bytes, kind: str) -> None:
    """Half of the light is level 188 of sRGB, and it stays grey."""
    decoded = decode_photo(saved(picture, kind, icc_profile=linear_profile(space)))
    assert decoded.mode == "RGB"
    assert np.abs(np.asarray(decoded, dtype=int) - 188).max() <= 2


def test_what_is_transparent_is_white_whatever_its_profile() -> None:
    half = Image.new("RGBA", (40, 40), (128, 128, 128, 0))
    half.paste((128, 128, 128, 255), (0, 0, 20, 40))
    decoded = decode_photo(saved(half, icc_profile=linear_profile(b"RGB ")))
    assert decoded.getpixel((30, 5)) == (255, 255, 255)
    assert abs(decoded.getpixel((5, 5))[0] - 188) <= 2  # type: ignore[index]


def test_cmyk_is_refused_where_its_profile_is_not_its_own() -> None:
    data = saved(gradient().convert("CMYK"), "JPEG", icc_profile=linear_profile(b"RGB "))
    with pytest.raises(ImageInvalid) as refused:
        decode_photo(data)
    assert refused.value.reason == "image_profile"


@pytest.mark.parametrize(("colour", "pixel"), [(4, b"\x64\x64\xff\xff"), (6, b"\x09\x09\x08\x08\x00\x00\xff\xff")])
def test_16_bits_with_alpha_are_scaled(colour: int, pixel: bytes) -> None:
    assert decode_photo(written_out((40, 40), 16, colour, pixel)).getpixel((5, 5)) == ((100,) * 3 if colour == 4 else (9, 8, 0))


def test_an_animation_is_its_first_picture() -> None:
    frames = [Image.new("RGB", (40, 40), colour) for colour in ((200, 0, 0), (0, 0, 200))]
    for kind, options in (("WEBP", {"lossless": True}), ("PNG", {})):
        assert decode_photo(saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)).getpixel((5, 5)) == (
            200,
            0,
            0,
        )


def test_a_gif_is_refused_though_pillow_could_read_it() -> None:
    buffer = io.BytesIO()
    gradient().save(buffer, "GIF")
    with pytest.raises(ImageInvalid, match="PNG, JPEG, WebP, AVIF or HEIC"):
        decode_photo(buffer.getvalue())


def test_cmyk_without_a_profile_is_refused() -> None:
    buffer = io.BytesIO()
    gradient().convert("CMYK").save(buffer, "JPEG")
    with pytest.raises(ImageInvalid, match="CMYK"):
        decode_photo(buffer.getvalue())


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_nothing_of_the_file_is_left_but_its_pixels(kind: str) -> None:
    """Where it was taken, by what, and whatever else a camera or an app has written into it."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Canary"
    exif.get_ifd(0x8825)[2] = (48.0, 51.0, 30.0)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = saved(gradient((64, 48)), kind, exif=exif, icc_profile=srgb, xmp=b"<x>Canary</x>")
    assert b"Canary" in data
    decoded = decode_photo(data)
    assert (decoded.size, decoded.info) == ((48, 64), {})
    result = encode_png(decoded)
    assert [one for one in (b"Canary", b"eXIf", b"iCCP", b"iTXt", b"tEXt") if one in result] == []


@pytest.mark.parametrize("orientation", range(1, 9))
def test_checking_a_photo_tells_the_size_that_decoding_gives(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = png(gradient((64, 48)), exif=exif)
    assert check_photo(data) == (decode_photo(data).size, orientation)


@pytest.mark.parametrize(
    "data",
    [b"hello", png(gradient((20, 20))), png(noise())[:-30], written_out((9_000, 9_000), 1, 0, b"", rows=1)],
    ids=["text", "small", "cut off", "bomb"],
)
def test_checking_a_photo_refuses_what_decoding_refuses(data: bytes) -> None:
    with pytest.raises(ImageInvalid) as checked:
        check_photo(data)
    with pytest.raises(ImageInvalid) as decoded:
        decode_photo(data)
    assert (checked.value.reason, str(checked.value)) == (decoded.value.reason, str(decoded.value))
