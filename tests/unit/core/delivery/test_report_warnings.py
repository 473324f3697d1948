"""Warnings in the report of an edit that changed nothing visible."""

from __future__ import annotations

import pytest
from PIL import Image, ImageOps

from s2edit_core.delivery.canvas import Canvas
from s2edit_core.delivery.report import OUTSIDE, SURROUNDINGS, UNCHANGED, VISIBLE, changes, mask_warnings, measures

SIZE = (64, 48)
PERSON, BESIDE = (0, 0, 32, 48), (40, 0, 64, 48)
PHOTO = Image.new("RGB", SIZE, (100, 100, 100))


def region(box: tuple[int, int, int, int]) -> Image.Image:
    mask = Image.new("L", SIZE)
    mask.paste(255, box)
    return mask


def edited(by: int, box: tuple[int, int, int, int]) -> Image.Image:
    result = PHOTO.copy()
    result.paste((100 + by, 100, 100), box)
    return result


@pytest.mark.parametrize(
    ("edit_mask", "by", "warnings"),
    [
        (BESIDE, 0, [OUTSIDE]),
        (BESIDE, VISIBLE + 1, None),  # the background is edited
        (PERSON, 0, [UNCHANGED]),
        (PERSON, VISIBLE, [UNCHANGED]),
        (PERSON, VISIBLE + 1, None),
    ],
)
def test_an_edit_that_changed_nothing_visible_says_so(
    edit_mask: tuple[int, int, int, int], by: int, warnings: list[str] | None
) -> None:
    canvas = Canvas(PHOTO, region(edit_mask), region(PERSON), (0, 0, *SIZE), SIZE)
    report = measures(canvas, PHOTO, edited(by, edit_mask))
    assert report.get("warnings") == warnings


def test_without_the_mask_of_the_person_the_reason_is_general() -> None:
    assert changes(PHOTO, PHOTO, PHOTO, region(BESIDE))["warnings"] == [UNCHANGED]


def test_an_inverted_mask_is_doubted_first() -> None:
    person = region((16, 12, 48, 48))
    canvas = Canvas(PHOTO, region(BESIDE), ImageOps.invert(person), (0, 0, *SIZE), SIZE)
    assert measures(canvas, PHOTO, PHOTO)["warnings"] == [SURROUNDINGS, UNCHANGED]
    assert mask_warnings(person) == []
