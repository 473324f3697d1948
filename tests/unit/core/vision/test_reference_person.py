"""Who shows an attribute in a reference photo."""

from __future__ import annotations

import numpy as np
from PIL import Image

from s2edit_core.errors import MaskInvalid
from s2edit_core.vision.reference_person import person_around
from s2edit_core.vision.segmenters import FoundMask

PHOTO = Image.new("RGB", (60, 40))


def box(left: int, top: int, right: int, bottom: int) -> Image.Image:
    mask = Image.new("L", PHOTO.size)
    mask.paste(255, (left, top, right, bottom))
    return mask


class Finder:
    """Finds one person, and remembers what it was asked."""

    def __init__(self, person: Image.Image | None) -> None:
        self.person = person
        self.asked: list[tuple[str, tuple[int, int] | None]] = []

    def __call__(self, photo: Image.Image, *, prompt: str, at: tuple[int, int] | None) -> FoundMask:
        assert photo is PHOTO
        self.asked.append((prompt, at))
        if self.person is None:
            raise MaskInvalid("nobody", field="mask", reason="mask_not_found")
        return FoundMask(self.person, 0.9, 3, "test")


def test_the_person_in_the_middle_of_the_region_is_found_and_the_region_belongs_to_the_mask() -> None:
    finder, region = Finder(box(20, 10, 40, 40)), box(16, 4, 44, 14)  # a hat that is wider than the head
    found = person_around(PHOTO, region, "a woman with hat", finder)
    assert finder.asked == [("a woman with hat", (29, 8))]
    assert found is not None
    assert found.facts() == {"segmenter": "test", "confidence": 0.9, "people": 3}
    inside = np.asarray(found.mask) > 0
    assert np.array_equal(inside, (np.asarray(finder.person) > 0) | (np.asarray(region) > 0))


def test_a_region_of_parts_is_looked_for_between_them() -> None:
    finder, lids = Finder(box(20, 10, 40, 40)), box(22, 14, 26, 16)
    lids.paste(255, (34, 14, 38, 16))
    lids.paste(90, (0, 0, 10, 10))  # outside, as in any mask
    assert person_around(PHOTO, lids, "a woman", finder) is not None
    assert finder.asked == [("a woman", (29, 14))]


def test_where_nobody_is_found_there_is_no_person() -> None:
    assert person_around(PHOTO, box(16, 4, 44, 14), "a church with scaffolding", Finder(None)) is None
