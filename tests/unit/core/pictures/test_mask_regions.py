"""Connected regions of masks: what is a speck, and how large the main region is."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps

from s2edit_core.pictures.mask_regions import SPECK_PIXELS, Regions, main_side, marks_surroundings, without_specks


def labelled(inside: NDArray[np.bool_]) -> NDArray[np.intp]:
    """The same regions by flood fill, pixel by pixel."""
    labels = np.full(inside.shape, -1)
    for seed in zip(*np.nonzero(inside), strict=True):
        if labels[seed] >= 0:
            continue
        number, waiting = labels.max() + 1, [seed]
        labels[seed] = number
        while waiting:
            y, x = waiting.pop()
            for near in product((y - 1, y, y + 1), (x - 1, x, x + 1)):
                in_picture = 0 <= near[0] < inside.shape[0] and 0 <= near[1] < inside.shape[1]
                if in_picture and inside[near] and labels[near] < 0:
                    labels[near] = number
                    waiting.append(near)
    return labels


@pytest.mark.parametrize("share", [0.1, 0.3, 0.4, 0.5, 0.7])
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (50, 70)])
def test_regions_are_those_of_a_flood_fill(shape: tuple[int, int], share: float) -> None:
    inside = np.random.default_rng(3).random(shape) < share
    found, wanted = Regions.of(as_mask(inside)), labelled(inside)
    pairs = set(zip(found.labels.ravel().tolist(), wanted.ravel().tolist(), strict=True))
    assert len(pairs) == len({one for one, _ in pairs}) == len({other for _, other in pairs})
    assert found.areas.sum() == inside.sum()
    assert len(found.areas) == wanted.max() + 1


def as_mask(inside: NDArray[np.bool_]) -> Image.Image:
    return Image.fromarray((inside * 255).astype(np.uint8))


def person(size: tuple[int, int], box: tuple[int, int, int, int]) -> Image.Image:
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).ellipse(box, fill=255)
    return mask


@pytest.mark.parametrize("scale", [1, 6])
def test_specks_go_and_the_rest_stays_as_it_is(scale: int) -> None:
    clean = person((400 * scale, 300 * scale), (100 * scale, 50 * scale, 250 * scale, 280 * scale))
    ImageDraw.Draw(clean).rectangle((300 * scale, 20 * scale, 306 * scale, 26 * scale), fill=200)  # an earring, not a speck
    dirty = clean.copy()
    for at in ((0, 0), (399 * scale, 299 * scale), (20 * scale, 150 * scale)):
        dirty.putpixel(at, 255)
    assert np.array_equal(np.asarray(without_specks(dirty)), np.asarray(clean))
    assert without_specks(clean) is clean


def test_a_few_stray_pixels_beside_a_small_region_are_specks() -> None:
    lips = person((300, 200), (100, 100, 130, 112))
    dirty = lips.copy()
    dirty.paste(255, (10, 10, 10 + SPECK_PIXELS // 2, 12))
    assert np.array_equal(np.asarray(without_specks(dirty)), np.asarray(lips))


def test_regions_of_like_size_are_no_specks() -> None:
    dots = Image.new("L", (64, 48))
    for x, y in ((5, 5), (20, 30), (60, 40)):
        dots.putpixel((x, y), 255)
    assert without_specks(dots) is dots
    nothing = Image.new("L", (64, 48))
    assert without_specks(nothing) is nothing


@pytest.mark.parametrize("size", [(64, 48), (1500, 1000), (5000, 900)])
@pytest.mark.parametrize("side", [1, 31, 32, 45])
def test_the_main_side_is_that_of_the_largest_region_to_the_pixel(size: tuple[int, int], side: int) -> None:
    mask = Image.new("L", size)
    mask.paste(255, (3, 2, 3 + side, 2 + (side + 1) // 2))
    mask.putpixel((size[0] - 1, size[1] - 1), 255) if side > 1 else None
    assert main_side(mask) == side


def test_dots_of_a_spray_brush_are_one_region_and_an_empty_mask_is_none() -> None:
    spray = Image.new("L", (1600, 1200))
    for x, y in product(range(400, 800, 12), range(300, 700, 12)):
        spray.paste(255, (x, y, x + 3, y + 3))
    assert main_side(spray) > 390
    assert main_side(Image.new("L", (1600, 1200))) == 0


@pytest.mark.parametrize(
    "box",
    [
        (20, 12, 44, 48),  # a portrait
        (4, 10, 60, 48),  # of somebody whose shoulders nearly fill its width
        (0, 0, 64, 48),  # a close-up that fills the photo
        (6, 0, 58, 48),  # a face cut at the top
        (0, 30, 64, 48),  # somebody at the lower border
    ],
)
def test_a_person_is_not_mistaken_for_the_surroundings(box: tuple[int, int, int, int]) -> None:
    mask = Image.new("L", (64, 48))
    mask.paste(255, box)
    assert not marks_surroundings(mask)


@pytest.mark.parametrize("size", [(64, 48), (3000, 4000), (1, 1)])
def test_an_inverted_mask_of_a_portrait_marks_the_surroundings(size: tuple[int, int]) -> None:
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).ellipse((size[0] * 0.2, size[1] * 0.15, size[0] * 0.8, size[1] * 1.4), fill=255)
    assert marks_surroundings(ImageOps.invert(mask)) == (size != (1, 1))
