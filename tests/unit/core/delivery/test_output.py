"""What is delivered: the photo's own values where nothing was edited, in its own colours, as transparent as it was."""

from __future__ import annotations

import io
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from s2edit_core.delivery import watermark
from s2edit_core.delivery.output import Output, encode_result, flattened, format_of, in_own_colours
from s2edit_core.errors import OptionInvalid
from s2edit_core.pictures.colours import from_srgb
from s2edit_core.pictures.files import Original, decode_original, decode_photo
from s2edit_core.request.spec import EditRequest
from tests.unit.core.delivery.profiles import DISPLAY_P3, GREY, INPUT_ONLY

SIZE = (80, 60)
BOX = (20, 10, 60, 50)
PNG, JPEG, WEBP, EXACT = Output(), Output("jpeg"), Output("webp"), Output("webp", 100)


def colourful(seed: int = 0) -> NDArray[np.uint8]:
    """Soft colours, also the strongest ones, with grain."""
    y, x = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    soft = np.stack([x * 255 / SIZE[0], y * 255 / SIZE[1], 255 - x * 255 / SIZE[0]], axis=-1)
    return (soft + np.random.default_rng(seed).integers(-12, 13, soft.shape)).clip(0, 255).astype(np.uint8)


def mask() -> Image.Image:
    drawn = Image.new("L", SIZE)
    drawn.paste(255, BOX)
    return drawn


def file_of(pixels: NDArray[np.uint8], format: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, format, **options)
    return out.getvalue()


def see_through() -> NDArray[np.uint8]:
    """Clear on the left, with colours hidden there; then half clear, then opaque."""
    alpha = np.zeros((SIZE[1], SIZE[0], 1), np.uint8)
    alpha[:, 30:45], alpha[:, 45:] = 128, 255
    return np.concatenate([colourful(), alpha], axis=-1)


def repainted(original: Original, colour: tuple[int, int, int] = (200, 30, 40)) -> Image.Image:
    result = original.photo.copy()
    result.paste(colour, BOX)
    return result


def pixels(data: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.mode in ("RGB", "RGBA")
        return np.asarray(picture)


OUTSIDE = np.asarray(mask()) == 0


class TestFormats:
    @pytest.mark.parametrize(("wanted", "format"), [(PNG, "PNG"), (JPEG, "JPEG"), (WEBP, "WEBP"), (EXACT, "WEBP")])
    def test_each_is_what_was_asked_for(self, wanted: Output, format: str) -> None:
        original = decode_original(file_of(colourful()))
        data, told = encode_result(repainted(original), original, mask(), wanted)
        with Image.open(io.BytesIO(data)) as picture:
            assert (picture.format, picture.size, Image.MIME[picture.format]) == (format, SIZE, wanted.media_type)
        assert (told["format"], told["lossless"]) == (wanted.format, wanted.lossless)
        assert told["quality"] == {PNG: None, JPEG: 95, WEBP: 95, EXACT: 100}[wanted]
        assert told["alpha"] is None

    @pytest.mark.parametrize("wanted", [PNG, EXACT])
    def test_lossless_ones_hold_the_result_bit_for_bit(self, wanted: Output) -> None:
        original = decode_original(file_of(colourful(), "JPEG", quality=90))
        result = repainted(original)
        data, told = encode_result(result, original, mask(), wanted)
        assert np.array_equal(pixels(data), np.asarray(result))
        assert "outside_edit_mask" not in told

    @pytest.mark.parametrize(("wanted", "levels"), [(JPEG, 30), (WEBP, 90), (Output("jpeg", 30), 150), (Output("webp", 99), 90)])
    def test_lossy_ones_say_what_they_changed_outside_the_mask(self, wanted: Output, levels: int) -> None:
        """As measured on the file itself."""
        original = decode_original(file_of(colourful()))
        data, told = encode_result(repainted(original), original, mask(), wanted)
        moved = np.abs(pixels(data).astype(int) - colourful().astype(int))[OUTSIDE]
        said = told["outside_edit_mask"]
        assert 0 < said["max_level_difference"] == moved.max() < levels
        assert said["psnr_db"] == pytest.approx(10 * np.log10(255**2 / np.square(moved).mean()), abs=0.001)

    def test_a_large_webp_is_written_with_less_effort_and_looks_the_same(self, monkeypatch: pytest.MonkeyPatch) -> None:
        original = decode_original(file_of(colourful()))
        written = {}
        for effort, large in (("usual", 4_000_000), ("less", 1000)):
            monkeypatch.setattr("s2edit_core.delivery.output.LARGE_PIXELS", large)
            data, told = encode_result(original.photo, original, mask(), WEBP)
            written[effort] = (data, told["outside_edit_mask"]["psnr_db"])
        for effort, method in (("usual", 4), ("less", 2)):
            out = io.BytesIO()
            original.photo.save(out, "WEBP", quality=95, method=method, exact=True, alpha_quality=100)
            assert written[effort][0] == out.getvalue()
        assert written["less"][1] == pytest.approx(written["usual"][1], abs=0.5)

    def test_a_lower_quality_is_a_smaller_file(self) -> None:
        original = decode_original(file_of(colourful()))
        for format in ("jpeg", "webp"):
            sizes = [len(encode_result(original.photo, original, mask(), Output(format, quality))[0]) for quality in (95, 60, 10)]
            assert sizes == sorted(sizes, reverse=True)
            assert len(set(sizes)) == 3

    def test_a_fine_jpeg_keeps_colours_at_full_resolution(self) -> None:
        original = decode_original(file_of(colourful()))
        for quality, first in ((95, (1, 1)), (60, (2, 2))):
            data, _ = encode_result(original.photo, original, mask(), Output("jpeg", quality))
            with Image.open(io.BytesIO(data)) as picture:
                assert picture.layer[0][1:3] == first  # type: ignore[attr-defined]
                assert not picture.info.get("progressive"), "those cost whoever decodes them three times the memory"

    @pytest.mark.parametrize(("format", "side"), [("webp", 16_384), ("jpeg", 65_501)])
    def test_what_a_format_cannot_hold_is_refused_by_name(self, format: Any, side: int) -> None:
        for size in ((side, 32), (32, side)):
            with pytest.raises(OptionInvalid, match=f"but a {format} has at most") as caught:
                Output(format).check_size(size)
            assert caught.value.reason == "output_too_large"
        Output(format).check_size((side - 1, 32))
        Output("png").check_size((1_000_000, 32))

    def test_the_longest_sides_can_be_written(self) -> None:
        for wanted, side in ((WEBP, 16_383), (EXACT, 16_383), (JPEG, 65_500)):
            original = decode_original(file_of(np.zeros((32, side, 3), np.uint8)))
            data, _ = encode_result(original.photo, original, Image.new("L", (side, 32), 255), wanted)
            assert pixels(data).shape == (32, side, 3)

    @pytest.mark.parametrize("name", ["out.png", "a/b.PNG", "x.jpg", "x.JPEG", "y.webp", "plain"])
    def test_a_files_name_says_its_format(self, name: str) -> None:
        assert format_of(name) == {"p": "png", "j": "jpeg", "w": "webp"}[name.rpartition(".")[2][0].lower()]

    @pytest.mark.parametrize("name", ["out.gif", "out.png.txt"])
    def test_another_name_is_refused(self, name: str) -> None:
        with pytest.raises(OptionInvalid, match=r"name the file \.png, \.jpg or \.webp"):
            format_of(name)

    def test_a_request_says_how_it_is_wanted(self) -> None:
        assert Output.of(EditRequest(prompt="a woman")) == PNG
        wanted = EditRequest(prompt="a woman", output_format="webp", output_quality=70, keep_alpha=False)
        assert Output.of(wanted) == Output("webp", 70, keep_alpha=False)


class TestAlpha:
    @pytest.mark.parametrize("wanted", [PNG, EXACT])
    def test_outside_the_mask_every_value_stays_also_hidden_ones(self, wanted: Output) -> None:
        original = decode_original(file_of(see_through()))
        data, told = encode_result(repainted(original), original, mask(), wanted)
        found = pixels(data)
        assert found.shape[-1] == 4
        assert np.array_equal(found[OUTSIDE], see_through()[OUTSIDE])
        assert np.array_equal(found[..., 3], see_through()[..., 3]), "inside too, the alpha is the photo's"
        assert told["alpha"] == "kept"

    def test_inside_it_shows_the_edit_where_anything_shows(self) -> None:
        original = decode_original(file_of(see_through()))
        data, _ = encode_result(repainted(original), original, mask(), PNG)
        found, inside = pixels(data), ~OUTSIDE
        clear = inside & (see_through()[..., 3] == 0)
        opaque = inside & (see_through()[..., 3] == 255)
        assert np.array_equal(found[clear], see_through()[clear]), "what nobody sees is the photo's"
        assert (found[opaque][:, :3] == (200, 30, 40)).all()

    def test_laid_on_white_it_is_the_result(self) -> None:
        """Half-clear pixels show half of their colour, so an edit of what is seen is twice that of the colour."""
        original = decode_original(file_of(see_through()))
        result = original.photo.point(lambda level: level + (255 - level) // 8)
        data, _ = encode_result(result, original, mask(), PNG)
        shown, alpha = np.asarray(decode_photo(data)).astype(int), see_through()[..., 3]
        moved = np.abs(shown - np.asarray(result))
        assert moved[alpha == 255].max() == 0
        assert moved[alpha == 128].max() <= 1
        assert np.array_equal(shown[alpha == 0], np.asarray(original.photo)[alpha == 0])

    def test_an_edit_that_changes_nothing_gives_every_value_back(self) -> None:
        original = decode_original(file_of(see_through()))
        assert np.array_equal(pixels(encode_result(original.photo, original, mask(), PNG)[0]), see_through())

    @pytest.mark.parametrize("wanted", [JPEG, Output(keep_alpha=False), Output("webp", 100, keep_alpha=False)])
    def test_where_it_is_not_kept_it_is_laid_on_white(self, wanted: Output) -> None:
        original = decode_original(file_of(see_through()))
        data, told = encode_result(repainted(original), original, mask(), wanted)
        assert told["alpha"] == "laid on white"
        moved = np.abs(pixels(data).astype(int) - np.asarray(repainted(original)))
        assert moved.max() <= (40 if wanted is JPEG else 0)
        assert flattened(original).alpha is None

    @pytest.mark.parametrize("mode", ["LA", "PA", "P", "RGB", "L"])
    def test_every_way_a_file_can_be_transparent_is_kept(self, mode: str) -> None:
        options: dict[str, Any] = {}
        picture = Image.fromarray(see_through())
        if mode in ("LA", "PA"):
            picture = picture.convert("LA") if mode == "LA" else picture.quantize(16).convert("PA")
        elif mode == "P":
            picture, options = picture.convert("RGB").quantize(16), {"transparency": 3}
        else:
            picture = picture.convert("RGB").convert(mode)
            shade: Any = picture.getpixel((5, 5))
            options = {"transparency": shade}
        if mode == "PA":
            picture = picture.convert("RGBA")  # no file of this mode can be written
        out = io.BytesIO()
        picture.save(out, "PNG", **options)
        original = decode_original(out.getvalue())
        with Image.open(io.BytesIO(out.getvalue())) as read:
            expected = np.asarray(read.convert("RGBA"))
        assert original.alpha is not None
        assert (expected[..., 3] < 255).any()
        found = pixels(encode_result(repainted(original), original, mask(), PNG)[0])
        assert np.array_equal(found[OUTSIDE], expected[OUTSIDE])

    def test_lossy_webp_keeps_the_alpha_itself_exactly(self) -> None:
        original = decode_original(file_of(see_through()))
        data, told = encode_result(repainted(original), original, mask(), WEBP)
        assert np.array_equal(pixels(data)[..., 3], see_through()[..., 3])
        assert told["outside_edit_mask"]["max_level_difference"] > 0

    def test_colours_that_nobody_sees_do_not_count_as_changed(self) -> None:
        """A lossy WebP keeps few of the colours under clear pixels; on any background its difference shows by the alpha."""
        original = decode_original(file_of(see_through()))
        data, told = encode_result(repainted(original), original, mask(), WEBP)
        moved = np.abs(pixels(data)[..., :3].astype(float) - colourful())[OUTSIDE]
        seen = moved * (see_through()[..., 3:] / 255.0)[OUTSIDE]
        assert told["outside_edit_mask"]["max_level_difference"] == pytest.approx(seen.max(), abs=1)
        assert told["outside_edit_mask"]["psnr_db"] == pytest.approx(10 * np.log10(255**2 / np.square(seen).mean()), abs=0.1)
        clear = np.dstack([np.asarray(see_through())[..., :3], np.zeros(SIZE[::-1], np.uint8)])
        clear[20:40, 20:40, 3] = 255
        opaque_inside = Image.new("L", SIZE)
        opaque_inside.paste(255, (20, 20, 40, 40))
        hidden = decode_original(file_of(clear))
        _, told = encode_result(hidden.photo, hidden, opaque_inside, WEBP)
        assert told["outside_edit_mask"] == {"max_level_difference": 0, "psnr_db": None}


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


class TestResolution:
    @pytest.mark.parametrize(("format", "wanted"), [("PNG", PNG), ("JPEG", JPEG), ("JPEG", PNG), ("PNG", JPEG)])
    def test_it_is_kept(self, format: str, wanted: Output) -> None:
        original = decode_original(file_of(colourful(), format, dpi=(300, 240)))
        data, told = encode_result(original.photo, original, mask(), wanted)
        with Image.open(io.BytesIO(data)) as picture:
            assert picture.info["dpi"] == pytest.approx((300, 240), abs=0.02)
        assert told["dpi"] == pytest.approx([300, 240], abs=0.02)

    def test_it_turns_with_the_photo(self) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        original = decode_original(file_of(colourful(), "JPEG", dpi=(300, 240), exif=exif))
        assert original.photo.size == SIZE[::-1]
        assert original.dpi == (240, 300)

    @pytest.mark.parametrize("dpi", [(0, 0), (1e-9, 300), (70_000, 300)])
    def test_one_that_makes_no_sense_is_left_out(self, dpi: tuple[float, float]) -> None:
        original = decode_original(file_of(colourful(), dpi=dpi))
        assert original.dpi is None
        data, told = encode_result(original.photo, original, mask(), JPEG)
        assert told["dpi"] is None
        with Image.open(io.BytesIO(data)) as picture:
            assert "dpi" not in picture.info


def test_the_photo_is_the_one_that_the_model_sees() -> None:
    """Whatever the file, turned or not."""
    exif = Image.Exif()
    exif[0x0112] = 8
    files = [
        file_of(colourful()),
        file_of(colourful(), "JPEG", exif=exif),
        file_of(see_through()),
        file_of(see_through(), exif=exif, icc_profile=DISPLAY_P3),
        file_of(colourful()[..., 0]),
        file_of(colourful()[..., 0].astype(np.uint16) * 257),
    ]
    for data in files:
        original, photo = decode_original(data), decode_photo(data)
        assert original.photo.mode == original.colours.mode == "RGB"
        assert np.array_equal(np.asarray(original.photo), np.asarray(photo))
        assert original.colours.size == photo.size
        assert original.alpha is None or original.alpha.size == photo.size
        assert original.photo.info == original.colours.info == {}


def test_a_result_of_another_size_or_mode_is_refused() -> None:
    original = decode_original(file_of(colourful()))
    for wrong in (Image.new("RGB", (8, 8)), Image.new("L", SIZE)):
        with pytest.raises(ValueError, match="expected an edit of the photo"):
            in_own_colours(wrong, original)


def test_it_loads_no_torch() -> None:
    code = "import s2edit_core.delivery.output, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("options", [{}, {"icc_profile": DISPLAY_P3}])
@pytest.mark.parametrize("wanted", [PNG, JPEG, Output("webp", 80)])
def test_a_watermark_is_still_read(options: dict[str, Any], wanted: Output) -> None:
    """It lies in the sRGB colours that `decode_photo` gives back."""
    large = np.tile(colourful(), (6, 6, 1))
    original = decode_original(file_of(large, **options))
    data, _ = encode_result(watermark.mark(original.photo), original, Image.new("L", original.photo.size, 255), wanted)
    assert watermark.read(decode_photo(data)).found
    assert not watermark.read(original.photo).found


@pytest.mark.parametrize("wanted", [PNG, Output("webp", 80)])
def test_a_watermark_is_read_in_a_cut_out(wanted: Output) -> None:
    """Only what is not transparent carries it, and the rest must not outvote that."""
    large = np.tile(colourful(), (9, 9, 1))
    alpha = np.zeros(large.shape[:2], np.uint8)
    alpha[: len(alpha) // 3] = 255
    original = decode_original(file_of(np.dstack([large, alpha])))
    data, _ = encode_result(watermark.mark(original.photo), original, Image.new("L", original.photo.size, 255), wanted)
    assert watermark.read(decode_photo(data)).found
    assert not watermark.read(original.photo).found
