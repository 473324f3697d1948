"""An invisible watermark over the whole picture. It reads "made by s2edit" and nothing else, for anyone who has the picture.

The scheme is dwtDctSvd of the library invisible-watermark, at its usual strength. The colour difference U = 0.492 (B − Y) is
transformed by the Haar wavelet, and its coarse half is divided into blocks of 4 × 4, which cover 8 × 8 pixels. The largest singular
value of each block is moved to the first or third quarter of an interval of `STEP`, which encodes one bit. The `BITS` bits repeat
block by block, row by row, and are read by majority. The scheme's DCT is omitted: it is orthogonal and changes no singular value.
This module reads marks of that library. The library's own encoder is not used, because it swaps the finest horizontal and vertical
detail of U; this one adds only the mark.

Anyone who knows the scheme can add or remove the mark: it is an indication, not a proof. It survives JPEG, and scaling that is
undone. It does not survive scaling that is not undone, or crops from the left, the right or the top. Pure blue or yellow leaves no
room for it.

The bits are those of a digest, hence independent of any picture. In a picture without the mark, each bit is right with probability
1/2, and the number of right bits is binomial. That at most `WRONG` = 2 of 32 are wrong has the probability (1 + 32 + 496) / 2³² =
1.2e-7: the rate of false positives.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SCHEME = "dwtDctSvd"
BITS = 32
PAYLOAD = hashlib.sha256(b"made by s2edit").digest()[: BITS // 8]
WRONG = 2
"""The most bits that may be wrong for the mark to count as found."""
MIN_PIXELS = 256 * 256
"""Smaller pictures carry no mark, because each bit would have too few blocks."""

STEP = 36.0
BLOCK = 8  # pixels
STRIP = 64 * BLOCK
"""Rows of pixels processed at a time, so that a large photo needs little memory."""
U_OF_RGB = np.array([-0.147, -0.289, 0.436], np.float32)
RGB_OF_U = np.array([0.0, -0.395, 2.032], np.float32)  # keeps luma and the other colour difference

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Reading:
    """The number of bits, of `BITS`, that agree with the mark."""

    right: int

    @property
    def found(self) -> bool:
        """Whether the picture carries the mark."""
        return BITS - self.right <= WRONG

    @property
    def chance(self) -> float:
        """The probability, 0..1, of as many or more right bits in a picture without the mark."""
        return float(sum(math.comb(BITS, right) for right in range(self.right, BITS + 1))) / 2.0**BITS


def fits(size: tuple[int, int]) -> bool:
    """Return whether a picture of that width and height can carry the mark."""
    return size[0] * size[1] >= MIN_PIXELS and min(size) >= BLOCK


def facts(size: tuple[int, int]) -> dict[str, Any]:
    """Return the watermark's entries in a report for a picture of that width and height, as JSON values."""
    if fits(size):
        return {"scheme": SCHEME, "bits": BITS, "payload": PAYLOAD.hex()}
    return {"scheme": None, "reason": f"{size[0]}×{size[1]} is too small for it: {MIN_PIXELS} pixels are needed"}


def mark(picture: Image.Image) -> Image.Image:
    """Return `picture` (RGB) with the mark. Raises `ValueError` if it is too small.

    Blue changes most: by at most 7 of 256 levels in blocks of a single colour, and by slightly more at edges.
    """
    pixels = _pixels(picture).copy()
    for strip, bits in _strips(pixels):
        left, values, right = np.linalg.svd(_blocks(strip))
        largest = values[:, 0]
        shift = (largest // STEP + 0.25 + _payload()[bits] * np.float32(0.5)) * STEP - largest
        _add(strip, shift[:, None, None] * left[:, :, :1] * right[:, :1, :])
    return Image.fromarray(pixels)


def read(picture: Image.Image) -> Reading:
    """Read the mark of `picture` (RGB). Raises `ValueError` if it is too small for one.

    Blocks that are entirely white do not count: the mark never leaves any, so they were transparent and were laid on white.
    """
    ones, votes = np.zeros(BITS), np.zeros(BITS)
    for strip, every in _strips(_pixels(picture)):
        drawn = ~_white(strip)
        bits = every[drawn]
        largest = np.linalg.svd(_blocks(strip)[drawn], compute_uv=False)[:, 0]
        ones += np.bincount(bits, largest % STEP > STEP / 2, BITS)
        votes += np.bincount(bits, minlength=BITS)
    return Reading(int(((ones >= votes / 2) == _payload()).sum()))


def _payload() -> Pixels:
    return np.unpackbits(np.frombuffer(PAYLOAD, np.uint8))


def _pixels(picture: Image.Image) -> Pixels:
    if picture.mode != "RGB" or not fits(picture.size):
        raise ValueError(f"a picture in {picture.mode} of {picture.width}×{picture.height} carries no mark: see `fits`")
    return np.asarray(picture)


def _strips(pixels: Pixels) -> Iterator[tuple[Pixels, NDArray[np.intp]]]:
    """Yield views of whole blocks, from the top, each with the bit index (0..`BITS`-1) of every block.

    Incomplete blocks at the edges have none.
    """
    rows, columns = pixels.shape[0] // BLOCK, pixels.shape[1] // BLOCK
    for top in range(0, rows * BLOCK, STRIP):
        strip = pixels[top : min(top + STRIP, rows * BLOCK), : columns * BLOCK]
        first = top // BLOCK * columns
        yield strip, np.arange(first, first + len(strip) // BLOCK * columns) % BITS


def _white(strip: Pixels) -> NDArray[np.bool_]:
    """Return which blocks are entirely white: `(n,)`."""
    darkest = strip.min(axis=2)
    found: NDArray[np.bool_] = darkest.reshape(len(strip) // BLOCK, BLOCK, -1, BLOCK).min(axis=(1, 3)).ravel() == 255
    return found


def _blocks(strip: Pixels) -> Floats:
    """Return the coarse half of U in blocks: `(n, 4, 4)`."""
    u = strip.astype(np.float32) @ U_OF_RGB + 128
    rows, columns = len(u) // BLOCK, u.shape[1] // BLOCK
    coarse: Floats = u.reshape(rows, 4, 2, columns, 4, 2).sum(axis=(2, 5)) / 2
    return coarse.transpose(0, 2, 1, 3).reshape(-1, 4, 4)


def _add(strip: Pixels, change: Floats) -> None:
    """Add `change` to the coarse half of U, block by block and in place.

    Where a colour would leave its range, the luma is changed instead.
    """
    rows, columns = len(strip) // BLOCK, strip.shape[1] // BLOCK
    coarse = change.reshape(rows, columns, 4, 4).transpose(0, 2, 1, 3).reshape(rows * 4, columns * 4)
    colours = strip + (coarse / 2).repeat(2, axis=0).repeat(2, axis=1)[..., None] * RGB_OF_U
    colours -= (colours.max(axis=-1, keepdims=True) - 255).clip(min=0)
    colours -= colours.min(axis=-1, keepdims=True).clip(max=0)
    strip[:] = np.rint(colours).clip(0, 255)
