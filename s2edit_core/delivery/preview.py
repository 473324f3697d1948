"""A preview of an edit while it is sampled: the whole photo, small, with the change so far inside the edit mask."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from s2edit_core.delivery.canvas import Canvas
from s2edit_core.delivery.latent_colours import LatentColours
from s2edit_core.delivery.preview_files import encode_preview, preview_size

KEPT_BELOW, REPLACED_ABOVE = 0.12, 0.35
"""Change of a colour, of 1: below the first the photo keeps its detail, above the second the drawn colours replace it."""


class PreviewPainter:
    """Draws previews of one edit of `canvas`, whose photo has the latent `before` `(c, h, w)`."""

    def __init__(self, canvas: Canvas, colours: LatentColours, before: Tensor) -> None:
        self._canvas = canvas
        self._colours = colours
        self._before = before

    def draw(self, latent: Tensor) -> bytes:
        """Return the preview of the estimated result `latent` `(c, h, w)` as WebP of at most `MAX_PREVIEW_BYTES`."""
        left, top, right, bottom = self._box
        after = self._sized(latent)
        change = (after - self._drawn_before).abs().amax(dim=0)
        kept = ((REPLACED_ABOVE - change) / (REPLACED_ABOVE - KEPT_BELOW)).clamp(0, 1)
        photo = self._photo[:, top:bottom, left:right]
        edited = (after + kept * (photo - self._drawn_before)).clamp(0, 1)
        whole = self._photo.clone()
        whole[:, top:bottom, left:right] = photo + self._opacity * (edited - photo)
        return encode_preview(Image.fromarray((whole * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()))

    @cached_property
    def _box(self) -> tuple[int, int, int, int]:
        """The box of the canvas in pixels of the preview, at least one wide and high."""
        width, height = preview_size(self._canvas.photo.size)
        across, down = width / self._canvas.photo.width, height / self._canvas.photo.height
        left, top, right, bottom = self._canvas.box
        x, y = min(round(left * across), width - 1), min(round(top * down), height - 1)
        return x, y, min(width, max(round(right * across), x + 1)), min(height, max(round(bottom * down), y + 1))

    @cached_property
    def _photo(self) -> Tensor:
        """The small photo, `(3, h, w)` in 0..1."""
        size = preview_size(self._canvas.photo.size)
        small = self._canvas.photo.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
        return torch.tensor(np.asarray(small), dtype=torch.float32).permute(2, 0, 1) / 255

    @cached_property
    def _opacity(self) -> Tensor:
        """The edit mask inside the box, `(h, w)` in 0..1."""
        left, top, right, bottom = self._box
        mask = self._canvas.edit_mask.crop(self._canvas.box).resize((right - left, bottom - top), Image.Resampling.BOX)
        return torch.tensor(np.asarray(mask), dtype=torch.float32) / 255

    @cached_property
    def _drawn_before(self) -> Tensor:
        return self._sized(self._before)

    def _sized(self, latent: Tensor) -> Tensor:
        """Return the colours of `latent` at the size of the box, `(3, h, w)` in 0..1."""
        left, top, right, bottom = self._box
        drawn = F.interpolate(self._colours(latent)[None], size=(bottom - top, right - left), mode="bicubic", align_corners=False)
        return ((drawn[0] + 1) / 2).clamp(0, 1)
