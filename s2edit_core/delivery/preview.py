"""A preview of an edit while it is sampled: the whole photo, small, with the change so far inside the edit mask.

The way of a preview: sampling yields its estimate of the result (`method.editing.SamplingProgress`), `worker.engines.previews`
attaches a painter of this module, `worker.attempts.control` draws about once a second and writes to Redis with the progress
(`redis_store.events`), and `api.following.previews` serves `GET /edits/{id}/preview`.
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from s2edit_core.delivery.canvas import Canvas, to_image, to_tensor
from s2edit_core.delivery.framing import Box
from s2edit_core.delivery.latent_colours import BLOCK, LatentColours, colour_moments
from s2edit_core.delivery.preview_files import encode_preview, preview_size

KEPT_BELOW, REPLACED_ABOVE = 0.24, 0.7
"""Change of a colour, of 2: below the first the photo keeps its detail, above the second the drawn colours replace it."""


class PreviewPainter:
    """Draws previews of one edit of `canvas`, whose photo has the latent `before` `(c, h, w)`.

    `of_model` are the moments of the model's latents and colours, see `model_moments`.
    """

    def __init__(self, canvas: Canvas, of_model: Tensor, before: Tensor) -> None:
        size = preview_size(canvas.photo.size)
        blocks = before.shape[-1] * BLOCK, before.shape[-2] * BLOCK
        photo, mask, box = _reduced(canvas, size, blocks)
        if canvas.seen == canvas.box:
            shown = photo.resize(blocks, Image.Resampling.BOX, box=box)
        else:
            shown = to_image(canvas.source()).resize(blocks, Image.Resampling.BOX)
        self._colours = LatentColours(of_model, colour_moments(before, to_tensor(shown)))
        self._small = photo.resize(size, Image.Resampling.BOX)
        self._whole = _box_within(canvas.box, canvas, size)
        self._box = _box_within(canvas.seen, canvas, size)
        self._photo = to_tensor(self._small.crop(self._box))
        opacity = mask.resize((self._photo.shape[2], self._photo.shape[1]), Image.Resampling.BOX, box=box)
        self._opacity = torch.tensor(np.asarray(opacity), dtype=torch.float32) / 255
        self._before = self._sized(before)

    def draw(self, latent: Tensor) -> bytes:
        """Return the preview of the estimated result `latent` `(c, h, w)` as WebP of at most `MAX_PREVIEW_BYTES`."""
        after = self._sized(latent)
        change = (after - self._before).abs().amax(dim=0)
        kept = ((REPLACED_ABOVE - change) / (REPLACED_ABOVE - KEPT_BELOW)).clamp(0, 1)
        edited = after + kept * (self._photo - self._before)
        part = torch.lerp(self._photo, edited, self._opacity).add_(1).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)
        preview = self._small.copy()
        preview.paste(Image.fromarray(part.permute(1, 2, 0).numpy()), self._box[:2])
        return encode_preview(preview)

    def _sized(self, latent: Tensor) -> Tensor:
        """Return the colours of `latent` at the size of what the frame shows of the photo, `(3, h, w)` in -1..1."""
        left, top, right, bottom = self._whole
        drawn = F.interpolate(self._colours(latent)[None], size=[bottom - top, right - left], mode="bilinear", align_corners=False)
        x, y = self._box[0] - left, self._box[1] - top
        return drawn[0, :, y : y + self._photo.shape[1], x : x + self._photo.shape[2]]


def _reduced(
    canvas: Canvas, size: tuple[int, int], blocks: tuple[int, int]
) -> tuple[Image.Image, Image.Image, tuple[float, float, float, float]]:
    """Return photo, edit mask and what is seen of them, made smaller by a whole factor where that leaves enough: for speed."""
    left, top, right, bottom = canvas.seen
    factor = max(1, min(canvas.photo.width // size[0], (right - left) // blocks[0], (bottom - top) // blocks[1]))
    photo, mask = canvas.photo.reduce(factor), canvas.edit_mask.reduce(factor)
    return photo, mask, (left / factor, top / factor, min(photo.width, right / factor), min(photo.height, bottom / factor))


def _box_within(box: Box, canvas: Canvas, size: tuple[int, int]) -> Box:
    """Return a box of the canvas in pixels of a preview of `size`, at least one wide and high."""
    (width, height), (left, top, right, bottom) = size, box
    across, down = width / canvas.photo.width, height / canvas.photo.height
    x, y = min(round(left * across), width - 1), min(round(top * down), height - 1)
    return x, y, max(round(right * across), x + 1), max(round(bottom * down), y + 1)
