"""Between the photo as uploaded and the frame that the model sees, and back.

The region around the masks is cropped with margin and brought to the model's size; the edited frame is pasted back with a soft
seam that lies *inside* the edit mask. Outside the edit mask the pixels of the answer are those of the photo, exactly.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from torch import Tensor

from s2edit_core.errors import ImageInvalid
from s2edit_core.pictures import check_mask, grown, inside_of

CONTEXT = 1.6
"""Side of the crop, relative to the box around the masks: a face needs its surroundings to be understood."""
SEAM = 0.02
"""Width of the seam inside the edit mask, relative to the long side of the crop; at least two pixels, less in thin parts."""


@dataclass(frozen=True)
class Canvas:
    """Where the model's frame lies in the photo. `box` is (left, top, right, bottom) in pixels, `frame` (width, height)."""

    photo: Image.Image  # RGB
    edit_mask: Image.Image  # L, of the photo's size
    identity_mask: Image.Image  # L, of the photo's size
    box: tuple[int, int, int, int]
    frame: tuple[int, int]

    @property
    def digest(self) -> str:
        """Names what the model sees of the photo and of the identity mask; the edit mask does not enter."""
        digest = hashlib.sha256(repr((self.box, self.frame)).encode())
        for picture in (self.photo, self.identity_mask):
            digest.update(picture.crop(self.box).tobytes())
        return digest.hexdigest()[:32]

    def source(self) -> Tensor:
        """The frame as the model sees it: `(3, H, W)` in -1..1."""
        return to_tensor(self.photo.crop(self.box).resize(self.frame, Image.Resampling.LANCZOS))

    def mask(self, which: Image.Image) -> Tensor:
        """A mask of the photo in the frame: `(H, W)` in 0..1. Raises `ValueError` for one of another size or mode."""
        if which.mode != "L" or which.size != self.photo.size:
            raise ValueError(f"expected a mask in L of the photo's size {self.photo.size}, got {which.mode} {which.size}")
        cropped = which.crop(self.box).resize(self.frame, Image.Resampling.BOX)
        return torch.tensor(np.asarray(cropped), dtype=torch.float32) / 255

    def paste(self, edited: Tensor) -> Image.Image:
        """The photo with the edited frame `(3, H, W)` in -1..1 inside the edit mask. Raises `ValueError` for another shape."""
        if edited.shape != (3, self.frame[1], self.frame[0]):
            raise ValueError(f"expected the frame (3, {self.frame[1]}, {self.frame[0]}), got {tuple(edited.shape)}")
        left, top, right, bottom = self.box
        patch = to_image(edited).resize((right - left, bottom - top), Image.Resampling.LANCZOS)
        alpha = self._seam()[top:bottom, left:right, None]
        pixels = np.asarray(self.photo).copy()
        region = pixels[top:bottom, left:right].astype(np.float32)
        blended = region + alpha * (np.asarray(patch, dtype=np.float32) - region)
        pixels[top:bottom, left:right] = np.rint(blended).clip(0, 255).astype(np.uint8)
        return Image.fromarray(pixels)

    def _seam(self) -> NDArray[np.float32]:
        """Opacity `(H, W)` of the edited frame: 0 outside the edit mask, rising to 1 within the seam inside it."""
        inside = inside_of(self.edit_mask)
        seam = max(2, round(SEAM * max(self.box[2] - self.box[0], self.box[3] - self.box[1])))
        rows, columns = (slice(max(0, low - 1), high + 1) for low, high in _extent(inside))  # with a rim, where there is one
        opacity = np.zeros(inside.shape, dtype=np.float32)
        opacity[rows, columns] = seam_opacity(inside[rows, columns], seam)
        return opacity


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


def make_canvas(
    photo: Image.Image, identity_mask: Image.Image, edit_mask: Image.Image | None, *, frame_size: int, multiple: int
) -> Canvas:
    """Choose the crop around the masks, and a frame of `frame_size` along its long side, divisible by `multiple`.

    The identity alone decides the crop where the edit mask fits into it: so edits with different masks share one inversion.
    Raises `ImageInvalid` for a photo that is not RGB, `MaskInvalid` for masks that are not L, of its size, and painted somewhere.
    """
    if photo.mode != "RGB":
        raise ImageInvalid(
            f"the image is {photo.mode}: convert it to RGB (`decode_photo` does)", field="image", reason="image_mode"
        )
    check_mask(identity_mask, photo.size, "mask")
    if edit_mask is not None:
        check_mask(edit_mask, photo.size, "edit_mask")
    if not 1 <= multiple <= frame_size:
        raise ValueError(f"a frame of {frame_size} pixels can't have sides divisible by {multiple}")
    reach = grown(identity_mask)
    chosen = edit_mask if edit_mask is not None else reach
    box = crop_box(inside_of(reach), photo.size)
    if not _holds(box, inside_of(chosen)):
        box = crop_box(inside_of(reach) | inside_of(chosen), photo.size)
    width, height = box[2] - box[0], box[3] - box[1]
    scale = frame_size / max(width, height)
    frame = (_rounded(width * scale, multiple), _rounded(height * scale, multiple))
    return Canvas(photo, chosen, identity_mask, box, frame)


def _extent(inside: NDArray[np.bool_]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Where the true pixels are: first row and one past the last, and columns likewise."""
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if not len(rows):
        raise ValueError("nothing is inside the mask: paint the region with 128 or more")
    return (int(rows[0]), int(rows[-1]) + 1), (int(columns[0]), int(columns[-1]) + 1)


def _holds(box: tuple[int, int, int, int], inside: NDArray[np.bool_]) -> bool:
    """Whether all true pixels lie in `box`."""
    left, top, right, bottom = box
    return int(inside[top:bottom, left:right].sum()) == int(inside.sum())


def _rounded(side: float, multiple: int) -> int:
    return max(multiple, round(side / multiple) * multiple)


def crop_box(inside: NDArray[np.bool_], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """A box around the true pixels, `CONTEXT` times as large, square where the photo allows; (left, top, right, bottom).

    Raises `ValueError` where nothing is true.
    """
    (top, bottom), (left, right) = _extent(inside)
    side = round(CONTEXT * max(bottom - top, right - left))
    x0, x1 = _span((left + right) / 2, side, size[0])
    y0, y1 = _span((top + bottom) / 2, side, size[1])
    return x0, y0, x1, y1


def _span(middle: float, length: int, limit: int) -> tuple[int, int]:
    """An interval of `length` around `middle`, moved and at last cut to lie in 0..limit."""
    if length >= limit:
        return 0, limit
    start = min(max(0, round(middle - length / 2)), limit - length)
    return start, start + length


def to_tensor(picture: Image.Image) -> Tensor:
    """RGB to `(3, H, W)` in -1..1. Raises `ValueError` for another mode."""
    if picture.mode != "RGB":
        raise ValueError(f"expected a picture in RGB, got {picture.mode}: convert it")
    return torch.tensor(np.asarray(picture), dtype=torch.float32).permute(2, 0, 1) / 127.5 - 1


def to_image(x: Tensor) -> Image.Image:
    """`(3, H, W)` in -1..1 to RGB, rounded: truncation would darken each round trip by half a level. Else `ValueError`."""
    if x.ndim != 3 or x.shape[0] != 3:
        raise ValueError(f"expected a picture (3, H, W), got {tuple(x.shape)}")
    pixels = ((x.detach().float().cpu().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return Image.fromarray(pixels.permute(1, 2, 0).numpy())
