"""The zones of an edit, and their figures, on a photo with one changed square."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from lab.measures.zones import laplacian, squared_error, zone_figures, zones_of
from s2edit_core.delivery.canvas import Canvas

PHOTO = np.random.default_rng(3).integers(80, 120, (64, 64, 3)).astype(np.float32)
TRUTH = PHOTO.copy()
TRUTH[24:32, 24:32] += 50
MASK = np.zeros((64, 64), np.uint8)
MASK[8:56, 8:56] = 255
CANVAS = Canvas(Image.fromarray(PHOTO.astype(np.uint8)), Image.fromarray(MASK), Image.fromarray(MASK), (0, 0, 64, 64), (16, 16))


def test_zones_lie_inside_the_mask_and_a_cell_apart() -> None:
    zones = zones_of(PHOTO, TRUTH, CANVAS, cell=2)  # a cell is 2 pixels of the frame, 8 of the photo
    assert zones.changed.sum() == 8 * 8
    assert zones.same.sum() == 48 * 48 - 8 * 8
    assert zones.far.sum() == 48 * 48 - (8 + 2 * 8) ** 2
    rounded = zones_of(PHOTO, PHOTO + 1, CANVAS, cell=2)
    assert not rounded.changed.any(), "a level is rounding"


def test_each_zone_has_its_own_error_and_detail() -> None:
    zones = zones_of(PHOTO, TRUTH, CANVAS, cell=2)
    result = np.where(zones.changed[..., None], TRUTH - 51, PHOTO)
    figures = zone_figures(squared_error(result, TRUTH), laplacian(result), laplacian(TRUTH), zones)
    assert figures["psnr_changed"] == pytest.approx(20 * np.log10(255 / 51))
    assert figures["psnr_same"] == figures["psnr_far"] == pytest.approx(78.13, abs=0.01)
    assert figures["energy_far"] == pytest.approx(100)
    flat = np.full_like(PHOTO, 100)
    blurred = zone_figures(squared_error(flat, TRUTH), laplacian(flat), laplacian(TRUTH), zones)
    assert blurred["energy_same"] == 0


def test_an_empty_zone_has_no_figures() -> None:
    figures = zone_figures(squared_error(PHOTO, PHOTO), laplacian(PHOTO), laplacian(PHOTO), zones_of(PHOTO, PHOTO, CANVAS, cell=2))
    assert figures["psnr_changed"] is figures["energy_changed"] is None
