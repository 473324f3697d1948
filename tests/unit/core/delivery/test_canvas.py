"""Between the photo and the model's frame: crops, seams, and pixels that must not change."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from s2edit_core.delivery.canvas import make_canvas, to_image, to_tensor
from s2edit_core.delivery.difference import noise_level
from s2edit_core.delivery.report import changed_share, outside_change, psnr_db
from s2edit_core.delivery.resampling import Axis
from s2edit_core.delivery.seam import seam_opacity
from s2edit_core.pictures.files import INSIDE, grown
from tests.unit.core.delivery.output.outputs import box_mask, photo_of


@st.composite
def photos_with_masks(draw: st.DrawFn) -> tuple[Image.Image, Image.Image, Image.Image | None]:
    width, height = draw(st.integers(33, 150)), draw(st.integers(33, 150))

    def mask() -> Image.Image:
        left, top = draw(st.integers(0, width - 2)), draw(st.integers(0, height - 2))
        right, bottom = draw(st.integers(left + 1, width)), draw(st.integers(top + 1, height))
        return box_mask((width, height), (left, top, right, bottom))

    return photo_of(width, height), mask(), mask() if draw(st.booleans()) else None


@given(photos_with_masks())
@settings(max_examples=60, deadline=None)
def test_outside_the_edit_mask_not_one_pixel_changes(case: tuple[Image.Image, Image.Image, Image.Image | None]) -> None:
    photo, mask, edit_mask = case
    canvas = make_canvas(photo, mask, edit_mask, frame_size=64, multiple=16)
    edited = torch.rand(3, canvas.frame[1], canvas.frame[0]) * 2 - 1

    result = canvas.paste(edited)

    outside = np.asarray(canvas.edit_mask) < INSIDE
    assert result.size == photo.size
    assert np.array_equal(np.asarray(result)[outside], np.asarray(photo)[outside])
    left, top, right, bottom = canvas.box
    assert 0 <= left < right <= photo.width
    assert 0 <= top < bottom <= photo.height
    assert all(side % 16 == 0 and 16 <= side <= 64 for side in canvas.frame)
    held = np.asarray(canvas.edit_mask) >= INSIDE
    assert held[top:bottom, left:right].sum() == held.sum()


def test_deep_inside_the_edit_mask_the_edit_is_what_is_seen() -> None:
    photo = photo_of(64, 64)
    canvas = make_canvas(photo, box_mask((64, 64), (8, 8, 56, 56)), None, frame_size=64, multiple=8)
    assert canvas.box == (0, 0, 64, 64)

    result = canvas.paste(torch.ones(3, 64, 64))

    assert (np.asarray(result)[20:44, 20:44] == 255).all()


def test_pasting_what_was_there_changes_nothing() -> None:
    photo = photo_of(64, 64)
    canvas = make_canvas(photo, box_mask((64, 64), (8, 8, 56, 56)), None, frame_size=64, multiple=8)
    assert np.array_equal(np.asarray(canvas.paste(canvas.source())), np.asarray(photo))


def test_the_crop_does_not_depend_on_an_edit_mask_that_fits_into_it() -> None:
    photo, mask = photo_of(200, 200), box_mask((200, 200), (80, 80, 120, 120))
    alone = make_canvas(photo, mask, None, frame_size=64, multiple=8)
    small = make_canvas(photo, mask, box_mask((200, 200), (90, 90, 100, 100)), frame_size=64, multiple=8)
    far = make_canvas(photo, mask, box_mask((200, 200), (0, 0, 30, 30)), frame_size=64, multiple=8)
    assert alone.box == small.box
    assert far.box != alone.box
    assert far.box[:2] == (0, 0)


def test_the_frame_keeps_the_aspect_of_a_long_crop() -> None:
    photo = photo_of(60, 240)
    canvas = make_canvas(photo, box_mask((60, 240), (5, 5, 55, 235)), None, frame_size=128, multiple=32)
    assert canvas.box == (0, 0, 60, 240)
    assert canvas.frame == (32, 128)


def test_the_default_edit_mask_holds_the_identity_and_a_margin() -> None:
    mask = box_mask((100, 100), (40, 40, 60, 60))
    reach = np.asarray(grown(mask)) >= INSIDE
    assert reach[40:60, 40:60].all()
    assert reach[38, 50]
    assert not reach[30, 50]


def test_all_256_levels_survive_the_round_trip() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    picture = Image.fromarray(np.stack([levels, levels[::-1], levels.T], axis=2))
    assert np.array_equal(np.asarray(to_image(to_tensor(picture))), np.asarray(picture))


def test_the_report_sees_one_changed_pixel_outside_and_none_where_there_is_none() -> None:
    photo, mask = photo_of(32, 32), box_mask((32, 32), (8, 8, 24, 24))
    same = outside_change(photo, photo, mask)
    assert same == {"max_level_difference": 0, "psnr_db": None}
    pixels = np.asarray(photo).copy()
    pixels[0, 0, 0] = 255 - pixels[0, 0, 0]
    changed = outside_change(photo, Image.fromarray(pixels), mask)
    assert changed["max_level_difference"] == abs(255 - 2 * int(np.asarray(photo)[0, 0, 0]))
    assert changed_share(photo, Image.fromarray(pixels), mask) == 0


def test_psnr_is_the_textbook_value() -> None:
    a, b = np.zeros(4, dtype=np.uint8), np.full(4, 255, dtype=np.uint8)
    assert psnr_db(a, b) == pytest.approx(0.0)
    assert psnr_db(np.array([0], dtype=np.uint8), np.array([1], dtype=np.uint8)) == pytest.approx(48.131, abs=1e-3)


@pytest.mark.parametrize("thickness", [1, 2, 4, 9, 20, 60])
def test_the_middle_of_a_thin_edit_mask_is_wholly_edited(thickness: int) -> None:
    """On a large photo the seam would be wider than a stripe is thick."""
    photo = Image.new("RGB", (800, 800), (200, 200, 200))
    identity = Image.new("L", photo.size)
    identity.paste(255, (100, 100, 700, 700))
    stripe = Image.new("L", photo.size)
    stripe.paste(255, (200, 400, 600, 400 + thickness))
    canvas = make_canvas(photo, identity, stripe, frame_size=128, multiple=8)
    answer = np.asarray(canvas.paste(torch.full((3, 128, 128), -1.0)))
    assert answer[400 + thickness // 2, 400].max() == 0  # nothing of the photo's 200
    outside = np.asarray(stripe) == 0
    assert (answer[outside] == 200).all()


def test_the_seam_is_as_wide_as_asked_where_the_mask_is_thick_and_narrower_where_it_is_thin() -> None:
    """A disc with a strand hanging off it: the temples of glasses, or a lock of hair."""
    y, x = np.mgrid[0:400, 0:400]
    disc = (y - 150) ** 2 + (x - 200) ** 2 <= 100**2
    strand = (y >= 150) & (y < 390) & (x >= 197) & (x < 204)
    opacity = seam_opacity(disc | strand, 20)
    assert (opacity[~(disc | strand)] == 0).all()
    assert opacity[140:160, 190:210].min() == 1
    rim = opacity[150, 100:125]  # from the disc's edge inwards
    assert rim[0] < 0.1
    assert (np.diff(rim) >= 0).all()
    assert rim[-1] == 1
    assert (opacity[300:370, 200] == 1).all(), "the strand's middle"
    assert (opacity[300:370, 197] < 0.5).all(), "and its edge"


def test_a_ragged_edge_has_the_seam_of_a_smooth_one() -> None:
    inside = np.zeros((120, 120), dtype=bool)
    inside[30:90, 30:90] = True
    inside[29, 30:90:4] = True  # single pixels that stick out
    opacity = seam_opacity(inside, 10)
    assert opacity[29].max() < 0.1
    assert opacity[60, 60] == 1


def test_a_mask_that_reaches_the_border_has_no_seam_there() -> None:
    photo = photo_of(64, 64)
    canvas = make_canvas(photo, box_mask((64, 64), (0, 0, 64, 40)), box_mask((64, 64), (0, 0, 64, 40)), frame_size=64, multiple=8)
    answer = np.asarray(canvas.paste(torch.ones(3, canvas.frame[1], canvas.frame[0])))
    assert (answer[:30] == 255).all()
    assert np.array_equal(answer[40:], np.asarray(photo)[40:])


@given(st.integers(2, 40), st.integers(2, 200))
@settings(max_examples=60, deadline=None)
def test_resampling_keeps_constants_and_slopes_and_agrees_with_itself_in_parts(samples: int, length: int) -> None:
    axis = Axis.of(samples, length)
    assert torch.allclose(axis.along(torch.ones(1, samples), 1), torch.ones(1, length), atol=1e-5)
    ramp = (torch.arange(samples) + 0.5)[None] / samples
    out = axis.along(ramp, 1)[0]
    expected = (torch.arange(length) + 0.5) / length
    margin = (2 * max(1.0, samples / length) + 0.5) / samples  # there the last sample goes on
    middle = (expected > margin) & (expected < 1 - margin)
    near = 1e-4 if length >= samples else 0.2 / samples  # a widened kernel samples its own curve
    assert torch.allclose(out[middle], expected[middle], atol=near)
    half = length // 2
    parts = torch.cat([axis.along(ramp, 1, 0, half), axis.along(ramp, 1, half)], dim=1)[0]
    assert torch.allclose(parts, out, atol=1e-6)  # other blocks, which round differently


@pytest.mark.parametrize("sigma", [0.5, 2.0, 8.0])
def test_the_noise_of_a_photo_is_measured_beside_its_texture(sigma: float) -> None:
    rng = np.random.default_rng(7)
    pixels = np.full((512, 512), 128.0)
    pixels[:, 200:] += 60 * np.sin(np.arange(312) * 1.7)  # cloth
    noisy = pixels + rng.normal(0, sigma, pixels.shape)
    assert noise_level(torch.from_numpy(noisy).float().expand(3, -1, -1)) == pytest.approx(sigma, rel=0.2)


@pytest.mark.parametrize("box", [(0, 256, 512, 257), (40, 40, 48, 48), (100, 100, 101, 500)])
def test_the_default_edit_mask_holds_the_whole_mask_also_where_it_is_thin(box: tuple[int, int, int, int]) -> None:
    mask = Image.new("L", (512, 512))
    mask.paste(255, (150, 120, 400, 512))
    mask.paste(255, box)
    assert (np.asarray(grown(mask))[np.asarray(mask) > 0] == 255).all()
    thin = Image.new("L", (512, 512))
    thin.paste(255, box)
    assert (np.asarray(grown(thin))[np.asarray(thin) > 0] == 255).all()
