"""People in a probability map: connected regions, counted, and one of them chosen. numpy and PIL only."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from s2edit_core.errors import MaskInvalid, OptionInvalid
from s2edit_core.pictures.files import INSIDE
from s2edit_core.pictures.regions import Regions

Plane = NDArray[np.float32]
"""How probable a person is: `(h, w)` in 0..1, of any resolution, over the whole of a picture."""
Look = Callable[[Image.Image], Plane]
GRID = 256
"""Longest side of the grid on which regions are separated: more cells cost time and find no other people."""
ANOTHER_PERSON = 0.2
"""A region counts as a person from this share of the largest region's area."""
SMALLEST = 0.002
"""Share of the photo below which a region is noise."""
NEAR = 2
"""Grid cells by which a point may miss the person it means: fingers do."""
MARGIN = 1.5
"""Side of the second look, relative to the box around the person."""
WORTH_IT = 0.8
"""A second look is taken where it shows the person larger by at least this."""
REACH = 0.06
"""How far outside the first mask the second may reach, as a share of the second look's side."""
CLOSER = (0.4, 0.2)
"""Where nobody is seen at a point: sides of the squares around it, before their margin, as shares of the photo's longer side."""
SAME_PERSON = 0.5
"""Least overlap of both looks' masks: below it the second saw something else."""


def find_person(look: Look, photo: Image.Image, at: tuple[int, int] | None = None) -> tuple[Image.Image, float, int]:
    """Look at the whole photo and then, where the person fills little of it, once more at the part around the person.

    A network sees few pixels, so the second look draws a finer edge. Whoever is not seen in the whole photo at `at` is looked for
    around that point. Returns what `choose_person` does, and raises the same.
    """
    probability = look(photo)
    try:
        mask, sure, people = choose_person(probability, photo.size, at)
    except MaskInvalid:
        if at is None:
            raise
        return _find_around(look, photo, at)
    box = _around(mask.getbbox() or (0, 0, *photo.size), photo.size)
    if max(box[2] - box[0], box[3] - box[1]) > WORTH_IT * max(photo.size):
        return mask, sure, people
    part = mask.crop(box)
    try:
        nearer, nearer_sure, _ = choose_person(_near(look(photo.crop(box)), part), part.size)
    except MaskInvalid:
        return mask, sure, people
    if _overlap(nearer, part) < SAME_PERSON:
        return mask, sure, people
    return _within(nearer, box, photo.size), nearer_sure, people


def _find_around(look: Look, photo: Image.Image, at: tuple[int, int]) -> tuple[Image.Image, float, int]:
    """The person at a point of the photo, looked for in ever smaller squares around it. Raises `MaskInvalid`."""
    for share in CLOSER:
        side = share * max(photo.size)
        box = _around(
            (round(at[0] - side / 2), round(at[1] - side / 2), round(at[0] + side / 2), round(at[1] + side / 2)), photo.size
        )
        part = photo.crop(box)
        try:
            mask, sure, people = choose_person(look(part), part.size, (at[0] - box[0], at[1] - box[1]))
        except MaskInvalid:
            continue
        return _within(mask, box, photo.size), sure, people
    raise MaskInvalid(
        f"nobody was found at {at[0]},{at[1]}: point at the person, or give a mask", field="mask", reason="mask_not_found"
    )


def _within(mask: Image.Image, box: tuple[int, int, int, int], size: tuple[int, int]) -> Image.Image:
    whole = Image.new("L", size)
    whole.paste(mask, box[:2])
    return whole


def _around(found: tuple[int, int, int, int], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """A square around a box with room for what the first look has missed, cut to the photo."""
    side = MARGIN * max(found[2] - found[0], found[3] - found[1])
    spans = []
    for low, high, limit in ((found[0], found[2], size[0]), (found[1], found[3], size[1])):
        middle = (low + high) / 2
        spans.append((max(0, round(middle - side / 2)), min(limit, round(middle + side / 2))))
    return spans[0][0], spans[1][0], spans[0][1], spans[1][1]


def _near(probability: Plane, mask: Image.Image) -> Plane:
    """`probability` where the mask of the first look is within reach: other people are not."""
    height, width = probability.shape
    reach = 2 * max(1, round(REACH * max(width, height))) + 1
    seen = mask.resize((width, height), Image.Resampling.BOX).filter(ImageFilter.MaxFilter(reach))
    return np.where(np.asarray(seen) >= INSIDE, probability, 0).astype(np.float32)


def _overlap(a: Image.Image, b: Image.Image) -> float:
    """Intersection over union of two masks of one size."""
    one, other = (np.asarray(each) >= INSIDE for each in (a, b))
    return float((one & other).sum() / max(1, (one | other).sum()))


def choose_person(probability: Plane, size: tuple[int, int], at: tuple[int, int] | None = None) -> tuple[Image.Image, float, int]:
    """Return the mask of one person, the mean probability inside it, and how many people there are.

    `probability` `(h, w)` in 0..1, of any resolution, covers a photo of `size` (width, height). The person is the largest region
    above 0.5, or the one at the pixel `at` (x, y). The mask is L, of the photo's size: 255 inside, 0 outside. Raises `MaskInvalid`
    where nobody is found, `OptionInvalid` for a point outside the photo.
    """
    if at is not None and not (0 <= at[0] < size[0] and 0 <= at[1] < size[1]):
        raise OptionInvalid(f"at={at[0]},{at[1]} is outside the photo, which is {size[0]} × {size[1]} pixels", field="at")
    plane = Image.fromarray(np.rint(np.clip(probability, 0, 1) * 255).astype(np.uint8))  # of a large photo, bytes are enough
    small = np.asarray(plane.resize(_fitted(size, GRID), Image.Resampling.BILINEAR)) >= INSIDE
    regions = Regions.of(Image.fromarray(small.astype(np.uint8) * 255))
    large = np.where(regions.areas >= SMALLEST * small.size, regions.areas, 0)
    if not large.any():
        raise MaskInvalid("nobody was found in the photo: give a mask", field="mask", reason="mask_not_found")
    chosen = int(large.argmax()) if at is None else _region_at(regions.labels, large, at, size)
    reach = Image.fromarray((regions.labels == chosen).astype(np.uint8) * 255).filter(ImageFilter.MaxFilter(3))
    others = (regions.labels >= 0) & (regions.labels != chosen)
    own = Image.fromarray(np.where(others, 0, np.asarray(reach)).astype(np.uint8)).resize(size, Image.Resampling.NEAREST)
    wide = np.asarray(plane.resize(size, Image.Resampling.BILINEAR))
    inside = (wide >= INSIDE) & (np.asarray(own) > 0)
    people = int((large >= ANOTHER_PERSON * large.max()).sum())
    return Image.fromarray(inside.astype(np.uint8) * 255), float(wide[inside].mean()) / 255, people


def _region_at(labels: NDArray[np.intp], large: NDArray[np.intp], at: tuple[int, int], size: tuple[int, int]) -> int:
    """The region at a pixel of the photo, or the nearest within `NEAR` cells. Raises `MaskInvalid` if there is none."""
    height, width = labels.shape
    x, y = int(at[0] * width / size[0]), int(at[1] * height / size[1])
    top, left = max(0, y - NEAR), max(0, x - NEAR)
    around = labels[top : y + NEAR + 1, left : x + NEAR + 1]
    ys, xs = np.nonzero(np.append(large, 0)[around] > 0)  # the label -1 takes the last value
    if not len(ys):
        raise MaskInvalid(
            f"nobody was found at {at[0]},{at[1]}: point at the person, or give a mask", field="mask", reason="mask_not_found"
        )
    nearest = int(((ys + top - y) ** 2 + (xs + left - x) ** 2).argmin())
    return int(around[ys[nearest], xs[nearest]])


def _fitted(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """`size` scaled down to a longest side of `longest`; a smaller one stays."""
    scale = min(1.0, longest / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
