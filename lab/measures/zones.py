"""Where an edit should change a photograph and where not, and the error and fine detail of a result in each of these zones.

Pictures are `(H, W, 3)` float32 arrays in 8-bit levels. The zones lie inside the edit mask: outside it, a delivery changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from lab.measures.metrics import psnr_of
from s2edit_core.delivery.canvas import Canvas
from s2edit_core.pictures.files import inside_of

EDGE = 1
"""Levels by which source and true answer may differ where nothing changes: rounding."""
Region = NDArray[np.bool_]
Pixels = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Zones:
    """Pixels inside the edit mask."""

    same: Region  # the true answer is the photo
    far: Region  # the same, beyond one latent cell from what changes
    changed: Region


def zones_of(photo: Pixels, truth: Pixels, canvas: Canvas, cell: int) -> Zones:
    """Return the zones of an edit of `photo`, the picture of `canvas`. `cell` is the number of frame pixels per latent cell."""
    inside = inside_of(canvas.edit_mask)
    changed = np.abs(truth - photo).max(axis=2) > EDGE
    reach = round(cell * (canvas.box[2] - canvas.box[0]) / canvas.frame[0])
    near = np.asarray(Image.fromarray(changed.astype(np.uint8) * 255).filter(ImageFilter.BoxBlur(reach))) > 0
    return Zones(inside & ~changed, inside & ~changed & ~near, inside & changed)


def squared_error(result: Pixels, truth: Pixels) -> Pixels:
    """Return the mean squared error of each pixel over its channels, `(H, W)`."""
    return np.asarray(np.square(result - truth).mean(axis=2), dtype=np.float32)


def laplacian(picture: Pixels) -> Pixels:
    """Return the Laplacian of the grey picture, `(H, W)`: its fine detail."""
    grey = picture.mean(axis=2)
    around = np.roll(grey, 1, 0) + np.roll(grey, -1, 0) + np.roll(grey, 1, 1) + np.roll(grey, -1, 1)
    return np.asarray(4 * grey - around, dtype=np.float32)


def energy(detail: Pixels) -> float:
    """Return the sum of the squares of a Laplacian."""
    return float(np.square(detail).sum(dtype=np.float64))


def zone_figures(error: Pixels, detail: Pixels, true_detail: Pixels, zones: Zones) -> dict[str, float | None]:
    """Return `psnr_…` in dB and `energy_…` in percent of the true answer's, by zone; None where a zone is empty.

    `error` is the result's `squared_error`; `detail` and `true_detail` are the Laplacians of result and true answer.
    """
    found: dict[str, float | None] = {}
    for name, zone in (("same", zones.same), ("far", zones.far), ("changed", zones.changed)):
        found[f"psnr_{name}"] = psnr_of(float(error[zone].mean())) if zone.any() else None
        wanted = energy(true_detail[zone])
        found[f"energy_{name}"] = 100 * energy(detail[zone]) / wanted if wanted > 0 else None
    return found
