"""Connected regions of a mask: which are specks, and how large the main one is. No torch.

Regions are found on cells of several pixels, so that a mask of 40 megapixels takes a fraction of a second and little memory:
regions that are nearer than a cell count as one. A mask of up to `CELLS` pixels a side is taken pixel by pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from s2edit_core.pictures.files import INSIDE

CELLS = 512
"""Cells along the longer side, where specks are looked for."""
COARSE_CELLS = 128
"""The same for the main region: dots of a spray brush or a dithered edge belong together."""
SPECK_SHARE = 1e-3
"""A region smaller than this share of the largest is a speck."""
SPECK_PIXELS = 8
"""A region of so few pixels is a speck beside one that is ten times as large."""


@dataclass(frozen=True)
class Regions:
    """Connected regions (8 neighbours) of the pixels inside a mask."""

    labels: NDArray[np.intp]
    """`(h, w)`, one value per cell: -1 outside, else the index of a region."""
    areas: NDArray[np.intp]
    """Pixels inside the mask, by region."""
    cell: int
    """Side of a cell in pixels."""

    @classmethod
    def of(cls, mask: Image.Image, cells: int = CELLS) -> Regions:
        """Find the regions of `mask` (L)."""
        cell = -(-max(mask.size) // cells)
        counts = _counts(mask, cell)
        labels = _labels(counts > 0)
        areas = np.bincount(labels[labels >= 0], weights=counts[labels >= 0]).astype(np.intp)
        return cls(labels, areas, cell)

    def pixels(self, chosen: NDArray[np.bool_], size: tuple[int, int]) -> Image.Image:
        """The cells of the `chosen` regions as a mask (L) of `size` (width, height)."""
        cells = np.append(chosen, False)[self.labels]  # the label -1 takes the last value
        wide = Image.fromarray((cells * 255).astype(np.uint8))
        whole = wide.resize((wide.width * self.cell, wide.height * self.cell), Image.Resampling.NEAREST)
        return whole.crop((0, 0, *size))


def without_specks(mask: Image.Image) -> Image.Image:
    """Return `mask` (L) with its specks set to 0; the mask itself where there are none.

    A speck is a connected region smaller than `SPECK_SHARE` of the largest one, or of up to `SPECK_PIXELS` pixels and less than
    a tenth of it. What is no speck keeps its values.
    """
    found = Regions.of(mask)
    if len(found.areas) < 2:
        return mask
    largest = found.areas.max()
    few = (found.areas <= SPECK_PIXELS) & (found.areas * 10 < largest)
    specks = few | (found.areas < SPECK_SHARE * largest)
    if not specks.any():
        return mask
    cleaned = mask.copy()
    cleaned.paste(0, mask=found.pixels(specks, mask.size))
    return cleaned


def main_side(mask: Image.Image) -> int:
    """Return the longer side, in pixels, of the box around the largest region of `mask` (L); 0 for an empty mask."""
    found = Regions.of(mask, COARSE_CELLS)
    if not len(found.areas):
        return 0
    largest = np.arange(len(found.areas)) == found.areas.argmax()
    main = Image.new("L", mask.size)
    main.paste(mask.point([0] * INSIDE + [255] * (256 - INSIDE)), mask=found.pixels(largest, mask.size))
    box = main.getbbox()
    return 0 if box is None else max(box[2] - box[0], box[3] - box[1])


def _counts(mask: Image.Image, cell: int) -> NDArray[np.intp]:
    """How many pixels are inside `mask`, by cell. One row of cells at a time, for a mask may be as large as a photo."""
    starts = range(0, mask.width, cell)
    rows = []
    for top in range(0, mask.height, cell):
        strip = np.asarray(mask.crop((0, top, mask.width, min(top + cell, mask.height)))) >= INSIDE
        rows.append(np.add.reduceat(strip.sum(axis=0, dtype=np.intp), starts))
    return np.stack(rows)


def _labels(inside: NDArray[np.bool_]) -> NDArray[np.intp]:
    """The regions of the true cells `(h, w)`, numbered from 0; -1 where false.

    Runs of true cells are joined to the runs that they touch in the next row, by smallest label and pointer jumping.
    """
    padded = np.pad(inside, ((0, 0), (1, 1)))  # runs end at the border, and neighbours exist
    begins = padded & ~np.roll(padded, 1, axis=1)
    runs = np.where(padded, np.cumsum(begins).reshape(padded.shape) - 1, -1)
    upper, lower = [], []
    for step in (-1, 0, 1):
        beside = np.roll(runs[1:], step, axis=1)
        touching = (runs[:-1] >= 0) & (beside >= 0)
        upper.append(runs[:-1][touching])
        lower.append(beside[touching])
    roots = _joined(int(begins.sum()), np.concatenate(upper), np.concatenate(lower))
    numbers = np.unique(roots, return_inverse=True)[1]
    return np.append(numbers, -1)[runs][:, 1:-1]


def _joined(count: int, a: NDArray[np.intp], b: NDArray[np.intp]) -> NDArray[np.intp]:
    """For each of `count` nodes the smallest node that the edges `a`-`b` connect it with."""
    roots = np.arange(count)
    while (roots[a] != roots[b]).any():
        low = np.minimum(roots[a], roots[b])
        np.minimum.at(roots, roots[a], low)
        np.minimum.at(roots, roots[b], low)
        while (roots[roots] != roots).any():
            roots = roots[roots]
    return roots
