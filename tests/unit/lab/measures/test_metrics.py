"""PSNR and SSIM against their formulas and against scikit-image 0.26."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from lab.measures.metrics import C1, RADIUS, SIGMA, changed_region, gain, mse, psnr, ssim, ssim_map


def pattern() -> NDArray[np.uint8]:
    y, x = np.mgrid[0:40, 0:56]
    return np.stack([(x * 4 + y) % 256, (y * 6) % 256, (x * y) % 256], axis=2).astype(np.uint8)


def faded() -> NDArray[np.uint8]:
    return (np.roll(pattern(), 1, axis=1) // 2 + 40).astype(np.uint8)


def flat(level: int) -> NDArray[np.uint8]:
    return np.full((16, 20, 3), level, np.uint8)


def test_figures_equal_those_of_scikit_image() -> None:
    """The expected values come from two functions of scikit-image.

    `structural_similarity(a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255, channel_axis=2)`
    with the mean of its full map, and `peak_signal_noise_ratio(a, b)`.
    """
    a, b = pattern(), faded()
    assert ssim(a, b) == pytest.approx(0.7306175930036486, abs=1e-12)
    assert ssim_map(a, b).mean() == pytest.approx(0.670383126338495, abs=1e-12)
    assert psnr(a, b) == pytest.approx(14.140058450426256, abs=1e-12)


def test_ssim_of_flat_pictures_is_the_luminance_term() -> None:
    expected = (2 * 100 * 140 + C1) / (100**2 + 140**2 + C1)
    assert ssim(flat(100), flat(140)) == pytest.approx(expected, abs=1e-12)


def test_ssim_of_one_window_equals_the_formula() -> None:
    a, b = pattern().astype(float), faded().astype(float)
    steps = np.arange(-RADIUS, RADIUS + 1)
    window = np.exp(-(steps[:, None] ** 2 + steps[None] ** 2) / (2 * SIGMA**2))
    window /= window.sum()
    y, x = 20, 30
    values = []
    for channel in range(3):
        p, q = (picture[y - RADIUS : y + RADIUS + 1, x - RADIUS : x + RADIUS + 1, channel] for picture in (a, b))
        mp, mq = (window * p).sum(), (window * q).sum()
        vp, vq, cov = (window * (p - mp) ** 2).sum(), (window * (q - mq) ** 2).sum(), (window * (p - mp) * (q - mq)).sum()
        c1, c2 = 6.5025, 58.5225
        values.append((2 * mp * mq + c1) * (2 * cov + c2) / ((mp**2 + mq**2 + c1) * (vp + vq + c2)))
    assert ssim_map(pattern(), faded())[y, x] == pytest.approx(np.mean(values), abs=1e-12)


def test_equal_pictures_have_the_highest_figures() -> None:
    assert ssim(pattern(), pattern()) == pytest.approx(1.0)
    assert psnr(pattern(), pattern()) == pytest.approx(10 * math.log10(255**2 / 1e-3))


def test_a_region_counts_only_its_own_pixels() -> None:
    a, b = flat(100), flat(100)
    b[:, :5] = 110
    where = np.zeros((16, 20), bool)
    where[:, :5] = True
    assert mse(a, b, where) == 100
    assert mse(a, b, ~where) == 0
    assert mse(a, b) == 25
    assert ssim(a, b, where) < ssim(a, b, ~where) <= 1


def test_a_pixel_has_changed_if_one_channel_differs_by_more_than_eight_levels() -> None:
    a = flat(100)
    b = a.copy()
    b[3, 4, 2], b[5, 6, 0] = 109, 92
    assert np.argwhere(changed_region(a, b)).tolist() == [[3, 4]]


def test_incomparable_pictures_are_rejected() -> None:
    with pytest.raises(ValueError, match="of one shape"):
        psnr(flat(1), pattern())
    with pytest.raises(ValueError, match="uint8"):
        ssim(flat(1).astype(float), flat(1))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="region is empty"):
        psnr(flat(1), flat(2), np.zeros((16, 20), bool))
    with pytest.raises(ValueError, match="region is empty"):
        ssim(flat(1), flat(2), np.zeros((16, 20), bool))
    with pytest.raises(ValueError, match="more than 10 pixels"):
        ssim(flat(1)[:10], flat(1)[:10])


def test_gain_is_the_share_of_the_true_change() -> None:
    source = flat(100)
    truth, half, other, contrary = source.copy(), source.copy(), source.copy(), source.copy()
    truth[2:6, 2:6, 0], half[2:6, 2:6, 0], contrary[2:6, 2:6, 0] = 200, 150, 50
    other[..., 1] = 0  # another change than the true one
    where = changed_region(source, truth)
    assert gain(source, truth, source, where) == gain(source, truth, other, where) == 0
    assert gain(source, truth, truth, where) == pytest.approx(1)
    assert gain(source, truth, half, where) == pytest.approx(0.5)
    assert gain(source, truth, contrary, where) == pytest.approx(-0.5)
    with pytest.raises(ValueError, match="changes nothing in the region"):
        gain(source, source, half, where)
