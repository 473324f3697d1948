"""Between the photo as uploaded and the frame that the model sees, and back.

The region around the masks is cropped with margin and brought to the model's size. Where the crop reaches beyond the photo, its
border pixels go on. What the edit changed is brought back to the photo's own pixels (`difference`), with a soft seam that lies
*inside* the edit mask. Outside the edit mask the pixels of the answer are those of the photo, exactly.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from s2edit_core.argument_types import checked
from s2edit_core.delivery.changes import Change
from s2edit_core.delivery.difference import STRIP_PIXELS, noise_level
from s2edit_core.delivery.framing import Box, Framing, extent, framed, holds, whole_extent, within
from s2edit_core.delivery.resampling import Axis
from s2edit_core.delivery.seam import Seam
from s2edit_core.errors import ImageInvalid
from s2edit_core.pictures.files import check_mask, grown, inside_of
from s2edit_core.pictures.mask_regions import without_specks
from s2edit_core.request.domains import Placement

SEAM = 0.02
"""Width of the seam inside the edit mask, relative to the long side of the crop; at least two pixels, less in thin parts."""
DEFAULT_PLACEMENT = Placement()
MOST_DETAIL = 8
"""Pixels per pixel of the frame, along each side, from which a crop is scaled to the frame where it reaches beyond the photo."""
GRAIN_SAMPLE = 1024
"""Side of the square, in the middle of the crop, where the photo's noise is measured."""


@dataclass(frozen=True)
class Canvas:
    """Where the model's frame lies in the photo. `box` is (left, top, right, bottom) in pixels, `frame` (width, height).

    The box may reach beyond the photo, see `framing`.
    """

    photo: Image.Image  # RGB
    edit_mask: Image.Image  # L, of the photo's size
    identity_mask: Image.Image  # L, of the photo's size
    box: Box
    frame: tuple[int, int]

    @property
    def digest(self) -> str:
        """Names what the model sees of the photo and of the identity mask; the edit mask does not enter."""
        digest = hashlib.sha256(repr((self.box, self.frame)).encode())
        for picture in (self.photo, self.identity_mask):
            digest.update(picture.crop(self.seen).tobytes())
        return digest.hexdigest()[:32]

    def source(self) -> Tensor:
        """The frame as the model sees it: `(3, H, W)` in -1..1."""
        return to_tensor(_cropped(self.photo, self.box, self.frame, "edge").resize(self.frame, Image.Resampling.LANCZOS))

    @property
    def seen(self) -> Box:
        """The part of the photo that the frame shows."""
        return within(self.box, self.photo.size)

    def mask(self, which: Image.Image) -> Tensor:
        """A mask of the photo in the frame: `(H, W)` in 0..1. Raises `ValueError` for one of another size or mode."""
        if which.mode != "L" or which.size != self.photo.size:
            raise ValueError(f"expected a mask in L of the photo's size {self.photo.size}, got {which.mode} {which.size}")
        cropped = _cropped(which, self.box, self.frame, "constant").resize(self.frame, Image.Resampling.BOX)
        return torch.tensor(np.asarray(cropped), dtype=torch.float32) / 255

    def cells(self, which: Image.Image, size: tuple[int, int]) -> Tensor:
        """A mask of the photo in latent cells: `size` (h, w) in 0..1. Raises as `mask`."""
        return adaptive_avg_pool2d(self.mask(which)[None], size)[0]

    def region(self, cells: Tensor) -> Image.Image:
        """A mask of the photo, L, from strengths `(h, w)` in 0..1 of cells of the frame, of which `mask` returns about the same."""
        levels = Image.fromarray((cells.detach().cpu().float() * 255).round().byte().numpy())
        mask = Image.new("L", self.photo.size)
        mask.paste(self.enlarged(levels, Image.Resampling.NEAREST), self.seen[:2])
        return mask

    def enlarged(self, picture: Image.Image, resample: Image.Resampling = Image.Resampling.LANCZOS) -> Image.Image:
        """The part of a `picture` of the frame that belongs at `seen`, at the photo's size."""
        (left, top, right, bottom), seen = self.box, self.seen
        across, down = picture.width / (right - left), picture.height / (bottom - top)
        part = ((seen[0] - left) * across, (seen[1] - top) * down, (seen[2] - left) * across, (seen[3] - top) * down)
        return picture.resize((seen[2] - seen[0], seen[3] - seen[1]), resample, box=part)

    @property
    def stretch(self) -> float:
        """How much wider the frame shows things than they are; 1 unless the masks reach too close to the photo's borders."""
        return Framing(self.box, self.frame).stretch

    def deliver(self, change: Change) -> Image.Image:
        """The photo with what the edit changed, inside the edit mask. Raises `ValueError` for a change of another frame."""
        acts = change.acts
        if acts.shape != (self.frame[1], self.frame[0]):
            raise ValueError(f"expected a change of the frame {self.frame}, got one of {tuple(acts.shape[::-1])}")
        left, top, right, bottom = self.box
        pixels = np.asarray(self.photo).copy()
        if not bool(acts.any()):
            return Image.fromarray(pixels)
        seam, x, y = self._seam(), self.seen[0] - left, self.seen[1] - top
        across, down = Axis.of(self.frame[0], right - left), Axis.of(self.frame[1], bottom - top)
        columns = _overlap(_touched(acts.any(dim=0), right - left), x, self.photo.width - left)
        touched = _overlap(_touched(acts.any(dim=1), bottom - top), y, self.photo.height - top)
        if columns.start == columns.stop:  # nothing but what lies beyond the photo
            return Image.fromarray(pixels)
        maps = across.along(change.maps, 2, columns.start, columns.stop)
        for rows in _strips(touched, columns.stop - columns.start):
            opacity = seam.rows(rows.start - y, rows.stop - y)[:, columns.start - x : columns.stop - x, None]
            part = pixels[top + rows.start : top + rows.stop, left + columns.start : left + columns.stop]
            photo = torch.from_numpy(part).permute(2, 0, 1).float().div_(255)
            edited = change.applied(maps, down, rows, photo, self.noise).mul_(255).permute(1, 2, 0).numpy()
            part[:] = np.rint(part + opacity * (edited - part)).clip(0, 255).astype(np.uint8)
        return Image.fromarray(pixels)

    def paste(self, edited: Tensor) -> Image.Image:
        """The photo with the edited frame `(3, H, W)` in -1..1, scaled up, in place of all that is inside the edit mask.

        The photo's own detail there is lost: `deliver` keeps it. Raises `ValueError` for another shape.
        """
        if edited.shape != (3, self.frame[1], self.frame[0]):
            raise ValueError(f"expected the frame (3, {self.frame[1]}, {self.frame[0]}), got {tuple(edited.shape)}")
        left, top, right, bottom = self.seen
        patch = self.enlarged(to_image(edited))
        pixels, seam = np.asarray(self.photo).copy(), self._seam()
        for rows in _strips(slice(0, bottom - top), right - left):
            opacity = seam.rows(rows.start, rows.stop)[..., None]
            part = pixels[top + rows.start : top + rows.stop, left:right]
            drawn = np.asarray(patch.crop((0, rows.start, right - left, rows.stop)), dtype=np.float32)
            part[:] = np.rint(part + opacity * (drawn - part)).clip(0, 255).astype(np.uint8)
        return Image.fromarray(pixels)

    @cached_property
    def noise(self) -> float:
        """The photo's noise (`noise_level`) in the middle of what the frame shows of it, in levels 0..1."""
        left, top, right, bottom = self.seen
        x, y = max(left, (left + right - GRAIN_SAMPLE) // 2), max(top, (top + bottom - GRAIN_SAMPLE) // 2)
        sample = self.photo.crop((x, y, min(right, x + GRAIN_SAMPLE), min(bottom, y + GRAIN_SAMPLE)))
        return noise_level(to_tensor(sample)) / 2  # of -1..1

    def _seam(self) -> Seam:
        """How opaque the edit is in the part that is seen: 0 outside the edit mask, rising to 1 within the seam inside it."""
        left, top, right, bottom = self.box
        return Seam.of(self.edit_mask, self.seen, max(2, round(SEAM * max(right - left, bottom - top))))


def _touched(acts: Tensor, length: int) -> slice:
    """The samples of `length` that the true ones of `acts` `(n,)` reach, by cubic resampling."""
    found = acts.nonzero().flatten()
    scale = length / len(acts)
    reach = 2 * max(1.0, scale) + 2 * scale
    return slice(max(0, int(found[0] * scale - reach)), min(length, int((found[-1] + 1) * scale + reach) + 1))


def _overlap(part: slice, start: int, stop: int) -> slice:
    """What `part` has in common with `start`..`stop`; an empty slice if nothing."""
    first = max(part.start, start)
    return slice(first, max(first, min(part.stop, stop)))


def _cropped(picture: Image.Image, box: Box, frame: tuple[int, int], beyond: Literal["edge", "constant"]) -> Image.Image:
    """The crop `box` of `picture`: beyond it, its border pixels go on ("edge"), or it is black ("constant").

    A crop that reaches beyond a large picture is made smaller, because it could be far larger than the picture; a frame needs few
    pixels.
    """
    inside = within(box, picture.size)
    crop = picture.crop(inside)
    if inside == box:
        return crop
    factor = max(1, math.ceil(max((box[2] - box[0]) / frame[0], (box[3] - box[1]) / frame[1]) / MOST_DETAIL))
    margins = [(inside[1] - box[1], box[3] - inside[3]), (inside[0] - box[0], box[2] - inside[2]), (0, 0)]
    pixels = np.asarray(crop.reduce(factor))
    smaller = [(round(before / factor), round(after / factor)) for before, after in margins[: pixels.ndim]]
    return Image.fromarray(np.pad(pixels, smaller, mode=beyond))


def _strips(rows: slice, width: int) -> Iterator[slice]:
    """`rows` in pieces of about `STRIP_PIXELS`."""
    step = max(1, STRIP_PIXELS // width)
    for start in range(rows.start, rows.stop, step):
        yield slice(start, min(rows.stop, start + step))


@checked
def make_canvas(
    photo: Image.Image,
    identity_mask: Image.Image,
    edit_mask: Image.Image | None,
    *,
    frame_size: int,
    multiple: int,
    placement: Placement = DEFAULT_PLACEMENT,
) -> Canvas:
    """Choose the crop around the masks, and a frame of `frame_size` along its long side, divisible by `multiple`.

    The identity alone decides the crop where the edit mask fits into it: so edits with different masks share one inversion. Specks
    of the edit mask count for nothing.
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
    inside = inside_of(identity_mask)
    choose = partial(
        framed,
        whole_extent(inside) if placement.square and placement.aside is not None else extent(inside),
        photo.size,
        frame_size=frame_size,
        multiple=multiple,
        placement=placement,
        covered=0 if inside.all() else int(inside.sum()),  # a mask of everything does not say how large the subject is
    )
    framing = choose()
    if edit_mask is None:
        return Canvas(photo, _cut_to(grown(identity_mask), framing.box), identity_mask, framing.box, framing.frame)
    chosen = without_specks(edit_mask)
    changes = extent(inside_of(chosen))
    if not holds(framing.box, changes):
        framing = choose(required=changes)
    return Canvas(photo, chosen, identity_mask, framing.box, framing.frame)


def _cut_to(mask: Image.Image, box: Box) -> Image.Image:
    """`mask` with nothing outside `box`."""
    cut = Image.new("L", mask.size)
    cut.paste(mask.crop(box), box[:2])
    return cut


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
