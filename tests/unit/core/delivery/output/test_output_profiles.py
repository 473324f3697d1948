"""What is delivered is in the photo's own colours."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from s2edit_core.delivery.output import Output, encode_result
from s2edit_core.pictures.colours import from_srgb
from s2edit_core.pictures.files import Original, decode_original, decode_photo
from tests.unit.core.delivery.output.outputs import (
    EXACT,
    JPEG,
    OUTSIDE,
    PNG,
    WEBP,
    colourful,
    file_of,
    mask,
    pixels,
    repainted,
    see_through,
)
from tests.unit.core.delivery.output.profiles import DISPLAY_P3, GREY, INPUT_ONLY


class TestProfiles:
    @pytest.fixture
    def original(self) -> Original:
        return decode_original(file_of(colourful(), icc_profile=DISPLAY_P3))

    @pytest.mark.parametrize("wanted", [PNG, EXACT])
    def test_the_result_is_in_the_photos_own_colours(self, original: Original, wanted: Output) -> None:
        data, told = encode_result(repainted(original), original, mask(), wanted)
        assert np.array_equal(pixels(data)[OUTSIDE], colourful()[OUTSIDE]), (
            "not clipped to sRGB, nor rounded on the way there and back"
        )
        with Image.open(io.BytesIO(data)) as picture:
            assert picture.info["icc_profile"] == DISPLAY_P3
        assert told["profile"] == "the photo's"

    def test_it_is_wider_than_what_the_model_sees(self, original: Original) -> None:
        """The case is a case: sRGB has no room for some of its colours."""
        back = ImageCms.applyTransform(original.photo, from_srgb(DISPLAY_P3))
        assert back is not None
        assert np.abs(np.asarray(back).astype(int) - colourful())[OUTSIDE].max() > 10

    def test_what_was_painted_looks_as_it_was_painted(self, original: Original) -> None:
        data, _ = encode_result(repainted(original, (90, 120, 160)), original, mask(), PNG)
        shown = np.asarray(decode_photo(data)).astype(int)[~OUTSIDE]
        assert np.abs(shown - (90, 120, 160)).max() <= 2

    def test_decoded_as_the_photo_was_it_is_the_photo_outside_the_mask(self, original: Original) -> None:
        data, _ = encode_result(repainted(original), original, mask(), PNG)
        assert np.array_equal(np.asarray(decode_photo(data))[OUTSIDE], np.asarray(original.photo)[OUTSIDE])

    def test_a_slight_edit_leaves_no_edge_in_colours_that_the_model_could_not_see(self, original: Original) -> None:
        """One level brighter inside: two neighbours across the mask's edge stay as near as they were."""
        slight = original.photo.copy()
        slight.paste(original.photo.point(lambda level: min(255, level + 1)), mask=mask())
        moved = np.abs(pixels(encode_result(slight, original, mask(), PNG)[0]).astype(int) - colourful())
        assert 0 < moved[~OUTSIDE].max() <= 4

    def test_a_strong_edit_leaves_nothing_of_the_old_colour(self, original: Original) -> None:
        painted = pixels(encode_result(repainted(original, (90, 120, 160)), original, mask(), PNG)[0])[~OUTSIDE]
        far = np.abs(np.asarray(original.photo).astype(int) - (90, 120, 160)).max(axis=-1)[~OUTSIDE] >= 32
        assert far.mean() > 0.5
        assert (painted[far] == painted[far][0]).all(), "one colour was painted, and one is there"

    def test_alpha_and_profile_together(self) -> None:
        original = decode_original(file_of(see_through(), icc_profile=DISPLAY_P3))
        data, told = encode_result(repainted(original, (90, 120, 160)), original, mask(), PNG)
        assert np.array_equal(pixels(data)[OUTSIDE], see_through()[OUTSIDE])
        assert (told["alpha"], told["profile"]) == ("kept", "the photo's")
        opaque = ~OUTSIDE & (see_through()[..., 3] == 255)
        assert np.abs(np.asarray(decode_photo(data)).astype(int)[opaque] - (90, 120, 160)).max() <= 2

    def test_laid_on_white_it_is_srgb(self) -> None:
        original = decode_original(file_of(see_through(), icc_profile=DISPLAY_P3))
        data, told = encode_result(original.photo, original, mask(), Output(keep_alpha=False))
        assert told["profile"] == "sRGB"
        assert np.array_equal(pixels(data), np.asarray(original.photo))

    @pytest.mark.parametrize("wanted", [JPEG, WEBP])
    def test_lossy_files_carry_it_too(self, original: Original, wanted: Output) -> None:
        data, told = encode_result(repainted(original), original, mask(), wanted)
        with Image.open(io.BytesIO(data)) as picture:
            assert picture.info["icc_profile"] == DISPLAY_P3
        moved = np.abs(pixels(data).astype(int) - colourful())[OUTSIDE]
        assert told["outside_edit_mask"]["max_level_difference"] == moved.max(), "it is measured in the photo's own colours"

    @pytest.mark.parametrize("profile", [GREY, INPUT_ONLY, b"no profile at all"])
    def test_one_that_cannot_hold_the_edit_makes_an_srgb_result(self, profile: bytes) -> None:
        grey = profile == GREY
        data = file_of(colourful()[..., 0] if grey else colourful(), icc_profile=profile)
        original = decode_original(data)
        made, told = encode_result(repainted(original), original, mask(), PNG)
        assert told["profile"] == "sRGB"
        assert np.array_equal(pixels(made)[OUTSIDE], np.asarray(decode_photo(data))[OUTSIDE])
        with Image.open(io.BytesIO(made)) as picture:
            assert "icc_profile" not in picture.info

    def test_cmyk_becomes_srgb(self) -> None:
        from tests.unit.core.pictures.test_pictures import ink_profile

        out = io.BytesIO()
        Image.fromarray(colourful()).convert("CMYK").save(out, "JPEG", icc_profile=ink_profile())
        original = decode_original(out.getvalue())
        made, told = encode_result(repainted(original), original, mask(), PNG)
        assert told["profile"] == "sRGB"
        assert np.array_equal(pixels(made)[OUTSIDE], np.asarray(decode_photo(out.getvalue()))[OUTSIDE])

    def test_a_png_without_a_profile_says_that_it_is_srgb(self) -> None:
        original = decode_original(file_of(colourful()))
        with Image.open(io.BytesIO(encode_result(original.photo, original, mask(), PNG)[0])) as picture:
            assert picture.info["srgb"] == 0
            assert "icc_profile" not in picture.info
