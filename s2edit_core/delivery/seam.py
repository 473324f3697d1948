"""The soft seam along the inner side of an edit mask. Outside the mask it is exactly nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from s2edit_core.pictures.files import INSIDE, inside_of

SEAM_SIDE = 1024
"""The seam of a larger crop is found at this size and scaled up: it is soft, so nobody sees that."""


@dataclass(frozen=True, eq=False)
class Seam:
    """How opaque an edit is, by pixel of a crop of the photo. `opacity` may be smaller than the crop."""

    mask: Image.Image  # L, the crop of the edit mask
    opacity: Image.Image  # F, 0..1

    @classmethod
    def of(cls, mask: Image.Image, box: tuple[int, int, int, int], width: int) -> Seam:
        """The seam inside `mask` (L, of the photo) within `box`, `width` pixels wide; less in thin parts."""
        rim = _with_rim(box, mask.size)
        inside = inside_of(mask.crop(rim))
        scale = max(1, -(-max(inside.shape) // SEAM_SIDE))
        small = _pooled(inside, scale)
        opacity = Image.fromarray(seam_opacity(small, max(2, round(width / scale))))
        left, top = (box[0] - rim[0]) / scale, (box[1] - rim[1]) / scale
        size = ((box[2] - box[0]) / scale, (box[3] - box[1]) / scale)
        fitting = (max(1, round(size[0])), max(1, round(size[1])))
        cropped = opacity.resize(fitting, Image.Resampling.BILINEAR, box=(left, top, left + size[0], top + size[1]))
        return cls(mask.crop(box), cropped)

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        """The opacity of those rows of the crop, `(stop − start, W)` in 0..1."""
        width, height = self.mask.size
        inside = np.asarray(self.mask.crop((0, start, width, stop))) >= INSIDE
        if self.opacity.size == self.mask.size:
            soft = np.asarray(self.opacity.crop((0, start, width, stop)))
        else:
            scale = self.opacity.height / height
            part = (0, start * scale, self.opacity.width, stop * scale)
            soft = np.asarray(self.opacity.resize((width, stop - start), Image.Resampling.BILINEAR, box=part))
        return soft * inside


def _with_rim(box: tuple[int, int, int, int], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """`box` and a pixel around it, where there is one: a mask that ends at the box has an edge, one that goes on has none."""
    return max(0, box[0] - 1), max(0, box[1] - 1), min(size[0], box[2] + 1), min(size[1], box[3] + 1)


def _pooled(inside: NDArray[np.bool_], scale: int) -> NDArray[np.bool_]:
    """True where any pixel of a square of `scale` is: a line of one pixel survives."""
    if scale == 1:
        return inside
    height, width = inside.shape
    padded = np.pad(inside, ((0, -height % scale), (0, -width % scale)), mode="edge")
    blocks = padded.reshape(padded.shape[0] // scale, scale, padded.shape[1] // scale, scale)
    return np.asarray(blocks.any(axis=(1, 3)))


def seam_opacity(inside: NDArray[np.bool_], seam: int) -> NDArray[np.float32]:
    """0 outside; inside it rises from the edge to 1 over `seam` pixels, or over half the thickness of a thin part.

    Else thin parts would fade out. Beyond the borders of `inside` they are thought to go on.
    """
    hard = Image.fromarray(inside.astype(np.uint8) * 255)
    opacity, left = np.zeros(inside.shape, dtype=np.float32), inside
    while left.any():
        core = _filled(inside, seam)  # the middles of squares of side 2·seam + 1 that fit into the mask
        if core.any():
            soft = np.asarray(hard.filter(ImageFilter.BoxBlur(seam)), dtype=np.float32) / 255
            thick = ~_filled(~core, 2 * seam)  # in such a square or beside one
            opacity = np.where(left & thick, ((soft - 0.5) * 2).clip(0, 1), opacity)
            left = left & ~thick
        seam //= 2  # 0 at last: then all that is left is wholly opaque
    return opacity


def _filled(inside: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """True where all pixels of the square of side 2·reach + 1 are; beyond the picture its border goes on."""
    for axis, length in enumerate(inside.shape):
        pads = [(reach + 1, reach) if each == axis else (0, 0) for each in range(2)]
        sums = np.moveaxis(np.pad(inside, pads, mode="edge").cumsum(axis=axis, dtype=np.int32), axis, 0)
        inside = np.moveaxis(sums[2 * reach + 1 :] - sums[:length] == 2 * reach + 1, 0, axis)
    return inside
