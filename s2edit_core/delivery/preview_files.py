"""Encode a preview as a small WebP file. Loads no torch, which the engine of test mode does without."""

from __future__ import annotations

import io

from PIL import Image

from s2edit_core.request.picture_limits import MAX_PREVIEW_BYTES

SIDE = 256
"""Long side of a preview, in pixels."""
QUALITIES = (70, 50, 30, 10)


def preview_size(photo: tuple[int, int]) -> tuple[int, int]:
    """Return width and height of the preview of a photo of this size: at most `SIDE`, and never larger than the photo."""
    scale = min(1.0, SIDE / max(photo))
    return max(1, round(photo[0] * scale)), max(1, round(photo[1] * scale))


def encode_preview(picture: Image.Image) -> bytes:
    """Return `picture` (RGB) as WebP of at most `MAX_PREVIEW_BYTES`: at a lower quality, and then smaller, where it has to be."""
    while True:
        for quality in QUALITIES:
            file = io.BytesIO()
            picture.save(file, "WEBP", quality=quality, method=2)
            if file.tell() <= MAX_PREVIEW_BYTES:
                return file.getvalue()
        picture = picture.resize((max(1, picture.width // 2), max(1, picture.height // 2)), Image.Resampling.BOX)
