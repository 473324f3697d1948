"""PSNR, SSIM and gain of 8-bit pictures, over the whole frame or a region. Pictures are `(H, W, 3)` uint8 arrays of equal shape."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

Picture = NDArray[np.uint8]
Region = NDArray[np.bool_]

VISIBLE = 8
"""A pixel belongs to the changed region if ground truth and source differ by more than this many 8-bit levels."""
RADIUS, SIGMA = 5, 1.5
"""SSIM's Gaussian window: 11 × 11 pixels."""
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
SMALLEST_MSE = 1e-3
"""Lower bound of the MSE, in squared 8-bit levels. It limits PSNR to 78.1 dB, so that means and intervals stay finite."""


def changed_region(source: Picture, truth: Picture) -> Region:
    """Return `(H, W)` bool: where the ground truth differs from the source by more than `VISIBLE` levels in some channel."""
    _check_comparable(source, truth)
    difference = np.abs(source.astype(np.int16) - truth.astype(np.int16)).max(axis=2)
    changed: Region = difference > VISIBLE
    return changed


def mse(a: Picture, b: Picture, where: Region | None = None) -> float:
    """Return the mean squared error in 8-bit levels over the region `where`, or all pixels. Raises `ValueError` if it is empty."""
    _check_comparable(a, b)
    if where is not None and not where.any():
        raise ValueError("the region is empty: there is nothing to compare")
    difference = a.astype(np.float64) - b.astype(np.float64)
    return float(np.square(difference if where is None else difference[where]).mean())


def psnr(a: Picture, b: Picture, where: Region | None = None) -> float:
    """Return the peak signal-to-noise ratio in dB, at most 78.1 (`SMALLEST_MSE`)."""
    return psnr_of(mse(a, b, where))


def psnr_of(squared: float) -> float:
    """Return the PSNR in dB of a mean squared error in 8-bit levels."""
    return 10 * math.log10(255**2 / max(squared, SMALLEST_MSE))


def gain(source: Picture, truth: Picture, got: Picture, where: Region) -> float:
    """Return the share of the true change that was made: the projection of (got − source) on (truth − source) in `where`.

    Doing nothing gives 0, the ground truth 1, twice its change 2, and a change to the contrary less than 0. Raises `ValueError` if
    the ground truth is the source there.
    """
    _check_comparable(source, truth)
    _check_comparable(source, got)
    before = source[where].astype(np.float64)
    true, made = truth[where] - before, got[where] - before
    size = float((true * true).sum())
    if size == 0:
        raise ValueError("the ground truth changes nothing in the region: there is no change to compare with")
    return float((true * made).sum()) / size


def ssim_map(a: Picture, b: Picture) -> NDArray[np.float64]:
    """Return the structural similarity around each pixel, `(H, W)` in −1..1, averaged over the channels (Wang et al. 2004).

    The window is a Gaussian of σ 1.5 over 11 × 11 pixels, with K1 = 0.01, K2 = 0.03, population covariance and mirrored edges. The
    result equals scikit-image's `structural_similarity(…, gaussian_weights=True, sigma=1.5, use_sample_covariance=False)`.
    """
    _check_comparable(a, b)
    if min(a.shape[:2]) <= 2 * RADIUS:
        raise ValueError(f"SSIM needs pictures of more than {2 * RADIUS} pixels a side, got {a.shape[1]} × {a.shape[0]}")
    x, y = a.astype(np.float64), b.astype(np.float64)
    mean_x, mean_y, xx, yy, xy = (_smooth(each) for each in (x, y, x * x, y * y, x * y))
    covariance, variances = xy - mean_x * mean_y, (xx - mean_x**2) + (yy - mean_y**2)
    luminance = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
    structure = (2 * covariance + C2) / (variances + C2)
    similarity: NDArray[np.float64] = (luminance * structure).mean(axis=2)
    return similarity


def ssim(a: Picture, b: Picture, where: Region | None = None) -> float:
    """Return the mean SSIM over the region `where`. The default are all pixels whose window lies in the picture, as published."""
    similarity = ssim_map(a, b)
    if where is None:
        return float(similarity[RADIUS:-RADIUS, RADIUS:-RADIUS].mean())
    if not where.any():
        raise ValueError("the region is empty: there is nothing to compare")
    return float(similarity[where].mean())


def _smooth(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convolve `(H, W, 3)` with the Gaussian window."""
    steps = torch.arange(-RADIUS, RADIUS + 1, dtype=torch.float64)
    window = torch.exp(-(steps**2) / (2 * SIGMA**2))
    window = window / window.sum()
    padded = np.pad(x, ((RADIUS, RADIUS), (RADIUS, RADIUS), (0, 0)), mode="symmetric")
    planes = torch.from_numpy(padded).permute(2, 0, 1)[:, None]
    smooth = functional.conv2d(functional.conv2d(planes, window[None, None, :, None]), window[None, None, None, :])
    result: NDArray[np.float64] = smooth[:, 0].permute(1, 2, 0).numpy()
    return result


def _check_comparable(a: Picture, b: Picture) -> None:
    if a.shape != b.shape or a.ndim != 3 or a.dtype != np.uint8 or b.dtype != np.uint8:
        raise ValueError(f"two (H, W, 3) uint8 pictures of one shape are needed, got {a.shape} {a.dtype} and {b.shape} {b.dtype}")
