"""People in a probability map: its connected regions, their number, and the mask of one person. Needs only numpy and PIL."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from s2edit_core.errors import MaskInvalid, OptionInvalid
from s2edit_core.pictures.files import INSIDE
from s2edit_core.pictures.mask_regions import Regions

ProbabilityMap = NDArray[np.float32]
"""The probability of a person, `(h, w)` in 0..1: of any resolution, covering a whole picture."""
Predictor = Callable[[Image.Image], ProbabilityMap]
"""Maps a picture (RGB) to its probability map."""
GRID_SIDE = 256
"""Longest side of the grid on which regions are separated. A finer grid takes longer and finds no other people."""
MIN_PERSON_RATIO = 0.2
"""A region counts as a person from this share of the largest region's area."""
MIN_REGION_SHARE = 0.002
"""Regions below this share of the photo are noise."""
POINT_TOLERANCE = 2
"""How far, in grid cells, a point may be from the person it means; fingers are not exact."""
CROP_MARGIN = 1.5
"""Side of the crop for the second prediction, relative to the box around the person."""
MAX_CROP_SHARE = 0.8
"""The second prediction is made only if its crop is at most this share of the photo's longer side."""
MASK_REACH = 0.06
"""How far the second mask may extend beyond the first, as a share of the crop's side."""
SEARCH_SHARES = (0.4, 0.2)
"""Sides of the crops that are searched if nobody is found at a point, before their margin, as shares of the photo's longer side."""
MIN_OVERLAP = 0.5
"""Least overlap (IoU) of both masks: below it, the second prediction is of something else."""


def find_person(predict: Predictor, photo: Image.Image, at: tuple[int, int] | None = None) -> tuple[Image.Image, float, int]:
    """Find a person in `photo` (RGB): first in the whole photo, then in a crop around the person if that enlarges them.

    A network sees few pixels, so the crop gives a finer edge. If nobody is found in the whole photo at the pixel `at`, crops around
    that point are searched. Returns and raises as `choose_person`.
    """
    probability = predict(photo)
    try:
        mask, confidence, people = choose_person(probability, photo.size, at)
    except MaskInvalid:
        if at is None:
            raise
        return _find_around(predict, photo, at)
    box = _square_around(mask.getbbox() or (0, 0, *photo.size), photo.size)
    if max(box[2] - box[0], box[3] - box[1]) > MAX_CROP_SHARE * max(photo.size):
        return mask, confidence, people
    part = mask.crop(box)
    try:
        refined, refined_confidence, _ = choose_person(_limit_to_mask(predict(photo.crop(box)), part), part.size)
    except MaskInvalid:
        return mask, confidence, people
    if _overlap(refined, part) < MIN_OVERLAP:
        return mask, confidence, people
    return _on_canvas(refined, box, photo.size), refined_confidence, people


def _find_around(predict: Predictor, photo: Image.Image, at: tuple[int, int]) -> tuple[Image.Image, float, int]:
    """Find the person at the point `at` in successively smaller crops around it. Raises `MaskInvalid`."""
    for share in SEARCH_SHARES:
        side = share * max(photo.size)
        box = _square_around(
            (round(at[0] - side / 2), round(at[1] - side / 2), round(at[0] + side / 2), round(at[1] + side / 2)), photo.size
        )
        part = photo.crop(box)
        try:
            mask, confidence, people = choose_person(predict(part), part.size, (at[0] - box[0], at[1] - box[1]))
        except MaskInvalid:
            continue
        return _on_canvas(mask, box, photo.size), confidence, people
    raise MaskInvalid(
        f"nobody was found at {at[0]},{at[1]}: point at the person, or give a mask", field="mask", reason="mask_not_found"
    )


def _on_canvas(mask: Image.Image, box: tuple[int, int, int, int], size: tuple[int, int]) -> Image.Image:
    """Return an empty mask of `size` with `mask` pasted at `box`."""
    whole = Image.new("L", size)
    whole.paste(mask, box[:2])
    return whole


def _square_around(found: tuple[int, int, int, int], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return a square around a box, with a margin for parts that the first prediction missed, cut to the photo."""
    side = CROP_MARGIN * max(found[2] - found[0], found[3] - found[1])
    spans = []
    for low, high, limit in ((found[0], found[2], size[0]), (found[1], found[3], size[1])):
        middle = (low + high) / 2
        spans.append((max(0, round(middle - side / 2)), min(limit, round(middle + side / 2))))
    return spans[0][0], spans[1][0], spans[0][1], spans[1][1]


def _limit_to_mask(probability: ProbabilityMap, mask: Image.Image) -> ProbabilityMap:
    """Return `probability` with zeros beyond the reach of the first mask, so that other people do not count."""
    height, width = probability.shape
    reach = max(1, round(MASK_REACH * max(width, height)))
    seen = np.asarray(mask.resize((width, height), Image.Resampling.BOX)) >= INSIDE
    return np.where(_dilated(seen, reach), probability, 0).astype(np.float32)


def _dilated(inside: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """Return the cells from which a cell `inside` is at most `reach` rows and columns away.

    The cost does not depend on `reach`. PIL's `MaxFilter` takes seconds for the reach of a map of a megapixel.
    """
    for axis in (0, 1):
        margin = [(0, 0), (0, 0)]
        margin[axis] = (reach + 1, reach)
        counts = np.moveaxis(np.cumsum(np.pad(inside, margin), axis=axis, dtype=np.int32), axis, 0)
        inside = np.moveaxis(counts[2 * reach + 1 :] > counts[: -2 * reach - 1], 0, axis)
    return inside


def _overlap(a: Image.Image, b: Image.Image) -> float:
    """Return the intersection over union of two masks of one size."""
    one, other = (np.asarray(each) >= INSIDE for each in (a, b))
    return float((one & other).sum() / max(1, (one | other).sum()))


def choose_person(
    probability: ProbabilityMap, size: tuple[int, int], at: tuple[int, int] | None = None
) -> tuple[Image.Image, float, int]:
    """Return the mask of one person, the mean probability inside it, and how many people there are.

    `probability` `(h, w)` in 0..1, of any resolution, covers a photo of `size` (width, height). The person is the largest region
    above 0.5, or the one at the pixel `at` (x, y). The mask is L, of the photo's size: 255 inside, 0 outside. Raises `MaskInvalid`
    if nobody is found, `OptionInvalid` for a point outside the photo.
    """
    if at is not None and not (0 <= at[0] < size[0] and 0 <= at[1] < size[1]):
        raise OptionInvalid(f"at={at[0]},{at[1]} is outside the photo, which is {size[0]} × {size[1]} pixels", field="at")
    plane = Image.fromarray(np.rint(np.clip(probability, 0, 1) * 255).astype(np.uint8))  # bytes: a large photo needs little memory
    small = np.asarray(plane.resize(_fitted(size, GRID_SIDE), Image.Resampling.BILINEAR)) >= INSIDE
    regions = Regions.of(Image.fromarray(small.astype(np.uint8) * 255))
    large = np.where(regions.areas >= MIN_REGION_SHARE * small.size, regions.areas, 0)
    if not large.any():
        raise MaskInvalid("nobody was found in the photo: send a mask", field="mask", reason="mask_not_found")
    chosen = int(large.argmax()) if at is None else _region_at(regions.labels, large, at, size)
    reach = Image.fromarray((regions.labels == chosen).astype(np.uint8) * 255).filter(ImageFilter.MaxFilter(3))
    others = (regions.labels >= 0) & (regions.labels != chosen)
    own = Image.fromarray(np.where(others, 0, np.asarray(reach)).astype(np.uint8)).resize(size, Image.Resampling.NEAREST)
    wide = np.asarray(plane.resize(size, Image.Resampling.BILINEAR))
    inside = (wide >= INSIDE) & (np.asarray(own) > 0)
    people = int((large >= MIN_PERSON_RATIO * large.max()).sum())
    return Image.fromarray(inside.astype(np.uint8) * 255), float(wide[inside].mean()) / 255, people


def _region_at(labels: NDArray[np.intp], large: NDArray[np.intp], at: tuple[int, int], size: tuple[int, int]) -> int:
    """Return the region at a pixel of the photo, or the nearest within `POINT_TOLERANCE` cells.

    Raises `MaskInvalid` if there is none.
    """
    height, width = labels.shape
    x, y = int(at[0] * width / size[0]), int(at[1] * height / size[1])
    top, left = max(0, y - POINT_TOLERANCE), max(0, x - POINT_TOLERANCE)
    around = labels[top : y + POINT_TOLERANCE + 1, left : x + POINT_TOLERANCE + 1]
    ys, xs = np.nonzero(np.append(large, 0)[around] > 0)  # the label -1 takes the last value
    if not len(ys):
        raise MaskInvalid(
            f"nobody was found at {at[0]},{at[1]}: point at the person, or give a mask", field="mask", reason="mask_not_found"
        )
    nearest = int(((ys + top - y) ** 2 + (xs + left - x) ** 2).argmin())
    return int(around[ys[nearest], xs[nearest]])


def _fitted(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """Return `size` scaled down to a longest side of `longest`; a smaller size is returned unchanged."""
    scale = min(1.0, longest / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
