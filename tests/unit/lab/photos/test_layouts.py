"""Photos in which a person is a part, or fills them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from lab.measures.metrics import psnr
from lab.photos.editing import EDITS
from lab.photos.layouts import CLOSE_UPS, LAYOUTS, SCALE, composed, seen_part, shown
from lab.photos.people import unseen
from lab.quality.worlds.edits import Case


@pytest.fixture(scope="module")
def case() -> Case:
    return next(iter(unseen(1, EDITS)))


@pytest.mark.parametrize("layout", [*LAYOUTS, *CLOSE_UPS])
def test_the_photo_shows_the_portrait_in_its_box_and_the_mask_marks_the_person(case: Case, layout: str) -> None:
    photo, mask, box = composed(case, 0, layout)
    portrait = case.photo.picture
    assert mask.size == photo.size
    back = shown(photo, portrait, box)
    assert psnr(np.asarray(back), np.asarray(portrait)) > 35
    marked = shown(mask.convert("RGB"), Image.new("RGB", portrait.size), box)
    part = seen_part(photo.size, box, portrait.size)
    found, true = (np.asarray(each.convert("L").crop(part)) >= 128 for each in (marked, case.photo.mask))
    assert (found & true).sum() / (found | true).sum() > 0.97


@pytest.mark.parametrize(("layout", "aspect"), [("close-up", 1), ("tall close-up", 4 / 3)])
def test_a_close_up_is_the_part_of_the_portrait_around_the_head(case: Case, layout: str, aspect: float) -> None:
    photo, mask, box = composed(case, 0, layout)
    side = SCALE * case.photo.picture.width
    assert photo.height / photo.width == pytest.approx(aspect, abs=0.02)
    assert (box[2] - box[0], box[3] - box[1]) == (side, side)
    left, top, right, bottom = seen_part(photo.size, box, case.photo.picture.size)
    assert (right - left, bottom - top) == (photo.width // SCALE, photo.height // SCALE)
    inside = np.asarray(mask) >= 128
    assert np.flatnonzero(inside.any(axis=1))[0] <= photo.height / 32
    columns = np.flatnonzero(inside[photo.height // 4])
    assert abs((columns[0] + columns[-1]) / 2 - photo.width / 2) < photo.width / 6


def test_what_a_delivered_close_up_does_not_show_stays_as_in_the_portrait(case: Case) -> None:
    photo, _, box = composed(case, 0, "close-up")
    red = shown(Image.new("RGB", photo.size, "red"), case.photo.picture, box)
    left, top, right, bottom = seen_part(photo.size, box, red.size)
    pixels, before = np.asarray(red), np.asarray(case.photo.picture)
    inside = pixels[top + 4 : bottom - 4, left + 4 : right - 4].astype(int)
    assert np.abs(inside - (255, 0, 0)).max() <= 4
    outside = np.ones(pixels.shape[:2], dtype=bool)
    outside[max(0, top - 4) : bottom + 4, max(0, left - 4) : right + 4] = False
    assert np.abs(pixels[outside].astype(int) - before[outside]).mean() < 3
