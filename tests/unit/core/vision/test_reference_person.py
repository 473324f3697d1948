"""Who shows an attribute in a reference photo."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from s2edit_core.errors import MaskInvalid
from s2edit_core.request.domains import Domain
from s2edit_core.vision.reference_person import BESIDE, NOBODY, Shown, shown_by
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


PEOPLE = Domain(("woman",), ("hat",), closed_vocabulary=True)
CHURCHES = Domain(("church",), ("scaffolding",), scene=True)


def shown(region: Image.Image, finder: Finder, prompt: str = "a woman with hat", words: str = "hat") -> Shown:
    return shown_by(PHOTO, region, prompt, words, (PEOPLE, CHURCHES), finder)


def test_the_person_in_the_middle_of_the_region_is_found_and_the_region_belongs_to_the_mask() -> None:
    finder, region = Finder(box(20, 10, 40, 40)), box(16, 4, 44, 14)  # a hat that is wider than the head
    found = shown(region, finder)
    assert finder.asked == [("a woman with hat", (29, 8))]
    assert found.mask is not None
    on_person = round(20 * 4 / (28 * 10), 3)
    assert found.facts == {"person": {"segmenter": "test", "confidence": 0.9, "people": 3, "region_on_person": on_person}}
    assert found.warnings == []
    inside = np.asarray(found.mask) > 0
    assert np.array_equal(inside, (np.asarray(finder.person) > 0) | (np.asarray(region) > 0))


def test_a_region_of_parts_is_looked_for_between_them() -> None:
    finder, lids = Finder(box(20, 10, 40, 40)), box(22, 14, 26, 16)
    lids.paste(255, (34, 14, 38, 16))
    lids.paste(90, (0, 0, 10, 10))  # outside, as in any mask
    assert shown(lids, finder).facts["person"]["region_on_person"] == 1
    assert finder.asked == [("a woman with hat", (29, 14))]


def test_where_nobody_is_found_there_is_no_person() -> None:
    found = shown(box(16, 4, 44, 14), Finder(None))
    assert (found.mask, found.warnings, found.facts) == (None, [NOBODY], {"warnings": [NOBODY]})


@pytest.mark.parametrize(("left", "warnings"), [(0, [BESIDE]), (5, [])])
def test_a_region_beside_the_person_is_warned_of(left: int, warnings: list[str]) -> None:
    found = shown(box(left, 0, left + 20, 40), Finder(box(20, 10, 40, 40)))
    assert found.warnings == found.facts.get("warnings", []) == warnings


@pytest.mark.parametrize("person", [None, box(20, 10, 40, 40)])
def test_weather_lies_beside_a_church(person: Image.Image | None) -> None:
    assert shown(box(0, 0, 10, 40), Finder(person), "a church with scaffolding", "scaffolding").warnings == []


def test_a_word_that_the_model_does_not_know_is_warned_of() -> None:
    (warning,) = shown(box(22, 14, 26, 16), Finder(box(20, 10, 40, 40)), "a woman on a beach with hatt", "hatt").warnings
    assert "\u201chatt\u201d" in warning
    assert "beach" not in warning, "only the words for what is learned matter"
