"""Frames that reach beyond the photo, where its border pixels go on: close-ups, and photos that hold no square."""

from __future__ import annotations

import io
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.nn import functional as F

from s2edit_core.delivery.canvas import Canvas, make_canvas, to_image
from s2edit_core.delivery.difference import change_between
from s2edit_core.delivery.latent_colours import model_moments
from s2edit_core.delivery.preview import PreviewPainter
from s2edit_core.pictures.files import INSIDE
from s2edit_core.request.domains import Placement
from tests.unit.core.delivery.output.outputs import box_mask, photo_of

PLACEMENT = Placement(1.2, 1.3, 0.1, share=0.3, fullest=0.5, square=True)
FRAME = 64
LATENT_SCALE = 8


def framed(photo: Image.Image, mask: Image.Image, edit_mask: Image.Image | None = None) -> Canvas:
    return make_canvas(photo, mask, edit_mask, frame_size=FRAME, multiple=16, placement=PLACEMENT)


def drawn(seed: int) -> torch.Tensor:
    return torch.rand(3, FRAME, FRAME, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@st.composite
def cases(draw: st.DrawFn) -> Canvas:
    """Close-ups and long photos, with and without an edit mask."""
    width, height = draw(st.integers(40, 150)), draw(st.integers(40, 150))

    def mask(most: int) -> Image.Image:
        left, top = draw(st.integers(0, most)), draw(st.integers(1, most))
        return box_mask((width, height), (left, top, width - draw(st.integers(0, most)), height - draw(st.integers(0, most))))

    return framed(photo_of(width, height), mask(6), mask(18) if draw(st.booleans()) else None)


@given(cases(), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_outside_the_edit_mask_not_one_pixel_changes(canvas: Canvas, seed: int) -> None:
    assert canvas.seen != canvas.box
    assert canvas.stretch == 1
    change = change_between(canvas.source(), drawn(seed), canvas.source(), LATENT_SCALE)
    outside = np.asarray(canvas.edit_mask) < INSIDE
    for result in (canvas.paste(drawn(seed)), canvas.deliver(change)):
        assert result.size == canvas.photo.size
        assert np.array_equal(np.asarray(result)[outside], np.asarray(canvas.photo)[outside])
        assert not np.array_equal(np.asarray(result), np.asarray(canvas.photo))


def widened(which: Image.Image, canvas: Canvas) -> Image.Image:
    """A picture whose border pixels go on as far as the box reaches."""
    left, top, right, bottom = canvas.box
    width, height = which.size
    margins = [(max(0, -top), max(0, bottom - height)), (max(0, -left), max(0, right - width))]
    pixels = np.asarray(which)
    return Image.fromarray(np.pad(pixels, [*margins, (0, 0)] if pixels.ndim == 3 else margins, mode="edge"))


@given(cases(), st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_the_frame_and_the_result_are_those_of_a_photo_whose_border_pixels_go_on(canvas: Canvas, seed: int) -> None:
    left, top, right, bottom = canvas.box
    x, y = max(0, -left), max(0, -top)
    photo, edit_mask, person = (widened(each, canvas) for each in (canvas.photo, canvas.edit_mask, canvas.identity_mask))
    larger = Canvas(photo, edit_mask, person, (left + x, top + y, right + x, bottom + y), canvas.frame)
    assert larger.seen == larger.box
    assert torch.equal(canvas.source(), larger.source())
    soft = 0.4 * drawn(seed)  # so that the filter that enlarges does not overshoot
    pasted = larger.paste(soft).crop((x, y, x + canvas.photo.width, y + canvas.photo.height))
    apart = np.abs(np.asarray(canvas.paste(soft)).astype(int) - np.asarray(pasted))
    reach = 3 + 3 * (right - left) // FRAME  # of the filter that enlarges
    assert apart[reach:-reach, reach:-reach].max(initial=0) <= 2
    assert np.mean(apart) < 2  # at the border, the pixels of the frame beyond it have no part


def test_a_frame_of_a_very_tall_photo_takes_little_memory_and_shows_things_where_they_are() -> None:
    x, y = np.meshgrid(np.linspace(0, 1, 600), np.linspace(0, 20, 6000))
    photo = Image.fromarray(np.stack([200 * x, 100 + 100 * np.sin(y), 120 + 0 * x], axis=-1).astype(np.uint8))
    canvas = framed(photo, box_mask(photo.size, (50, 40, 550, 5960)))
    left, top, right, bottom = canvas.box
    assert right - left == bottom - top > 5900
    larger = Canvas(
        widened(photo, canvas),
        widened(photo.convert("L"), canvas),
        widened(canvas.identity_mask, canvas),
        (0, top, right - left, bottom),
        (64, 64),
    )
    tracemalloc.start()
    frame, mask = canvas.source(), canvas.mask(canvas.identity_mask)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10e6  # a tenth of the square
    assert (frame - larger.source()).abs().max() < 0.05
    assert (mask - larger.mask(larger.identity_mask)).abs().max() < 0.15


def test_a_mask_of_everything_does_not_say_how_large_the_subject_is() -> None:
    assert framed(photo_of(64, 64), Image.new("L", (64, 64), 255)).box == (0, 0, 64, 64)


def test_a_mask_is_black_beyond_the_photo_and_a_region_comes_back_where_it_was() -> None:
    canvas = framed(photo_of(64, 64), box_mask((64, 64), (0, 0, 64, 63)))
    assert canvas.box == pytest.approx((-26, -12, 91, 105), abs=1)
    inside = canvas.mask(canvas.identity_mask)
    assert float(inside[:, :10].max()) == 0
    assert float(inside[30, 32]) == 1
    cells = torch.zeros(8, 8)
    cells[2:5, 3:5] = 1
    region = canvas.region(cells)
    assert region.size == canvas.photo.size
    torch.testing.assert_close(F.avg_pool2d(canvas.mask(region)[None], 8)[0], cells, rtol=0, atol=0.3)


def test_a_change_that_lies_beyond_the_photo_alone_changes_nothing() -> None:
    canvas = framed(photo_of(64, 64), box_mask((64, 64), (0, 0, 64, 63)))
    edited = canvas.source()
    edited[:, :, :6] = 1
    result = canvas.deliver(change_between(canvas.source(), edited, canvas.source(), LATENT_SCALE))
    assert np.array_equal(np.asarray(result), np.asarray(canvas.photo))


def test_where_nothing_was_changed_the_photo_comes_back() -> None:
    canvas = framed(photo_of(70, 50), box_mask((70, 50), (1, 0, 69, 50)))
    same = canvas.deliver(change_between(canvas.source(), canvas.source(), canvas.source(), LATENT_SCALE))
    assert np.array_equal(np.asarray(same), np.asarray(canvas.photo))


def test_a_preview_shows_the_photo_and_what_is_drawn_in_it() -> None:
    def encode(frame: torch.Tensor) -> torch.Tensor:
        mixed = torch.einsum("oc,chw->ohw", torch.tensor([[1.0, 2, 0], [0, 1, -1], [2, 0, 1], [1, 1, 1]]), frame)
        return F.avg_pool2d(mixed[None], LATENT_SCALE)[0] + 0.3

    x, y = np.meshgrid(np.linspace(0, 1, 400), np.linspace(0, 1, 600))
    photo = Image.fromarray(np.stack([200 * x, 150 * y, 120 + 0 * x], axis=-1).astype(np.uint8))
    canvas = framed(photo, box_mask(photo.size, (4, 20, 396, 600)))
    assert canvas.seen != canvas.box
    before = encode(canvas.source())
    painter = PreviewPainter(canvas, model_moments(encode, LATENT_SCALE), before)

    def shown(latent: torch.Tensor) -> np.ndarray:
        return np.asarray(Image.open(io.BytesIO(painter.draw(latent))).convert("RGB"), dtype=np.float64)

    unchanged = shown(before)
    small = np.asarray(photo.resize(unchanged.shape[1::-1], Image.Resampling.BOX), dtype=np.float64)
    assert np.abs(unchanged - small).mean() < 3
    frame = np.asarray(to_image(canvas.source())).copy()
    frame[24:40, 24:40] = 255  # the middle of the frame
    bright = shown(encode(torch.from_numpy(frame).permute(2, 0, 1).float() / 127.5 - 1)) - unchanged
    rows, columns = np.nonzero(bright.mean(axis=2) > 60)
    left, top, right, _ = canvas.box
    scale = (right - left) / FRAME * unchanged.shape[1] / photo.width
    offset = (-left * unchanged.shape[1] / photo.width, -top * unchanged.shape[0] / photo.height)
    assert columns.mean() == pytest.approx(32 * scale - offset[0], abs=4)
    assert rows.mean() == pytest.approx(32 * scale - offset[1], abs=4)
