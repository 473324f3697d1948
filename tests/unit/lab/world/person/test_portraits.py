"""Portraits of people: every attribute shows, heads turn, masks fit, and the picture does not depend on its size."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lab.world.domain import Subject, with_look_of
from lab.world.person import DOMAIN, parts
from lab.world.person.identity import Attributes, MakeupStyle
from lab.world.person.portrait import OUTSIDE, PARTS, paint, placement_of
from lab.world.sheet import changes


def plain(seed: int, **attributes: Any) -> Subject:
    """Return a person without anything that hides the face, but `attributes`."""
    return replace(DOMAIN.sample(seed), attributes=Attributes(**attributes))


def pixels(subject: Subject, size: int = 128) -> NDArray[np.int16]:
    return np.asarray(DOMAIN.render(subject, size)).astype(np.int16)


seen = cache(pixels)
"""Each person is drawn once for all changes."""


def changed(before: Subject, after: Subject) -> int:
    """Return how many pixels differ clearly."""
    return int((np.abs(seen(before) - pixels(after)).max(axis=2) > 16).sum())


def test_a_portrait_is_the_same_every_time() -> None:
    assert np.array_equal(pixels(DOMAIN.sample(5)), pixels(DOMAIN.sample(5)))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_change_of_an_attribute_shows(seed: int) -> None:
    subject = plain(seed, hair_length="long")
    for change in changes(DOMAIN, subject):
        fewest = 40 if "earrings" in change else 80
        assert changed(subject, DOMAIN.change(subject, **change)) > fewest, change


def test_moles_and_freckles_show() -> None:
    bare = plain(9)
    clean = replace(bare, identity=replace(bare.identity, moles=(), freckles=0, scar=0, skin=1.0))
    marked = replace(clean, identity=replace(clean.identity, moles=((-0.215, 0.17),)))
    assert changed(clean, marked) >= 6
    freckled = replace(clean, identity=replace(clean.identity, freckles=2))
    assert changed(clean, freckled) >= 60
    scarred = replace(clean, identity=replace(clean.identity, scar=1))
    assert changed(clean, scarred) >= 10


@pytest.mark.parametrize("seed", range(4))
def test_a_turned_head_moves_the_face_to_its_side(seed: int) -> None:
    eyes = {pose: parts(plain(seed, pose=pose))["eyes"] for pose in ("front", "left", "right", "up")}
    across, down = np.arange(128), np.arange(128)[:, None]
    x = {pose: float((share * across).sum() / share.sum()) for pose, share in eyes.items()}
    y = {pose: float((share * down).sum() / share.sum()) for pose, share in eyes.items()}
    assert x["left"] < x["front"] - 7
    assert x["right"] > x["front"] + 7
    assert y["up"] < y["front"] - 4


def test_the_nose_comes_towards_the_viewer_and_so_moves_further_than_the_eyes() -> None:
    placed = placement_of(plain(0, pose="left"))
    eye, tip = placed.project((0, 0, 0.3))[0], placed.project((0, 0.18, 0.44))[0]
    assert tip < eye - 0.05


def test_makeup_styles_differ_between_people_and_come_over() -> None:
    rouge = MakeupStyle((0.8, 0.05, 0.1), 0.9, (0.9, 0.3, 0.4), 0.5, (0.2, 0.4, 0.8), 0.8, (0.05, 0.05, 0.05), 0.8, 0.5)
    coral = replace(rouge, lipstick=(0.95, 0.4, 0.2), shadow=(0.1, 0.55, 0.35))
    first, second = (replace(DOMAIN.sample(seed).identity, makeup_style=style) for seed, style in ((11, rouge), (12, coral)))
    own = replace(plain(11, makeup=True), identity=first)
    carried = with_look_of(DOMAIN, own, "makeup", second)
    mouth = parts(own)["mouth"][..., None]
    red, orange = ((pixels(each) * mouth).sum(axis=(0, 1)) / mouth.sum() for each in (own, carried))
    assert orange[1] > red[1] + 20
    assert changed(own, carried) > 60


@pytest.mark.parametrize("seed", range(6))
def test_the_parts_of_a_pixel_add_up_to_one(seed: int) -> None:
    shares = parts(DOMAIN.sample(seed), 64)
    assert tuple(shares) == PARTS
    assert np.allclose(sum(shares.values()), 1, atol=1e-5)
    assert min(float(share.min()) for share in shares.values()) >= -1e-6


def test_parts_are_where_they_belong() -> None:
    subject = plain(2, hat=True, sunglasses=True, beard=True, earrings=True, gender="man")
    area = {name: float(share.sum()) for name, share in parts(subject).items()}
    assert area["hat"] > 600
    assert area["lenses"] > 200
    assert area["beard"] > 200
    assert area["earrings"] > 15
    bare = {name: float(share.sum()) for name, share in parts(plain(2, gender="man")).items()}
    assert bare["hat"] == bare["lenses"] == bare["beard"] == bare["earrings"] == 0
    assert bare["eyes"] > 40
    assert bare["mouth"] > 30


@pytest.mark.parametrize("seed", range(6))
def test_the_mask_covers_the_head_and_nothing_else(seed: int) -> None:
    subject = DOMAIN.sample(seed)
    mask, shares = np.asarray(DOMAIN.mask(subject)) / 255, parts(subject)
    outside = sum(shares[name] for name in OUTSIDE)
    assert np.abs(mask + outside - 1).max() < 0.01
    assert mask[:, [0, -1]].max() == 0
    assert mask[0].max() == 0
    assert mask[shares["skin"] + shares["hair"] + shares["hat"] > 0.99].min() > 0.98
    assert 0.15 < mask.mean() < 0.65


@pytest.mark.parametrize("seed", range(4))
def test_a_larger_picture_shows_the_same(seed: int) -> None:
    subject = DOMAIN.sample(seed)
    small, large = (paint(subject, size, parts=False).pixels for size in (128, 256))
    reduced = large.reshape(128, 2, 128, 2, 3).mean(axis=(1, 3))
    assert float(np.abs(reduced - small).mean()) < 0.012


def test_keeping_track_of_parts_does_not_change_the_picture() -> None:
    subject = DOMAIN.sample(7)
    assert np.array_equal(paint(subject, 64, parts=False).pixels, paint(subject, 64, parts=True).pixels)


def test_a_portrait_takes_well_under_a_tenth_of_a_second() -> None:
    DOMAIN.render(DOMAIN.sample(0))
    start = time.process_time()
    for seed in range(12):
        DOMAIN.render(DOMAIN.sample(seed))
    assert (time.process_time() - start) / 12 < 0.1
