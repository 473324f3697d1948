"""People in a probability map: connected regions, counted, and one of them chosen. numpy and PIL only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from s2edit_core.errors import MaskInvalid, OptionInvalid
from s2edit_core.pictures import INSIDE
from s2edit_core.regions import Regions

GRID = 256
"""Longest side of the grid on which regions are separated: more cells cost time and find no other people."""
ANOTHER_PERSON = 0.2
"""A region counts as a person from this share of the largest region's area."""
SMALLEST = 0.002
"""Share of the photo below which a region is noise."""
NEAR = 2
"""Grid cells by which a point may miss the person it means: fingers do."""


def choose_person(
    probability: NDArray[np.float32], size: tuple[int, int], at: tuple[int, int] | None = None
) -> tuple[Image.Image, float, int]:
    """Return the mask of one person, the mean probability inside it, and how many people there are.

    `probability` `(h, w)` in 0..1, of any resolution, covers a photo of `size` (width, height). The person is the largest region
    above 0.5, or the one at the pixel `at` (x, y). The mask is L, of the photo's size: 255 inside, 0 outside. Raises `MaskInvalid`
    where nobody is found, `OptionInvalid` for a point outside the photo.
    """
    if at is not None and not (0 <= at[0] < size[0] and 0 <= at[1] < size[1]):
        raise OptionInvalid(f"at={at[0]},{at[1]} is outside the photo, which is {size[0]} × {size[1]} pixels", field="at")
    plane = Image.fromarray(np.rint(np.clip(probability, 0, 1) * 255).astype(np.uint8))  # of a large photo, bytes are enough
    small = np.asarray(plane.resize(_fitted(size, GRID), Image.Resampling.BILINEAR)) >= INSIDE
    regions = Regions.of(Image.fromarray(small.astype(np.uint8) * 255))
    large = np.where(regions.areas >= SMALLEST * small.size, regions.areas, 0)
    if not large.any():
        raise MaskInvalid("nobody was found in the photo: give a mask", field="mask", reason="mask_not_found")
    chosen = int(large.argmax()) if at is None else _region_at(regions.labels, large, at, size)
    reach = Image.fromarray((regions.labels == chosen).astype(np.uint8) * 255).filter(ImageFilter.MaxFilter(3))
    others = (regions.labels >= 0) & (regions.labels != chosen)
    own = Image.fromarray(np.where(others, 0, np.asarray(reach)).astype(np.uint8)).resize(size, Image.Resampling.NEAREST)
    wide = np.asarray(plane.resize(size, Image.Resampling.BILINEAR))
    inside = (wide >= INSIDE) & (np.asarray(own) > 0)
    people = int((large >= ANOTHER_PERSON * large.max()).sum())
    return Image.fromarray(inside.astype(np.uint8) * 255), float(wide[inside].mean()) / 255, people


def _region_at(labels: NDArray[np.intp], large: NDArray[np.intp], at: tuple[int, int], size: tuple[int, int]) -> int:
    """The region at a pixel of the photo, or the nearest within `NEAR` cells. Raises `MaskInvalid` if there is none."""
    height, width = labels.shape
    x, y = int(at[0] * width / size[0]), int(at[1] * height / size[1])
    top, left = max(0, y - NEAR), max(0, x - NEAR)
    around = labels[top : y + NEAR + 1, left : x + NEAR + 1]
    ys, xs = np.nonzero(np.append(large, 0)[around] > 0)  # the label -1 takes the last value
    if not len(ys):
        raise MaskInvalid(
            f"nobody was found at {at[0]},{at[1]}: point at the person, or give a mask", field="mask", reason="mask_not_found"
        )
    nearest = int(((ys + top - y) ** 2 + (xs + left - x) ** 2).argmin())
    return int(around[ys[nearest], xs[nearest]])


def _fitted(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """`size` scaled down to a longest side of `longest`; a smaller one stays."""
    scale = min(1.0, longest / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
