"""Measures of a result, so that an app can judge it without looking."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from s2edit_core.pictures.files import inside_of

if TYPE_CHECKING:  # it loads torch, which the engine of test mode does without
    from s2edit_core.delivery.canvas import Canvas

VISIBLE = 8
"""A pixel has visibly changed if a channel of it moved by more than this many 8-bit levels."""
STRIP_PIXELS = 1 << 18
"""Pixels that are compared at a time."""

Embedder = Callable[[Image.Image], NDArray[np.floating[Any]]]
"""A face, RGB, to a vector of which the direction says who it is."""


def measures(canvas: Canvas, raw: Image.Image, result: Image.Image, *, embed: Embedder | None = None) -> dict[str, Any]:
    """What an edit did. `raw` is the edited frame as drawn, `result` the photo with it pasted in, both RGB.

    Identity similarity is the cosine of the embeddings of the crop before and after; there only with an embedder.
    """
    box, photo = canvas.box, canvas.photo
    unpasted = photo.copy()
    unpasted.paste(raw.resize((box[2] - box[0], box[3] - box[1]), Image.Resampling.LANCZOS), box[:2])
    found = changes(photo, unpasted, result, canvas.edit_mask)
    if embed is not None:
        found["identity_similarity"] = cosine(embed(photo.crop(box)), embed(result.crop(box)))
    return found


def changes(photo: Image.Image, raw: Image.Image, result: Image.Image, edit_mask: Image.Image) -> dict[str, Any]:
    """What an edit did to the pixels. `raw` is the photo with the edited frame pasted in whole."""
    delivered = _Difference.between(photo, result, edit_mask)
    return {
        "outside_edit_mask": delivered.outside(),
        "outside_edit_mask_raw": outside_change(photo, raw, edit_mask),
        "mean_change_inside": delivered.mean_inside(),
        "changed_share_inside": delivered.share_inside(),
    }


def delivered(measures: Mapping[str, Any], output: Mapping[str, Any]) -> dict[str, Any]:
    """`measures` with what `encode_result` says of the file.

    There is one figure of what changed outside the edit mask, `outside_edit_mask`. It is the file's: where the format is lossy it
    stands for what was measured before encoding.
    """
    of_file = dict(output)
    outside = of_file.pop("outside_edit_mask", measures["outside_edit_mask"])
    return {**measures, "outside_edit_mask": outside, "output": of_file}


def cosine(a: NDArray[np.floating[Any]], b: NDArray[np.floating[Any]]) -> float:
    """Of two vectors of one shape; raises `ValueError` where there is none."""
    x, y = np.asarray(a, dtype=np.float64).ravel(), np.asarray(b, dtype=np.float64).ravel()
    norms = float(np.linalg.norm(x) * np.linalg.norm(y))
    if x.shape != y.shape or not (math.isfinite(norms) and norms > 0):
        raise ValueError(f"embeddings of shapes {x.shape} and {y.shape} have no cosine: expected finite vectors other than zero")
    return round(float(x @ y) / norms, 6)


def _check_alike(photo: Image.Image, result: Image.Image, edit_mask: Image.Image) -> None:
    """Raises `ValueError` unless the pictures are RGB, the mask L, and all of one size."""
    if (photo.mode, result.mode, edit_mask.mode) != ("RGB", "RGB", "L") or not photo.size == result.size == edit_mask.size:
        found = ", ".join(f"{each.mode} {each.size}" for each in (photo, result, edit_mask))
        raise ValueError(f"expected photo and result in RGB and a mask in L, all of one size, got {found}")


def picture_digest(picture: Image.Image) -> str:
    """Names a picture by its pixels, whatever file they came in."""
    return hashlib.sha256(f"{picture.mode} {picture.size} ".encode() + picture.tobytes()).hexdigest()


def psnr_db(a: NDArray[np.generic], b: NDArray[np.generic]) -> float | None:
    """Peak signal-to-noise ratio of 8-bit pixels; None if they are equal or there are none. Raises `ValueError` for two shapes."""
    if a.shape != b.shape:
        raise ValueError(f"expected pixels of one shape, got {a.shape} and {b.shape}")
    if a.size == 0:
        return None
    return _psnr(float(np.square(a.astype(np.float64) - b.astype(np.float64)).mean()))


def _psnr(mse: float) -> float | None:
    return None if mse == 0 else round(10 * math.log10(255**2 / mse), 3)


def outside_change(photo: Image.Image, result: Image.Image, edit_mask: Image.Image) -> dict[str, Any]:
    """How much of what was not to change did: the largest difference of 8-bit levels, and PSNR (None: none at all).

    As the two below, it raises `ValueError` for pictures of different sizes or modes.
    """
    return _Difference.between(photo, result, edit_mask).outside()


def inside_change(photo: Image.Image, result: Image.Image, edit_mask: Image.Image) -> float:
    """Mean difference of 8-bit levels inside the edit mask: near zero means that the edit did nothing."""
    return _Difference.between(photo, result, edit_mask).mean_inside()


def changed_share(photo: Image.Image, result: Image.Image, edit_mask: Image.Image) -> float:
    """The share of the edit mask's pixels that have visibly changed: how much of what was allowed the edit used."""
    return _Difference.between(photo, result, edit_mask).share_inside()


@dataclass
class _Difference:
    """Sums over the pixels of two pictures, outside and inside an edit mask; found strip by strip, so that memory stays small."""

    largest_outside: int = 0
    squares_outside: int = 0
    pixels_outside: int = 0
    levels_inside: int = 0
    visible_inside: int = 0
    pixels_inside: int = 0

    @classmethod
    def between(cls, photo: Image.Image, result: Image.Image, edit_mask: Image.Image) -> _Difference:
        _check_alike(photo, result, edit_mask)
        found, width = cls(), photo.width
        rows = max(1, STRIP_PIXELS // width)
        for top in range(0, photo.height, rows):
            box = (0, top, width, min(photo.height, top + rows))
            found._add(np.asarray(photo.crop(box)), np.asarray(result.crop(box)), inside_of(edit_mask.crop(box)))
        return found

    def _add(self, photo: NDArray[np.uint8], result: NDArray[np.uint8], inside: NDArray[np.bool_]) -> None:
        moved = np.maximum(photo, result) - np.minimum(photo, result)
        largest = np.maximum(np.maximum(moved[..., 0], moved[..., 1]), moved[..., 2])
        self.pixels_inside += int(inside.sum())
        self.pixels_outside += int(inside.size - inside.sum())
        outside = largest * ~inside
        if outside.any():
            self.largest_outside = max(self.largest_outside, int(outside.max()))
            self.squares_outside += int(np.square(moved[~inside].astype(np.int32)).sum(dtype=np.int64))
        if largest.any():
            self.levels_inside += int((moved * inside[..., None]).sum(dtype=np.int64))
            self.visible_inside += int((inside & (largest > VISIBLE)).sum())

    def outside(self) -> dict[str, Any]:
        mse = self.squares_outside / (3 * self.pixels_outside) if self.pixels_outside else 0.0
        return {"max_level_difference": self.largest_outside, "psnr_db": _psnr(mse)}

    def mean_inside(self) -> float:
        return round(self.levels_inside / (3 * self.pixels_inside), 3) if self.pixels_inside else 0.0

    def share_inside(self) -> float:
        return round(self.visible_inside / self.pixels_inside, 4) if self.pixels_inside else 0.0


def versions() -> dict[str, str]:
    return {name: version(name) for name in ("s2edit", "torch", "diffusers", "transformers")}
