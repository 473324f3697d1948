"""Another light or season: every colour changes, along the photo's own outlines, and nothing else does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from s2edit_core.delivery.canvas import Canvas, to_tensor
from s2edit_core.delivery.difference import change_between
from tests.unit.core.delivery.test_delivery import CELL, FRAME, array, detail, seen, whole

SIDE = 384
SKY, TREE, GRASS = (150, 190, 240), (60, 110, 40), (110, 160, 70)
SUNSET_SKY, SUNSET_TREE, SUNSET_GRASS = (240, 160, 130), (80, 80, 40), (130, 120, 60)
EVERYWHERE = torch.ones(FRAME, FRAME)


def landscape(
    sky: tuple[int, int, int], tree: tuple[int, int, int], grass: tuple[int, int, int], *, beside: int = 0, leaves: float = 0.0
) -> Image.Image:
    """Sky, grass and a tree, which stands `beside` pixels to the right of its place and has that much texture."""
    picture = Image.new("RGB", (SIDE, SIDE), sky)
    drawing = ImageDraw.Draw(picture)
    drawing.rectangle((0, 260, SIDE, SIDE), fill=grass)
    drawing.ellipse((120 + beside, 90, 264 + beside, 300), fill=tree)
    texture = 1 + leaves * np.random.default_rng(3).standard_normal((SIDE, SIDE, 1))
    return Image.fromarray(np.rint(array(picture) * texture).clip(0, 255).astype(np.uint8))


def test_a_tree_that_the_model_draws_beside_its_place_gets_no_halo() -> None:
    photo, truth = landscape(SKY, TREE, GRASS), landscape(SUNSET_SKY, SUNSET_TREE, SUNSET_GRASS)
    drawn = landscape(SUNSET_SKY, SUNSET_TREE, SUNSET_GRASS, beside=9)  # three pixels of the frame
    errors = []
    for asked in ("anything", "tones"):
        change = change_between(seen(photo), seen(drawn), seen(photo), CELL, asked=asked)
        errors.append(np.abs(array(whole(photo).deliver(change)) - array(truth)))
    rim = (slice(150, 240), slice(258, 290))
    assert errors[1][rim].mean() < 0.5 * errors[0][rim].mean()
    assert errors[1].mean() < 8


def test_the_photos_detail_goes_on_in_the_new_tones_and_nothing_is_replaced() -> None:
    photo = landscape(SKY, TREE, GRASS, leaves=0.1)
    truth = landscape(SUNSET_SKY, SUNSET_TREE, SUNSET_GRASS, leaves=0.1)
    drawn = landscape(SUNSET_SKY, SUNSET_TREE, SUNSET_GRASS)
    ImageDraw.Draw(drawn).ellipse((30, 30, 60, 60), fill=(255, 255, 230))  # a sun that the model adds
    change = change_between(seen(photo), seen(drawn), seen(photo), CELL, noise=0.05, asked="tones")
    result = whole(photo).deliver(change)
    shares = change.shares(EVERYWHERE)
    assert (shares["replaced"], shares["left"]) == (0, pytest.approx(0, abs=0.1))
    assert sum(shares.values()) == pytest.approx(1)
    where = np.zeros((SIDE, SIDE), dtype=bool)
    where[120:240, 150:230] = True
    assert detail(result, where) == pytest.approx(detail(truth, where), rel=0.35)


def test_other_tones_stay_inside_the_edit_mask_and_an_equal_frame_changes_nothing() -> None:
    photo, drawn = landscape(SKY, TREE, GRASS), landscape(SUNSET_SKY, SUNSET_TREE, SUNSET_GRASS)
    mask = Image.new("L", photo.size)
    mask.paste(255, (0, 0, SIDE, 200))
    canvas = Canvas(photo, mask, mask, (0, 0, SIDE, SIDE), (FRAME, FRAME))
    change = change_between(seen(photo), seen(drawn), seen(photo), CELL, asked="tones")
    result = array(canvas.deliver(change))
    assert np.array_equal(result[200:], array(photo)[200:])
    assert np.abs(result[:180] - array(photo)[:180]).mean() > 20
    same = change_between(seen(photo), seen(photo), seen(photo), CELL, asked="tones")
    assert np.array_equal(array(whole(photo).deliver(same)), array(photo))
    assert same.shares(EVERYWHERE) == {"replaced": 0.0, "shifted": 0.0, "left": 1.0}


def test_a_photo_of_one_colour_takes_the_new_one() -> None:
    """There are no colours to fit: the mean decides."""
    grey, red = (Image.new("RGB", (FRAME, FRAME), colour) for colour in ((128, 128, 128), (160, 90, 90)))
    change = change_between(to_tensor(grey), to_tensor(red), to_tensor(grey), CELL, asked="tones")
    assert np.abs(array(whole(grey).deliver(change)) - array(red)).max() <= 1
