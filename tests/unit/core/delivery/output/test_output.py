"""What is delivered: the format and resolution that was asked for, and a photo like the one the model sees."""

from __future__ import annotations

import io
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from PIL import Image

from s2edit_core.delivery import watermark
from s2edit_core.delivery.output import Output, encode_result, format_of, in_own_colours
from s2edit_core.errors import OptionInvalid
from s2edit_core.pictures.files import decode_original, decode_photo
from s2edit_core.pictures.metadata import without_metadata
from s2edit_core.request.spec import EditRequest
from tests.unit.core.delivery.output.outputs import (
    EXACT,
    JPEG,
    OUTSIDE,
    PNG,
    SIZE,
    WEBP,
    colourful,
    file_of,
    mask,
    pixels,
    repainted,
    see_through,
)
from tests.unit.core.delivery.output.profiles import DISPLAY_P3


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

    @pytest.mark.parametrize("orientation", [1, 6])
    @pytest.mark.parametrize("has_jfif", [True, False])
    @pytest.mark.parametrize("is_bare", [True, False])
    def test_that_of_exif_data_alone_is_left_out_and_none_is_invented(
        self, orientation: int, has_jfif: bool, is_bare: bool
    ) -> None:
        exif = Image.Exif()
        exif.update({0x0112: orientation, 0x011A: 300.0, 0x011B: 300.0, 0x0128: 2})
        data = file_of(colourful(), "JPEG", exif=exif)
        assert data[2:4] == b"\xff\xe0"
        data = data if has_jfif else data[:2] + data[20:]
        assert decode_original(without_metadata(data, orientation) if is_bare else data).dpi is None

    def test_one_per_centimetre_is_kept(self) -> None:
        data = file_of(colourful(), "JPEG", dpi=(100, 100))
        original = decode_original(data[:13] + b"\2" + data[14:])
        assert original.dpi == pytest.approx((254, 254))

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
