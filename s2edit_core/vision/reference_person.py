"""Who shows an attribute: the frame of a reference is cropped around that person, as the model's training pictures are.

In a photo from a phone, the person may be a small part. If the frame held the whole photo, a makeup would be a few latent cells.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import numpy as np
from PIL import Image, ImageChops

from s2edit_core.errors import MaskInvalid
from s2edit_core.pictures.files import inside_of
from s2edit_core.vision.segmenters import FoundMask


class Find(Protocol):
    """Finds a person at a pixel; see `Segmenter.find`."""

    def __call__(self, photo: Image.Image, *, prompt: str, at: tuple[int, int] | None) -> FoundMask: ...


def person_around(photo: Image.Image, region: Image.Image, prompt: str, find: Find) -> FoundMask | None:
    """Return who shows an attribute in the `region` (L) of `photo` (RGB); None if nobody is found there.

    `prompt` describes the person. The mask also holds the region, which may reach beyond the person, as the brim of a hat does.
    """
    inside = inside_of(region)
    rows, columns = np.nonzero(inside)
    try:
        found = find(photo, prompt=prompt, at=(int(columns.mean()), int(rows.mean())))
    except MaskInvalid:
        return None
    return replace(found, mask=ImageChops.lighter(found.mask, Image.fromarray(inside.astype(np.uint8) * 255)))
