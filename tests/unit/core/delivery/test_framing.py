"""The crop has the frame's aspect exactly, and is stretched only where the photo leaves no room."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2edit_core.delivery.framing import CONTEXT, extent, framed, holds


@st.composite
def photos_with_boxes(draw: st.DrawFn) -> tuple[tuple[int, int], tuple[int, int, int, int]]:
    width, height = draw(st.integers(40, 4000)), draw(st.integers(40, 4000))
    left, top = draw(st.integers(0, width - 2)), draw(st.integers(0, height - 2))
    return (width, height), (left, top, draw(st.integers(left + 1, width)), draw(st.integers(top + 1, height)))


@given(photos_with_boxes(), st.sampled_from([(128, 32), (512, 64), (512, 8), (64, 16)]))
@settings(max_examples=300, deadline=None)
def test_the_box_holds_what_must_be_seen_lies_in_the_photo_and_keeps_the_aspect(
    case: tuple[tuple[int, int], tuple[int, int, int, int]], model: tuple[int, int]
) -> None:
    size, held = case
    found = framed(held, size, frame_size=model[0], multiple=model[1])
    left, top, right, bottom = found.box
    assert 0 <= left < right <= size[0]
    assert 0 <= top < bottom <= size[1]
    assert holds(found.box, held)
    assert max(found.frame) == model[0]
    assert all(side % model[1] == 0 for side in found.frame)
    exact = Fraction(right - left, bottom - top) == Fraction(*found.frame)
    assert exact == (found.stretch == pytest.approx(1, abs=1e-12))
    if not exact:  # then no frame's aspect fits around what must be seen
        for short in range(model[1], model[0] + 1, model[1]):
            for across, down in ((model[0], short), (short, model[0])):
                ratio = Fraction(across, down)
                units = max(-(-(held[2] - held[0]) // ratio.numerator), -(-(held[3] - held[1]) // ratio.denominator))
                assert units * ratio.numerator > size[0] or units * ratio.denominator > size[1]


def test_a_person_amid_a_landscape_photo_is_seen_in_a_square_with_context() -> None:
    found = framed((1800, 900, 2200, 1500), (4000, 3000), frame_size=512, multiple=64)
    assert found.frame == (512, 512)
    left, top, right, bottom = found.box
    assert right - left == bottom - top == round(CONTEXT * 600)
    assert ((left + right) / 2, (top + bottom) / 2) == (2000, 1200)


@pytest.mark.parametrize("size", [(3024, 4032), (4032, 3024), (1080, 1920), (3000, 2000), (1170, 2532)])
def test_a_person_who_fills_a_phone_photo_is_not_stretched(size: tuple[int, int]) -> None:
    """Before, both sides were rounded to the model's multiple: faces were up to a ninth too wide."""
    held = (round(size[0] * 0.1), round(size[1] * 0.15), round(size[0] * 0.9), round(size[1] * 0.9))
    assert framed(held, size, frame_size=512, multiple=64).stretch == 1
    assert framed(held, size, frame_size=128, multiple=32).stretch == 1


def test_where_the_masks_reach_both_borders_the_frame_is_stretched_and_says_how_far() -> None:
    found = framed((0, 0, 1000, 950), (1000, 950), frame_size=128, multiple=32)
    assert found.box == (0, 0, 1000, 950)
    assert found.stretch == pytest.approx(0.95)


def test_a_crop_at_the_border_is_moved_before_it_is_cut() -> None:
    found = framed((90, 0, 100, 20), (100, 100), frame_size=64, multiple=16)
    left, top, right, bottom = found.box
    assert (top, right) == (0, 100)
    assert (right - left, bottom - top) == (32, 32)


def test_the_extent_is_left_top_right_bottom() -> None:
    inside = np.zeros((10, 20), dtype=bool)
    inside[2:5, 7:9] = True
    assert extent(inside) == (7, 2, 9, 5)
