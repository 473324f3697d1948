"""What is delivered is as transparent as the photo was."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from s2edit_core.delivery.output import Output, encode_result, flattened
from s2edit_core.pictures.files import decode_original, decode_photo
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


@pytest.mark.parametrize("transparent", [False, True])
def test_an_animated_webp_has_an_alpha_only_where_it_shows(transparent: bool) -> None:
    """A later frame leaves out what did not change, so the file has an alpha even where every picture is opaque."""
    first = Image.fromarray(see_through() if transparent else see_through()[..., :3])
    second = first.copy()
    for corner in ((1, 1, 3, 3), (SIZE[0] - 3, SIZE[1] - 3, SIZE[0] - 1, SIZE[1] - 1)):
        second.paste((1, 2, 3), corner)
    buffer = io.BytesIO()
    first.save(buffer, "WEBP", lossless=True, save_all=True, append_images=[second])
    with Image.open(io.BytesIO(buffer.getvalue())) as opened:
        assert (opened.mode, getattr(opened, "n_frames", 1)) == ("RGBA", 2)
    original = decode_original(buffer.getvalue())
    data, told = encode_result(repainted(original), original, mask(), PNG)
    assert told["alpha"] == ("kept" if transparent else None)
    assert pixels(data).shape[-1] == (4 if transparent else 3)
