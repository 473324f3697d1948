"""One person out of a probability map."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from s2edit_core.errors import MaskInvalid, OptionInvalid
from s2edit_core.vision.people import _dilated, choose_person


def plane(*boxes: tuple[int, int, int, int], size: tuple[int, int] = (80, 60), inside: float = 0.9) -> NDArray[np.float32]:
    probability = np.full((size[1], size[0]), 0.05, dtype=np.float32)
    for left, top, right, bottom in boxes:
        probability[top:bottom, left:right] = inside
    return probability


ALICE, BOB, SPECK = (5, 10, 35, 50), (45, 20, 65, 50), (70, 4, 74, 8)


def test_the_largest_person_is_chosen_and_the_others_are_counted() -> None:
    mask, confidence, people = choose_person(plane(ALICE, BOB, SPECK), (80, 60))
    assert (mask.mode, mask.size, mask.getbbox(), people) == ("L", (80, 60), ALICE, 2)
    assert set(np.unique(np.asarray(mask))) == {0, 255}
    assert confidence == pytest.approx(0.9, abs=1 / 255)


@pytest.mark.parametrize(("at", "who"), [((50, 30), BOB), ((10, 12), ALICE), ((66, 30), BOB), ((36, 11), ALICE)])
def test_a_point_chooses_the_person_there_or_beside_it(at: tuple[int, int], who: tuple[int, int, int, int]) -> None:
    mask, _, people = choose_person(plane(ALICE, BOB), (80, 60), at)
    assert mask.getbbox() == who
    assert people == 2


def test_a_small_map_makes_a_smooth_mask_of_a_large_photo() -> None:
    mask, _, people = choose_person(plane(ALICE, BOB), (4000, 3000), (2600, 1700))
    left, top, right, bottom = mask.getbbox() or (0, 0, 0, 0)
    assert people == 2
    for found, true in zip((left, top, right, bottom), (45 * 50, 20 * 50, 65 * 50, 50 * 50), strict=True):
        assert abs(found - true) <= 50
    assert np.asarray(mask)[2000, 2500] == 255


def test_a_person_who_nearly_touches_another_is_left_out() -> None:
    mask, _, _ = choose_person(plane((5, 10, 35, 50), (36, 10, 56, 50)), (80, 60))
    assert mask.getbbox() == (5, 10, 35, 50)


@pytest.mark.parametrize(("boxes", "at"), [((), None), (((*SPECK[:2], 72, 6),), None), ((ALICE, BOB), (78, 58))])
def test_nobody_is_said_to_be_nobody(boxes: tuple[tuple[int, int, int, int], ...], at: tuple[int, int] | None) -> None:
    with pytest.raises(MaskInvalid, match="nobody was found") as refused:
        choose_person(plane(*boxes), (80, 60), at)
    assert (refused.value.field, refused.value.reason) == ("mask", "mask_not_found")


@pytest.mark.parametrize("at", [(-1, 0), (0, -1), (80, 0), (0, 60)])
def test_a_point_outside_the_photo_is_refused(at: tuple[int, int]) -> None:
    with pytest.raises(OptionInvalid, match="outside the photo, which is 80 × 60"):
        choose_person(plane(ALICE), (80, 60), at)


@pytest.mark.parametrize("reach", [1, 2, 7, 60])
def test_cells_near_a_mask_are_those_of_a_square_filter(reach: int) -> None:
    inside = np.random.default_rng(reach).random((48, 31)) > 0.99
    inside[0, 0] = inside[-1, -1] = True
    filtered = Image.fromarray(inside.astype(np.uint8)).filter(ImageFilter.MaxFilter(2 * reach + 1))
    assert np.array_equal(_dilated(inside, reach), np.asarray(filtered) > 0)
