"""An invisible watermark over a whole picture: it says "made by s2edit" to whoever has the picture and nothing else.

The scheme is dwtDctSvd of the library invisible-watermark, at its usual strength. Of the colour difference U = 0.492 (B − Y) the
coarse half of the Haar wavelet transform is cut into blocks of 4×4, which are 8×8 pixels; the largest singular value of each is
moved to the first or the third quarter of an interval of `STEP`: one bit. The `BITS` bits are repeated block by block, row by row,
and read by majority. (The scheme's DCT is orthogonal and changes no singular value, so it is left out.) Its marks are
read here; it does not write ours, for its encoder swaps the finest horizontal and vertical detail of U. Here no more is added to
the picture than the mark.

Whoever knows the scheme can put the mark anywhere and take it off: it is a sign, not a proof. It outlives JPEG, and scaling that is
undone; neither scaling that is not, nor a crop from the left, the right or the top. On pure blue or yellow there is no room for it.

The bits are those of a digest, so they have nothing to do with any picture: in one without the mark each is right with probability
1/2, and how many are right is binomial. That at most `WRONG` = 2 of 32 are wrong there has probability (1 + 32 + 496) / 2³² =
1.2e-7, which is how often a picture is taken for marked that isn't.
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
"""So many bits at most may be wrong where the mark counts as found."""
MIN_PIXELS = 256 * 256
"""Smaller pictures carry no mark: too few blocks would speak for each bit."""

STEP = 36.0
BLOCK = 8  # pixels
STRIP = 64 * BLOCK
"""Rows of pixels that are worked on at a time, so that a large photo needs little memory."""
U_OF_RGB = np.array([-0.147, -0.289, 0.436], np.float32)
RGB_OF_U = np.array([0.0, -0.395, 2.032], np.float32)  # luma and the other colour difference stay

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Reading:
    """How many of the `BITS` bits that were read from a picture are the mark's."""

    right: int

    @property
    def found(self) -> bool:
        return BITS - self.right <= WRONG

    @property
    def chance(self) -> float:
        """The probability, 0..1, that so many bits or more are right in a picture without the mark."""
        return float(sum(math.comb(BITS, right) for right in range(self.right, BITS + 1))) / 2.0**BITS


def fits(size: tuple[int, int]) -> bool:
    """Whether a picture of that width and height can carry the mark."""
    return size[0] * size[1] >= MIN_PIXELS and min(size) >= BLOCK


def told(size: tuple[int, int]) -> dict[str, Any]:
    """What a report says of the watermark in a picture of that width and height, as JSON values."""
    if fits(size):
        return {"scheme": SCHEME, "bits": BITS, "payload": PAYLOAD.hex()}
    return {"scheme": None, "reason": f"{size[0]}×{size[1]} is too small for it: {MIN_PIXELS} pixels are needed"}


def mark(picture: Image.Image) -> Image.Image:
    """`picture`, which is RGB, with the mark. Raises `ValueError` if it does not fit.

    Blue moves most: by 7 of 256 levels at most where a block has one colour, at edges by a few more.
    """
    pixels = _pixels(picture).copy()
    for strip, bits in _strips(pixels):
        left, values, right = np.linalg.svd(_blocks(strip))
        largest = values[:, 0]
        move = (largest // STEP + 0.25 + _payload()[bits] * np.float32(0.5)) * STEP - largest
        _add(strip, move[:, None, None] * left[:, :, :1] * right[:, :1, :])
    return Image.fromarray(pixels)


def read(picture: Image.Image) -> Reading:
    """What `picture`, which is RGB, has of the mark. Raises `ValueError` if none fits.

    Blocks that are white throughout have no vote. The mark leaves none such, so this is what was transparent and is laid on white.
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
    """Views of whole blocks, from the top, each with the bit (0..`BITS`-1) of every block. What is left at the edges has none."""
    rows, columns = pixels.shape[0] // BLOCK, pixels.shape[1] // BLOCK
    for top in range(0, rows * BLOCK, STRIP):
        strip = pixels[top : min(top + STRIP, rows * BLOCK), : columns * BLOCK]
        first = top // BLOCK * columns
        yield strip, np.arange(first, first + len(strip) // BLOCK * columns) % BITS


def _white(strip: Pixels) -> NDArray[np.bool_]:
    """Which blocks are white throughout: n."""
    darkest = strip.min(axis=2)
    found: NDArray[np.bool_] = darkest.reshape(len(strip) // BLOCK, BLOCK, -1, BLOCK).min(axis=(1, 3)).ravel() == 255
    return found


def _blocks(strip: Pixels) -> Floats:
    """U's coarse half, in blocks: n, 4, 4."""
    u = strip.astype(np.float32) @ U_OF_RGB + 128
    rows, columns = len(u) // BLOCK, u.shape[1] // BLOCK
    coarse: Floats = u.reshape(rows, 4, 2, columns, 4, 2).sum(axis=(2, 5)) / 2
    return coarse.transpose(0, 2, 1, 3).reshape(-1, 4, 4)


def _add(strip: Pixels, change: Floats) -> None:
    """Change U's coarse half, block by block, in place; where a colour would leave its range the luma gives way."""
    rows, columns = len(strip) // BLOCK, strip.shape[1] // BLOCK
    coarse = change.reshape(rows, columns, 4, 4).transpose(0, 2, 1, 3).reshape(rows * 4, columns * 4)
    colours = strip + (coarse / 2).repeat(2, axis=0).repeat(2, axis=1)[..., None] * RGB_OF_U
    colours -= (colours.max(axis=-1, keepdims=True) - 255).clip(min=0)
    colours -= colours.min(axis=-1, keepdims=True).clip(max=0)
    strip[:] = np.rint(colours).clip(0, 255)
