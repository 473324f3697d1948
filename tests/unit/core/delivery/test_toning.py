"""Another light or season, or makeup: colours change along the photo's own outlines, and nothing else does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFilter

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


SKIN, LIPS, IRIS = (224, 180, 160), (180, 110, 110), (70, 110, 150)
LIPSTICK, BLUSH = (200, 30, 60), (232, 150, 145)
MOUTH, CHEEK, EYE = (140, 280, 250, 320), (60, 200, 150, 270), (100, 110, 160, 150)


def face(lips: tuple[int, int, int], cheek: tuple[int, int, int], *, freckles: bool = True, beside: int = 0) -> Image.Image:
    """A mouth, a cheek with freckles, and an eye whose iris is `beside` pixels to the right of its place."""
    picture = Image.new("RGB", (SIDE, SIDE), SKIN)
    drawing = ImageDraw.Draw(picture)
    drawing.ellipse(CHEEK, fill=cheek)
    drawing.ellipse(MOUTH, fill=lips)
    drawing.ellipse(EYE, fill=(245, 245, 245))
    drawing.ellipse((115 + beside, 112, 151 + beside, 148), fill=IRIS)
    drawing.ellipse((126 + beside, 123, 140 + beside, 137), fill=(15, 15, 15))
    if freckles:
        for x, y in np.random.default_rng(5).integers((70, 210), (140, 260), (25, 2)).tolist():
            drawing.ellipse((x, y, x + 4, y + 4), fill=(150, 100, 80))
    return picture


def test_makeup_colours_lips_and_cheeks_and_leaves_eyes_and_freckles() -> None:
    photo, truth = face(LIPS, SKIN), face(LIPSTICK, BLUSH)
    drawn = face(LIPSTICK, BLUSH, freckles=False, beside=9)  # three pixels of the frame: models draw eyes anew
    decodes = [seen(each.filter(ImageFilter.GaussianBlur(4))) for each in (photo, drawn)]
    errors = {}
    for asked in ("anything", "makeup"):
        change = change_between(decodes[0], decodes[1], seen(photo), CELL, asked=asked)
        errors[asked] = np.abs(array(whole(photo).deliver(change)) - array(truth))
    eye, mouth, cheek = ((slice(top, bottom), slice(left, right)) for left, top, right, bottom in (EYE, MOUTH, CHEEK))
    assert errors["makeup"][eye].mean() < 0.7 * errors["anything"][eye].mean()
    assert errors["makeup"][mouth].mean() < 12
    assert errors["makeup"][cheek].mean() < 12
