"""Photos that carry the number of their request, and the reading of that number from an answer."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from cli.demo.samples import EDITS, sample

BITS = 12
CHECK_BITS = 4
ROWS = 24
"""Height of the mark, at the top of the photo, far from the person."""
DARK, LIGHT = 40, 215
UNCLEAR = (90.0, 165.0)
"""Means of a block that are neither dark nor light."""


@dataclass(frozen=True, slots=True)
class Portrait:
    """The photo of all requests, before it is marked. `kept` is true where nothing may change."""

    pixels: np.ndarray
    kept: np.ndarray
    prompt: str

    @property
    def size(self) -> tuple[int, int]:
        return self.pixels.shape[1], self.pixels.shape[0]

    def marked(self, number: int) -> np.ndarray:
        """Return the photo with a mark of `number`."""
        pixels = self.pixels.copy()
        width = self.size[0] // (BITS + CHECK_BITS)
        for i, bit in enumerate(_bits(number)):
            pixels[:ROWS, i * width : (i + 1) * width] = LIGHT if bit else DARK
        return pixels


def portrait() -> Portrait:
    """Return the sample of `s2edit demo`, whose mask leaves the top of the photo free."""
    what = sample()
    kept = np.asarray(what.mask) < 128
    assert kept[: 2 * ROWS].all()
    return Portrait(np.asarray(what.photo), kept, EDITS[0].prompt)


def read(picture: np.ndarray, size: tuple[int, int]) -> int | None:
    """Return the number that a picture carries, scaled to `size`; None if it carries none."""
    if (picture.shape[1], picture.shape[0]) != size:
        picture = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX))
    width = size[0] // (BITS + CHECK_BITS)
    inner = slice(ROWS // 4, ROWS - ROWS // 4)
    means = [picture[inner, i * width + width // 4 : (i + 1) * width - width // 4].mean() for i in range(BITS + CHECK_BITS)]
    if any(UNCLEAR[0] < mean < UNCLEAR[1] for mean in means):
        return None
    bits = [mean >= UNCLEAR[1] for mean in means]
    number = sum(bit << i for i, bit in enumerate(bits[:BITS]))
    return number if _bits(number) == bits else None


def _bits(number: int) -> list[bool]:
    """Return the bits of the number and of its checksum, which neither a black nor a white stripe has."""
    check = (number & 15) ^ (number >> 4 & 15) ^ (number >> 8 & 15) ^ 0b1010
    return [bool(number >> i & 1) for i in range(BITS)] + [bool(check >> i & 1) for i in range(CHECK_BITS)]


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()


def openai_mask(kept: np.ndarray) -> bytes:
    """Return the mask in OpenAI's convention: what may change is transparent."""
    pixels = np.full((*kept.shape, 4), 255, dtype=np.uint8)
    pixels[..., 3] = np.where(kept, 255, 0)
    return png(pixels)
