"""Uploaded files: what is accepted, what is refused and why, and which pixels come out."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from s2edit_core.errors import ImageInvalid, MaskInvalid
from s2edit_core.pictures import decode_mask, decode_photo, encode_png


def png(picture: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", **options)
    return buffer.getvalue()


def gradient(size: tuple[int, int] = (64, 48)) -> Image.Image:
    x = np.linspace(0, 255, size[0]).astype(np.uint8)
    return Image.fromarray(np.stack([np.tile(x, (size[1], 1))] * 3, axis=2))


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
        (png(gradient())[:-60], "image_damaged"),
        (png(gradient((20, 20))), "image_too_small"),
    ],
    ids=["empty", "text", "truncated", "small"],
)
def test_what_is_no_sound_photo_is_refused_with_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(ImageInvalid) as refused:
        decode_photo(data)
    assert refused.value.reason == reason
    assert refused.value.field == "image"


def test_a_gif_is_refused_though_pillow_could_read_it() -> None:
    buffer = io.BytesIO()
    gradient().save(buffer, "GIF")
    with pytest.raises(ImageInvalid, match="PNG, JPEG or WebP"):
        decode_photo(buffer.getvalue())


def test_cmyk_without_a_profile_is_refused() -> None:
    buffer = io.BytesIO()
    gradient().convert("CMYK").save(buffer, "JPEG")
    with pytest.raises(ImageInvalid, match="CMYK"):
        decode_photo(buffer.getvalue())


def square_mask(size: tuple[int, int]) -> Image.Image:
    mask = Image.new("L", size)
    mask.paste(255, (size[0] // 4, size[1] // 4, size[0] // 2, size[1] // 2))
    return mask


def test_a_mask_of_the_same_size_is_taken_as_it_is() -> None:
    assert np.array_equal(np.asarray(decode_mask(png(square_mask((64, 48))), (64, 48))), np.asarray(square_mask((64, 48))))


def test_a_mask_of_another_size_is_resized_when_its_aspect_agrees() -> None:
    resized = decode_mask(png(square_mask((128, 96))), (64, 48))
    assert np.array_equal(np.asarray(resized), np.asarray(square_mask((64, 48))))


def test_a_mask_of_another_shape_is_refused() -> None:
    with pytest.raises(MaskInvalid) as refused:
        decode_mask(png(square_mask((64, 64))), (64, 48), "edit_mask")
    assert (refused.value.reason, refused.value.field) == ("mask_size", "edit_mask")


@pytest.mark.parametrize(("level", "reason"), [(0, "mask_empty"), (255, "mask_full")])
def test_empty_and_full_masks_are_refused(level: int, reason: str) -> None:
    with pytest.raises(MaskInvalid) as refused:
        decode_mask(png(Image.new("L", (64, 48), level)), (64, 48))
    assert refused.value.reason == reason


def test_a_mask_drawn_in_alpha_alone_counts_by_its_alpha() -> None:
    drawn = Image.new("RGBA", (64, 48), (0, 0, 0, 0))
    drawn.paste((0, 0, 0, 255), (16, 12, 32, 24))
    mask = decode_mask(png(drawn), (64, 48))
    assert mask.getpixel((20, 15)) == 255
    assert mask.getpixel((0, 0)) == 0
