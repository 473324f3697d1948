"""Measures of a result, so that an app can judge it without looking."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from s2edit_core.pictures import inside_of

if TYPE_CHECKING:  # it loads torch, which the engine of test mode does without
    from s2edit_core.canvas import Canvas

VISIBLE = 8
"""A pixel has visibly changed if a channel of it moved by more than this many 8-bit levels."""

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
    return {
        "outside_edit_mask": outside_change(photo, result, edit_mask),
        "outside_edit_mask_raw": outside_change(photo, raw, edit_mask),
        "mean_change_inside": inside_change(photo, result, edit_mask),
        "changed_share_inside": changed_share(photo, result, edit_mask),
    }


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
    mse = float(np.square(a.astype(np.float64) - b.astype(np.float64)).mean())
    return None if mse == 0 else round(10 * math.log10(255**2 / mse), 3)


def outside_change(photo: Image.Image, result: Image.Image, edit_mask: Image.Image) -> dict[str, Any]:
    """How much of what was not to change did: the largest difference of 8-bit levels, and PSNR (None: none at all).

    As the two below, it raises `ValueError` for pictures of different sizes or modes.
    """
    _check_alike(photo, result, edit_mask)
    outside = ~inside_of(edit_mask)
    a, b = np.asarray(photo)[outside], np.asarray(result)[outside]
    largest = int(np.abs(a.astype(np.int16) - b.astype(np.int16)).max()) if a.size else 0
    return {"max_level_difference": largest, "psnr_db": psnr_db(a, b)}


def inside_change(photo: Image.Image, result: Image.Image, edit_mask: Image.Image) -> float:
    """Mean difference of 8-bit levels inside the edit mask: near zero means that the edit did nothing."""
    _check_alike(photo, result, edit_mask)
    inside = inside_of(edit_mask)
    a, b = np.asarray(photo)[inside], np.asarray(result)[inside]
    return round(float(np.abs(a.astype(np.int16) - b.astype(np.int16)).mean()), 3) if a.size else 0.0


def changed_share(photo: Image.Image, result: Image.Image, edit_mask: Image.Image) -> float:
    """The share of the edit mask's pixels that have visibly changed: how much of what was allowed the edit used."""
    _check_alike(photo, result, edit_mask)
    inside = inside_of(edit_mask)
    a, b = np.asarray(photo)[inside], np.asarray(result)[inside]
    return round(float((np.abs(a.astype(np.int16) - b.astype(np.int16)).max(axis=-1) > VISIBLE).mean()), 4) if a.size else 0.0


def versions() -> dict[str, str]:
    return {name: version(name) for name in ("s2edit", "torch", "diffusers", "transformers")}
