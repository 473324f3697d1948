"""Measurements of a result, so that an app can judge it automatically."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

from s2edit_core.pictures.files import inside_of
from s2edit_core.pictures.mask_regions import marks_surroundings

if TYPE_CHECKING:  # loads torch, which the test-mode engine does without
    from s2edit_core.delivery.canvas import Canvas

VISIBLE = 8
"""A pixel counts as visibly changed if one of its channels differs by more than this many 8-bit levels."""
UNCHANGED = (
    "nothing changed visibly inside the edit mask: let the prompt say what shall differ from the photo, let the edit_mask cover "
    "it, and leave the strength at 1"
)
OUTSIDE = (
    "nothing changed visibly, and the edit_mask lies wholly outside the mask of the person: paint it over what the prompt changes"
)
SURROUNDINGS = (
    "the mask marks what lies around the middle of the photo, as if it were inverted: white, or in a drawing what is painted, must "
    "mark the person"
)
"""Warnings: the edit succeeded, and the app probably wanted another one."""
STRIP_PIXELS = 1 << 18
"""Pixels that are compared at a time."""

Embedder = Callable[[Image.Image], NDArray[np.floating[Any]]]
"""Maps a face (RGB) to a vector whose direction identifies the person."""


def measures(canvas: Canvas, raw: Image.Image, result: Image.Image, *, embed: Embedder | None = None) -> dict[str, Any]:
    """Measure an edit. `raw` is the decoded frame, `result` the edited photo, both RGB.

    With an embedder, the report includes the identity similarity: the cosine between embeddings of the crop before and after.
    """
    photo = canvas.photo
    unpasted = photo.copy()
    unpasted.paste(canvas.enlarged(raw), canvas.seen[:2])
    found = changes(photo, unpasted, result, canvas.edit_mask)
    if found["changed_share_inside"] == 0 and ImageChops.multiply(canvas.edit_mask, canvas.identity_mask).getbbox() is None:
        found["warnings"] = [OUTSIDE]
    found = warned(found, mask_warnings(canvas.identity_mask))
    if embed is not None:
        found["identity_similarity"] = cosine(embed(photo.crop(canvas.seen)), embed(result.crop(canvas.seen)))
    return found


def changes(photo: Image.Image, raw: Image.Image, result: Image.Image, edit_mask: Image.Image) -> dict[str, Any]:
    """Measure the change of pixels. `raw` is the photo with the whole decoded frame pasted in."""
    delivered = _Difference.between(photo, result, edit_mask)
    found = {
        "outside_edit_mask": delivered.outside(),
        "outside_edit_mask_raw": outside_change(photo, raw, edit_mask),
        "mean_change_inside": delivered.mean_inside(),
        "changed_share_inside": delivered.share_inside(),
    }
    return found if found["changed_share_inside"] else found | {"warnings": [UNCHANGED]}


def delivered(measures: Mapping[str, Any], output: Mapping[str, Any]) -> dict[str, Any]:
    """Add to `measures` what `encode_result` reports of the file.

    There is a single figure of the change outside the edit mask, `outside_edit_mask`. For a lossy format it is the file's, and
    replaces the one measured before encoding.
    """
    of_file = dict(output)
    outside = of_file.pop("outside_edit_mask", measures["outside_edit_mask"])
    return {**measures, "outside_edit_mask": outside, "output": of_file}


def mask_warnings(mask: Image.Image) -> list[str]:
    """Return what makes one doubt that `mask` (L) marks a person, in sentences."""
    return [SURROUNDINGS] * marks_surroundings(mask)


def warned(facts: Mapping[str, Any], warnings: Sequence[str]) -> dict[str, Any]:
    """Return `facts` with these warnings before those that they have."""
    every = [*warnings, *facts.get("warnings", ())]
    return {**facts, "warnings": every} if every else dict(facts)


def cosine(a: NDArray[np.floating[Any]], b: NDArray[np.floating[Any]]) -> float:
    """Return the cosine of two vectors of one shape. Raises `ValueError` if it is undefined."""
    x, y = np.asarray(a, dtype=np.float64).ravel(), np.asarray(b, dtype=np.float64).ravel()
    norms = float(np.linalg.norm(x) * np.linalg.norm(y))
    if x.shape != y.shape or not (math.isfinite(norms) and norms > 0):
        raise ValueError(f"embeddings of shapes {x.shape} and {y.shape} have no cosine: expected finite vectors other than zero")
    return round(float(x @ y) / norms, 6)


def _check_alike(photo: Image.Image, result: Image.Image, edit_mask: Image.Image) -> None:
    """Raise `ValueError` unless the pictures are RGB, the mask is L, and all have one size."""
    if (photo.mode, result.mode, edit_mask.mode) != ("RGB", "RGB", "L") or not photo.size == result.size == edit_mask.size:
        found = ", ".join(f"{each.mode} {each.size}" for each in (photo, result, edit_mask))
        raise ValueError(f"expected photo and result in RGB and a mask in L, all of one size, got {found}")


def picture_digest(picture: Image.Image) -> str:
    """Return a digest of a picture's pixels, which does not depend on its file."""
    return hashlib.sha256(f"{picture.mode} {picture.size} ".encode() + picture.tobytes()).hexdigest()


def psnr_db(a: NDArray[np.generic], b: NDArray[np.generic]) -> float | None:
    """Return the peak signal-to-noise ratio of 8-bit pixels in dB; None if they are equal or there are none.

    Raises `ValueError` for different shapes.
    """
    if a.shape != b.shape:
        raise ValueError(f"expected pixels of one shape, got {a.shape} and {b.shape}")
    if a.size == 0:
        return None
    return _psnr(float(np.square(a.astype(np.float64) - b.astype(np.float64)).mean()))


def _psnr(mse: float) -> float | None:
    return None if mse == 0 else round(10 * math.log10(255**2 / mse), 3)


def outside_change(photo: Image.Image, result: Image.Image, edit_mask: Image.Image) -> dict[str, Any]:
    """Measure the change outside `edit_mask`: the largest difference in 8-bit levels, and the PSNR (None: no change).

    Like `changed_share`, it raises `ValueError` for pictures of different sizes or modes.
    """
    return _Difference.between(photo, result, edit_mask).outside()


def changed_share(photo: Image.Image, result: Image.Image, edit_mask: Image.Image) -> float:
    """Return the share of the edit mask's pixels that changed visibly."""
    return _Difference.between(photo, result, edit_mask).share_inside()


@dataclass
class _Difference:
    """Sums over the pixels of two pictures, outside and inside an edit mask, computed in strips to save memory."""

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


_version = cache(version)  # every call parses the package's metadata


def versions() -> dict[str, str]:
    """Return the versions of this package and of the libraries that results depend on."""
    return {name: _version(name) for name in ("s2edit", "torch", "diffusers", "transformers")}
