"""The crop has the frame's aspect exactly. Only where the photo leaves no room, it is stretched, or reaches beyond the photo."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2edit_core.delivery.framing import extent, framed, holds, union, whole_extent
from s2edit_core.request.domains import Placement


@st.composite
def photos_with_boxes(draw: st.DrawFn) -> tuple[tuple[int, int], tuple[int, int, int, int]]:
    width, height = draw(st.integers(40, 4000)), draw(st.integers(40, 4000))
    left, top = draw(st.integers(0, width - 2)), draw(st.integers(0, height - 2))
    return (width, height), (left, top, draw(st.integers(left + 1, width)), draw(st.integers(top + 1, height)))


SQUARE = Placement(1.2, 1.3, 0.3, share=0.3, fullest=0.5, square=True)
PLACEMENTS = (Placement(), Placement(1.4, 1.6, 0.1), SQUARE)


@given(
    photos_with_boxes(),
    photos_with_boxes(),
    st.sampled_from([(128, 32), (512, 64), (512, 8), (64, 16)]),
    st.sampled_from(PLACEMENTS),
)
@settings(max_examples=300, deadline=None)
def test_the_box_holds_what_must_be_seen_lies_in_the_photo_and_keeps_the_aspect(
    case: tuple[tuple[int, int], tuple[int, int, int, int]],
    other: tuple[tuple[int, int], tuple[int, int, int, int]],
    model: tuple[int, int],
    placement: Placement,
) -> None:
    size, subject = case
    required = tuple(min(each, limit) for each, limit in zip(other[1], (size[0] - 1, size[1] - 1, *size), strict=True))
    held = union(subject, required)  # type: ignore[arg-type]
    found = framed(subject, size, frame_size=model[0], multiple=model[1], placement=placement, required=required)  # type: ignore[arg-type]
    left, top, right, bottom = found.box
    assert holds(found.box, held)
    if placement.square:
        assert right - left == bottom - top
        assert found.stretch == 1
        for low, high, limit in ((left, right, size[0]), (top, bottom, size[1])):
            assert (0 <= low < high <= limit) if high - low <= limit else (low <= 0 < limit <= high)
    else:
        assert 0 <= left < right <= size[0]
        assert 0 <= top < bottom <= size[1]
    assert max(found.frame) == model[0]
    assert all(side % model[1] == 0 for side in found.frame)
    assert found.frame[0] == found.frame[1] or not placement.square
    exact = Fraction(right - left, bottom - top) == Fraction(*found.frame)
    assert exact == (found.stretch == pytest.approx(1, abs=1e-12))
    if not exact:  # then no frame's aspect fits around what must be seen
        for short in range(model[1], model[0] + 1, model[1]):
            for across, down in ((model[0], short), (short, model[0])):
                ratio = Fraction(across, down)
                units = max(-(-(held[2] - held[0]) // ratio.numerator), -(-(held[3] - held[1]) // ratio.denominator))
                assert units * ratio.numerator > size[0] or units * ratio.denominator > size[1]


def test_a_person_amid_a_landscape_photo_lies_where_the_training_pictures_show_people() -> None:
    found = framed((1800, 900, 2200, 1500), (4000, 3000), frame_size=512, multiple=64, placement=Placement(1.5, 1.6, 0.1))
    assert found.frame == (512, 512)
    left, top, right, bottom = found.box
    assert right - left == bottom - top == 900
    assert ((2000 - left) / 900, (900 - top) / 900) == pytest.approx((0.5, 0.1))


@pytest.mark.parametrize(("side", "seen"), [(540, 540), (630, 630), (650, 570)])
def test_a_photo_that_is_framed_like_the_training_pictures_is_seen_whole(side: int, seen: int) -> None:
    placement = Placement(1.425, 1.6)
    found = framed((50, 60, 350, 460), (side, side), frame_size=128, multiple=32, placement=placement)
    assert found.box[2] - found.box[0] == found.box[3] - found.box[1] == seen


@pytest.mark.parametrize("size", [(1024, 512), (512, 1024), (910, 512), (1600, 700)])
@pytest.mark.parametrize("at", [0.0, 0.5, 1.0])
def test_a_person_anywhere_in_a_wide_or_tall_photo_is_seen_in_a_square(size: tuple[int, int], at: float) -> None:
    """Before, the frame took the aspect of what the photo's border left of the context: the model had never seen such frames."""
    left, top = round(at * (size[0] - 400)), round(at * (size[1] - 450))
    found = framed((left, top, left + 400, top + 450), size, frame_size=128, multiple=32, placement=Placement())
    assert found.frame == (128, 128)
    assert found.stretch == 1


@pytest.mark.parametrize("size", [(3024, 4032), (4032, 3024), (1080, 1920), (3000, 2000), (1170, 2532)])
def test_a_person_who_fills_a_phone_photo_is_not_stretched(size: tuple[int, int]) -> None:
    """Before, both sides were rounded to the model's multiple: faces were up to a ninth too wide."""
    held = (round(size[0] * 0.1), round(size[1] * 0.15), round(size[0] * 0.9), round(size[1] * 0.9))
    assert framed(held, size, frame_size=512, multiple=64, placement=Placement()).stretch == 1
    assert framed(held, size, frame_size=128, multiple=32, placement=Placement()).stretch == 1


def test_the_frame_closest_to_a_square_holds_what_no_square_can() -> None:
    found = framed((100, 0, 700, 400), (1000, 400), frame_size=512, multiple=64, placement=Placement())
    assert found.frame == (512, 320)
    assert found.stretch == 1


def test_for_a_model_of_squares_the_box_reaches_beyond_a_photo_that_holds_no_square_with_all_of_a_person() -> None:
    """Before, the person was stretched: a standing person on a phone photo by half."""
    found = framed((200, 100, 700, 1500), (900, 1600), frame_size=128, multiple=32, placement=Placement(1.0, 1.0, square=True))
    assert found.frame == (128, 128)
    assert found.box == (-250, 100, 1150, 1500)
    assert found.stretch == 1


@pytest.mark.parametrize(
    ("subject", "share_of_box", "box"),
    [
        ((40, 100, 360, 400), 0.7, (0, 0, 400, 400)),  # 42 % of the photo
        ((0, 20, 400, 400), 0.8, (-104, -132, 503, 475)),
        ((0, 20, 400, 400), 0.6, (0, 0, 400, 400)),  # a broad outline that covers little
    ],
)
def test_a_close_up_is_shown_as_small_as_the_training_pictures_show_people(
    subject: tuple[int, int, int, int], share_of_box: float, box: tuple[int, int, int, int]
) -> None:
    placement = Placement(1.2, 1.3, 0.25, share=0.33, fullest=0.6, square=True)
    covered = round(share_of_box * (subject[2] - subject[0]) * (subject[3] - subject[1]))
    found = framed(subject, (400, 400), frame_size=128, multiple=32, placement=placement, covered=covered)
    assert found.box == pytest.approx(box, abs=1)
    assert found.stretch == 1


@pytest.mark.parametrize(("left", "box"), [(0, (-80, 0, 320, 400)), (350, (250, 0, 650, 400)), (700, (580, 0, 980, 400))])
def test_a_person_at_the_side_of_a_photo_is_near_the_middle_of_the_frame(left: int, box: tuple[int, int, int, int]) -> None:
    """Before, the frame ended with the photo: a person at its side was drawn a second time, in the middle."""
    placement = Placement(1.2, 1.3, 0.1, aside=0.05, square=True)
    found = framed((left, 40, left + 200, 373), (900, 600), frame_size=128, multiple=32, placement=placement)
    assert found.box == box


def test_what_must_be_seen_too_comes_before_the_middle() -> None:
    placement = Placement(1.0, 1.0, aside=0.05, square=True)
    found = framed((0, 100, 100, 300), (900, 600), frame_size=128, multiple=32, placement=placement, required=(0, 100, 190, 300))
    assert found.box[0] <= 0
    assert found.box[2] >= 190


def test_a_close_up_in_a_wide_photo_is_amid_its_own_surroundings() -> None:
    placement = Placement(1.2, 1.3, 0.25, share=0.3, fullest=0.5, square=True)
    found = framed((300, 10, 700, 400), (1000, 400), frame_size=128, multiple=32, placement=placement, covered=120_000)
    left, top, right, bottom = found.box
    assert right - left == bottom - top == 632
    assert 0 < left < right < 1000
    assert top < 0
    assert bottom > 400


def test_where_the_masks_reach_both_borders_the_frame_is_stretched_and_says_how_far() -> None:
    found = framed((0, 0, 1000, 950), (1000, 950), frame_size=128, multiple=32, placement=Placement())
    assert found.box == (0, 0, 1000, 950)
    assert found.stretch == pytest.approx(0.95)


def test_a_crop_at_the_border_is_moved_before_it_is_cut() -> None:
    found = framed((90, 0, 100, 20), (100, 100), frame_size=64, multiple=16, placement=Placement(1.6, 1.6))
    left, top, right, bottom = found.box
    assert (top, right) == (0, 100)
    assert (right - left, bottom - top) == (32, 32)


def test_what_else_must_be_seen_widens_the_box_and_moves_it() -> None:
    found = framed(
        (400, 400, 500, 500), (1000, 1000), frame_size=64, multiple=16, placement=Placement(1.5, 1.5), required=(450, 100, 460, 480)
    )
    left, top, right, bottom = found.box
    assert (right - left, bottom - top) == (400, 400)
    assert top == 100
    assert (left + right) / 2 == 450


def test_a_person_whom_the_side_of_the_photo_cuts_is_thought_to_go_on_beyond_it() -> None:
    inside = np.zeros((100, 90), dtype=bool)
    inside[20:60, 70:] = True  # a head
    inside[20:24, 80:] = True
    inside[20:24, :80] = False
    assert whole_extent(inside) == (70, 20, 100, 60)
    assert whole_extent(inside[:, ::-1]) == (-10, 20, 20, 60)
    both = inside | inside[:, ::-1]
    assert whole_extent(both) == extent(both) == (0, 20, 90, 60)
    amid = np.roll(inside, -5, axis=1)
    assert whole_extent(amid) == extent(amid)


def test_the_extent_is_left_top_right_bottom() -> None:
    inside = np.zeros((10, 20), dtype=bool)
    inside[2:5, 7:9] = True
    assert extent(inside) == (7, 2, 9, 5)
