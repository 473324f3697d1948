"""Connected regions of a mask: its specks, and the size of its main region; whether it marks the surroundings. Loads no torch.

Regions are found on a grid of cells, so a 40-megapixel mask takes a fraction of a second and little memory. Regions closer than one
cell are merged. A mask of up to `CELLS` pixels per side has one cell per pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from s2edit_core.pictures.files import INSIDE

CELLS = 512
"""Cells along the longer side, for finding specks."""
COARSE_CELLS = 128
"""Cells along the longer side, for finding the main region: the dots of a spray brush or of dithering then belong together."""
SPECK_SHARE = 1e-3
"""A region smaller than this share of the largest region is a speck."""
SPECK_PIXELS = 8
"""A region of at most this many pixels is a speck if the largest region is more than ten times as large."""


@dataclass(frozen=True)
class Regions:
    """Connected regions (8-connectivity) of the pixels inside a mask."""

    labels: NDArray[np.intp]
    """`(h, w)`, per cell: the index of its region, -1 outside."""
    areas: NDArray[np.intp]
    """Pixels inside the mask, per region."""
    cell: int
    """Side of a cell in pixels."""

    @classmethod
    def of(cls, mask: Image.Image, cells: int = CELLS) -> Regions:
        """Find the regions of `mask` (L)."""
        cell = -(-max(mask.size) // cells)
        counts = _counts(mask, cell)
        labels = connected(counts > 0)
        areas = np.bincount(labels[labels >= 0], weights=counts[labels >= 0]).astype(np.intp)
        return cls(labels, areas, cell)

    def pixels(self, chosen: NDArray[np.bool_], size: tuple[int, int]) -> Image.Image:
        """Return the cells of the regions marked in `chosen` as a mask (L) of `size` (width, height)."""
        cells = np.append(chosen, False)[self.labels]  # label -1 indexes the appended value
        wide = Image.fromarray((cells * 255).astype(np.uint8))
        whole = wide.resize((wide.width * self.cell, wide.height * self.cell), Image.Resampling.NEAREST)
        return whole.crop((0, 0, *size))


def without_specks(mask: Image.Image) -> Image.Image:
    """Return `mask` (L) with its specks set to 0; the same object if there are none.

    A speck is a connected region smaller than `SPECK_SHARE` of the largest, or of up to `SPECK_PIXELS` pixels and less than a tenth
    of the largest. All other pixels keep their values.
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
    """Return the longer side, in pixels, of the bounding box of the largest region in `mask` (L); 0 for an empty mask."""
    found = Regions.of(mask, COARSE_CELLS)
    if not len(found.areas):
        return 0
    largest = np.arange(len(found.areas)) == found.areas.argmax()
    main = Image.new("L", mask.size)
    main.paste(mask.point([0] * INSIDE + [255] * (256 - INSIDE)), mask=found.pixels(largest, mask.size))
    box = main.getbbox()
    return 0 if box is None else max(box[2] - box[0], box[3] - box[1])


def marks_surroundings(mask: Image.Image) -> bool:
    """Return whether `mask` (L) holds the photo's top and sides, but not its middle, as an inverted mask of a person does."""
    width, height = mask.size
    top, left, right = ((0, 0, width, 1), (0, 0, 1, height), (width - 1, 0, width, height))
    middle = (width // 3, height // 3, width - width // 3, height - height // 3)
    share = {box: float((np.asarray(mask.crop(box)) >= INSIDE).mean()) for box in (top, left, right, middle)}
    return share[top] >= 0.95 and min(share[left], share[right]) >= 0.4 and share[middle] <= 0.2


def _counts(mask: Image.Image, cell: int) -> NDArray[np.intp]:
    """Return the number of pixels inside `mask` per cell.

    One row of cells is processed at a time, because masks may be as large as photos.
    """
    starts = range(0, mask.width, cell)
    rows = []
    for top in range(0, mask.height, cell):
        strip = np.asarray(mask.crop((0, top, mask.width, min(top + cell, mask.height)))) >= INSIDE
        rows.append(np.add.reduceat(strip.sum(axis=0, dtype=np.intp), starts))
    return np.stack(rows)


def connected(inside: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Label the connected regions (8 neighbours) of the true cells in `inside` `(h, w)`, from 0; false cells get -1.

    Runs of true cells are joined with the runs that touch them in the next row, by smallest label and pointer jumping.
    """
    padded = np.pad(inside, ((0, 0), (1, 1)))  # runs end at the border, and every cell has neighbours
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
    """Return, for each of `count` nodes, the smallest node that is connected to it by the edges `a`-`b`."""
    roots = np.arange(count)
    while (roots[a] != roots[b]).any():
        low = np.minimum(roots[a], roots[b])
        np.minimum.at(roots, roots[a], low)
        np.minimum.at(roots, roots[b], low)
        while (roots[roots] != roots).any():
            roots = roots[roots]
    return roots
