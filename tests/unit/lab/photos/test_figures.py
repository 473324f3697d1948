"""The figures of `lab.photos.bench`, on pictures whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from lab.measures.zones import Zones, laplacian
from lab.photos.bench import Case, ghost, measured, step_across

RNG = np.random.default_rng(2)
PHOTO = RNG.uniform(80, 120, (64, 64, 3)).astype(np.float32)
INSIDE = np.zeros((64, 64), dtype=bool)
INSIDE[16:48, 16:48] = True


def case(truth: np.ndarray) -> Case:
    changed = np.abs(truth - PHOTO).max(axis=2) > 1
    zones = Zones(INSIDE & ~changed, INSIDE & ~changed, INSIDE & changed)
    return Case(truth, zones, (laplacian(PHOTO), laplacian(truth)), INSIDE, PHOTO, INSIDE)


def test_the_true_answer_has_all_of_its_detail_no_ghost_and_no_seam() -> None:
    truth = PHOTO.copy()
    truth[24:40, 24:40] = RNG.uniform(10, 60, (16, 16, 3))
    figures = measured(truth, case(truth))
    assert figures["energy_same"] == figures["energy_changed"] == pytest.approx(100)
    assert figures["ghost"] == pytest.approx(0, abs=1e-6)
    assert figures["seam"] == pytest.approx(1)


def test_what_shines_through_is_the_ghost() -> None:
    truth = RNG.uniform(10, 60, PHOTO.shape).astype(np.float32)
    old, new = laplacian(PHOTO).ravel(), laplacian(truth).ravel()
    assert ghost(0.7 * new + 0.3 * old, old, new) == pytest.approx(0.3, abs=1e-6)


def test_a_step_at_the_border_of_the_mask_shows_as_a_seam() -> None:
    flat = np.full((64, 64, 3), 100, dtype=np.float32)
    stepped = flat + 10 * INSIDE[..., None]
    assert step_across(flat, INSIDE) == 0
    assert step_across(stepped, INSIDE) == pytest.approx(10)
    assert step_across(flat, np.ones_like(INSIDE)) == 0
    figures = measured(PHOTO + 40 * INSIDE[..., None], case(PHOTO + INSIDE[..., None] * 2))
    assert figures["seam"] is not None
    assert figures["seam"] > 2
