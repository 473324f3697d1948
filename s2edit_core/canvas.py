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

from s2edit_core.pictures import grown, inside_of

CONTEXT = 1.6
"""Side of the crop, relative to the box around the masks: a face needs its surroundings to be understood."""
SEAM = 0.02
"""Width of the seam inside the edit mask, relative to the long side of the crop; at least two pixels, at most the mask's depth."""


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
        """A mask of the photo in the frame: `(H, W)` in 0..1."""
        cropped = which.crop(self.box).resize(self.frame, Image.Resampling.BOX)
        return torch.tensor(np.asarray(cropped), dtype=torch.float32) / 255

    def paste(self, edited: Tensor) -> Image.Image:
        """The photo with the edited frame `(3, H, W)` in -1..1 inside the edit mask."""
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
        hard = Image.fromarray((inside * 255).astype(np.uint8))
        width = max(2.0, SEAM * max(self.box[2] - self.box[0], self.box[3] - self.box[1]))
        width = min(width, _depth(hard))  # or nothing of a thin mask would be wholly inside
        soft = np.asarray(hard.filter(ImageFilter.GaussianBlur(width / 2 if width >= 1 else 0)), dtype=np.float32) / 255
        return np.where(inside, ((soft - 0.5) * 2).clip(0, 1), 0).astype(np.float32)


def make_canvas(
    photo: Image.Image, identity_mask: Image.Image, edit_mask: Image.Image | None, *, frame_size: int, multiple: int
) -> Canvas:
    """Choose the crop around the masks, and a frame of `frame_size` along its long side, divisible by `multiple`.

    The identity alone decides the crop where the edit mask fits into it: so edits with different masks share one inversion.
    """
    reach = grown(identity_mask)
    chosen = edit_mask if edit_mask is not None else reach
    box = crop_box(inside_of(reach), photo.size)
    if not _holds(box, inside_of(chosen)):
        box = crop_box(inside_of(reach) | inside_of(chosen), photo.size)
    width, height = box[2] - box[0], box[3] - box[1]
    scale = frame_size / max(width, height)
    frame = (_rounded(width * scale, multiple), _rounded(height * scale, multiple))
    return Canvas(photo, chosen, identity_mask, box, frame)


def _depth(hard: Image.Image) -> float:
    """How far, in pixels, one can be inside the mask: half the side of the largest square that fits into it."""
    low, high = 0, max(1, min(hard.size) // 2)
    while low < high:
        reach = (low + high + 1) // 2
        fits = np.asarray(hard.filter(ImageFilter.BoxBlur(reach))).max() == 255
        low, high = (reach, high) if fits else (low, reach - 1)
    return low + 0.5


def _holds(box: tuple[int, int, int, int], inside: NDArray[np.bool_]) -> bool:
    """Whether all true pixels lie in `box`."""
    left, top, right, bottom = box
    return int(inside[top:bottom, left:right].sum()) == int(inside.sum())


def _rounded(side: float, multiple: int) -> int:
    return max(multiple, round(side / multiple) * multiple)


def crop_box(inside: NDArray[np.bool_], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """A box around the true pixels, `CONTEXT` times as large, square where the photo allows; (left, top, right, bottom)."""
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
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
    """RGB to `(3, H, W)` in -1..1."""
    return torch.tensor(np.asarray(picture), dtype=torch.float32).permute(2, 0, 1) / 127.5 - 1


def to_image(x: Tensor) -> Image.Image:
    """`(3, H, W)` in -1..1 to RGB, rounded: truncation would darken each round trip by half a level."""
    pixels = ((x.detach().float().cpu().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return Image.fromarray(pixels.permute(1, 2, 0).numpy())
