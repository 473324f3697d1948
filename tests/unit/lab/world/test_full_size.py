"""Photographs at full size: exact masks, fine texture, and true answers that differ only where the edit does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from lab.world import full_size
from lab.world.domain import Subject
from lab.world.full_size import drawing, photograph, textures
from lab.world.person import DOMAIN, portrait
from lab.world.person.identity import Attributes

DRAWN, SIZE = 128, 432
PERSON = replace(DOMAIN.sample(3), attributes=Attributes(hair_length="long", hair_colour="blond"))


@pytest.fixture(autouse=True)
def drawn_small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Draw at 128 pixels. The photograph is as many times larger as one of 12 megapixels is."""
    monkeypatch.setattr(full_size, "DRAWN_AT", DRAWN)
    yield
    drawing.cache_clear()


def levels(picture: Image.Image) -> NDArray[np.int16]:
    return np.asarray(picture).astype(np.int16)


def test_a_photograph_is_that_of_its_seed() -> None:
    found = []
    for seed in (1, 1, 2):
        drawing.cache_clear()
        textures.cache_clear()
        found.append(photograph(PERSON, SIZE, seed).picture)
    one, again, other = found
    assert (one.mode, one.size) == ("RGB", (SIZE, SIZE))
    assert one.tobytes() == again.tobytes()
    assert (levels(one) != levels(other)).mean() > 0.5


@pytest.mark.parametrize("seed", range(3))
def test_at_the_size_of_the_drawing_masks_are_those_of_the_domain(seed: int) -> None:
    subject = DOMAIN.sample(seed)
    shot = photograph(subject, DRAWN)
    assert np.abs(levels(shot.mask) - levels(DOMAIN.mask(subject))).max() <= 1
    assert (levels(shot.person) >= levels(shot.mask) - 1).all()


@pytest.mark.parametrize("seed", range(3))
def test_it_shows_the_person_of_the_domain_and_the_mask_fits(seed: int) -> None:
    subject = DOMAIN.sample(seed)
    shot = photograph(subject, SIZE, seed)
    small = (DRAWN, DRAWN)
    assert np.abs(levels(shot.picture.resize(small)) - levels(DOMAIN.render(subject))).mean() < 4
    assert np.abs(levels(shot.mask.resize(small, Image.Resampling.BOX)) - levels(DOMAIN.mask(subject))).mean() < 3


@pytest.mark.parametrize("change", [{"hair_colour": "red"}, {"glasses": True}, {"expression": "smiling"}, {"hat": True}])
def test_a_true_answer_differs_only_where_the_edit_does(change: dict[str, Any]) -> None:
    answer = DOMAIN.change(PERSON, **change)
    differs = (levels(photograph(PERSON, SIZE).picture) != levels(photograph(answer, SIZE).picture)).any(axis=2)
    near = changed_in_the_drawing(PERSON, answer)
    assert differs[near].any()
    assert not differs[~near].any()
    assert (~near).mean() > 0.2


def changed_in_the_drawing(before: Subject, after: Subject) -> NDArray[np.bool_]:
    """Return where the drawings differ, `(SIZE, SIZE)`, with the reach of scaling and of the lens around it."""
    one, other = (drawing(subject, DRAWN) for subject in (before, after))
    pairs = [(one.picture, other.picture), *((one.shares[name], other.shares[name]) for name in one.shares)]
    moved = [np.abs(levels(a) - levels(b)).reshape(DRAWN, DRAWN, -1).max(axis=2) > 0 for a, b in pairs]
    region = Image.fromarray(np.any(moved, axis=0)).convert("L").filter(ImageFilter.MaxFilter(7))
    return np.asarray(region.resize((SIZE, SIZE), Image.Resampling.NEAREST)) > 0


def test_hair_skin_and_cloth_have_texture_as_fine_as_the_photograph() -> None:
    shot, drawn = photograph(PERSON, SIZE), drawing(PERSON, DRAWN).at(SIZE)
    for name, least in (("hair", 3), ("skin", 2), ("cloth", 2)):
        inside = levels(drawn.shares[name])[:, 1:] == 255
        assert inside.sum() > 1000
        fine, scaled = (np.abs(np.diff(levels(each).mean(axis=2), axis=1))[inside].mean() for each in (shot.picture, drawn.picture))
        assert fine > least * scaled, name


def test_a_person_is_drawn_once_for_all_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    painted: list[int] = []
    paint = portrait.paint

    def watching(subject: Subject, size: int, *, parts: bool) -> Any:
        painted.append(size)
        return paint(subject, size, parts=parts)

    monkeypatch.setattr(portrait, "paint", watching)
    for size in (64, 200, 300, SIZE):
        photograph(PERSON, size)
    assert painted == [64, DRAWN]
