"""What a mask file draws: the region is in its luminance or in its alpha, and ambiguous files are refused.

`mask_mode` is how a file is read. In mode `auto`, a black-and-white picture is read by its luminance, and a drawing on a
transparent background by its alpha. A file that could mean either is refused: the mode never guesses.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter

from s2edit_core.errors import MaskInvalid
from s2edit_core.pictures.colours import in_8_bits
from s2edit_core.pictures.files import INSIDE
from s2edit_core.request.spec import MaskMode

Counts = NDArray[np.int64]
"""Pixel counts, by level."""
STRIP_PIXELS = 1_000_000
"""Pixels processed at a time."""
FLAT = 16
"""An alpha that varies by at most this many levels carries no drawing."""
AREA_SHARE, FAINTEST = 0.05, 0.2
"""A level of alpha counts as drawn if its uniform areas are at least this share of all uniform areas, and if it is at least
`FAINTEST` of the strongest level.
"""
EXTREME = 40
"""A pixel within this many levels of black or white counts as black or white."""
COLOURED = 48
"""A pixel counts as coloured from this difference between its largest and smallest channel."""
COLOURED_SHARE, GREY_SHARE = 0.02, 0.2
"""Most coloured pixels, and most grey pixels away from edges, of a mask, relative to the smaller of inside and outside."""
BOTH_SHARE = 0.01
"""A drawing on transparent contains black, or white, from this share of its pixels."""
FIT_SIDE, FIT_BLURS = 256, (0.5, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48)
"""A feathered mask is a sharp mask, blurred. Size of the comparison, and the blurs tried (standard deviations in pixels)."""
MAX_MISFIT, MAX_UNEXPLAINED = 0.15, 0.06
"""Limits of the difference between the two: its root mean square relative to the smaller of inside and outside, and its share of
the picture's variance. Masks feathered by up to an eighth of their side stay below 0.13 and 0.05; grey photographs are above 0.2
and 0.3.
"""
CORNER, MIN_CLEAR_BORDER, CLEAR_BORDER = 0.05, 0.4, 0.75
"""Size of the corners; and the least transparent shares of the border around a cut-out with clear upper corners, and around any
other.
"""

WAYS = (
    "say how to read it: {option}=luminance (white marks the region, all else is black), {option}=alpha (what is painted on a "
    "transparent background marks it) or {option}=inverted_alpha (what was made transparent marks it)"
)
"""The remedy for an ambiguous mask."""


def drawn_in(picture: Image.Image, field: str, mode: MaskMode) -> tuple[MaskMode, Image.Image]:
    """Return the mode by which the file is read, and the drawing as `L`."""
    alpha = _Alpha.of(picture)
    chosen = _mode_of(picture, alpha, field) if mode == "auto" else mode
    if chosen == "luminance":
        return chosen, _luminance(picture, alpha)
    if alpha is None:
        option = _option(field)
        default = " (by default the mask_mode)" if field == "edit_mask" else ""
        raise MaskInvalid(
            f"{option}={mode}{default} needs transparency, and the {field} has none: draw on a transparent background and save "
            f"it as PNG, or send a black-and-white mask with {option}=luminance",
            field=field,
            reason="mask_opaque",
        )
    return chosen, _alpha(picture, alpha.strengthened if chosen == "alpha" else alpha.inverted)


def check_background(mask: Image.Image, field: str) -> None:
    """Raise `MaskInvalid` if the painted part may be either the region or its surroundings.

    The background of a cut-out reaches nearly all of the border, or at least the upper corners. In a photo with a transparent hole,
    the opposite holds.
    """
    clear = np.asarray(mask) < INSIDE
    height, width = clear.shape
    corner = (slice(0, max(1, round(CORNER * height))), max(1, round(CORNER * width)))
    border = np.concatenate([clear[0], clear[-1], clear[:, 0], clear[:, -1]]).mean()
    corners = min(clear[corner[0], : corner[1]].mean(), clear[corner[0], -corner[1] :].mean())
    if border < MIN_CLEAR_BORDER or (border < CLEAR_BORDER and corners < 0.5):
        raise _unclear(field, "is opaque along most of its border, so its transparent part may be the region or the rest")


def _option(field: str) -> str:
    """Return the name of the option that says how this mask is read."""
    return "edit_mask_mode" if field == "edit_mask" else "mask_mode"


def _unclear(field: str, found: str) -> MaskInvalid:
    """Return the error of an ambiguous mask."""
    return MaskInvalid(f"the {field} {found}: {WAYS.format(option=_option(field))}", field=field, reason="mask_unclear")


def _strips(picture: Image.Image, margin: int = 0) -> Iterator[tuple[Image.Image, slice, int]]:
    """Yield `picture` in strips of whole rows, as `L`, `RGB` or `RGBA`, since masks may be as large as photos.

    Each comes with up to `margin` rows of its neighbours, the slice of its own rows, and the position of the first.
    """
    layered = _has_alpha(picture)
    rows = max(1, STRIP_PIXELS // picture.width)
    for top in range(0, picture.height, rows):
        above = min(margin, top)
        strip = in_8_bits(picture.crop((0, top - above, picture.width, min(top + rows + margin, picture.height))))
        kind = "RGBA" if layered else "L" if strip.mode in ("1", "L") else "RGB"
        yield strip.convert(kind), slice(above, above + min(rows, picture.height - top)), top


def _has_alpha(picture: Image.Image) -> bool:
    """Return whether the picture has an alpha channel or a transparent colour."""
    return picture.mode in ("RGBA", "LA", "PA") or ("transparency" in picture.info and not picture.mode.startswith("I"))


@dataclass
class _Alpha:
    """Number of pixels per level of alpha, and how many of them have the same level as their neighbours above and to the left."""

    levels: Counts = field(default_factory=lambda: np.zeros(256, np.int64))
    even: Counts = field(default_factory=lambda: np.zeros(256, np.int64))

    @classmethod
    def of(cls, picture: Image.Image) -> _Alpha | None:
        """Count the levels of a picture; None if its alpha carries nothing: all pixels have one level, and are not clear."""
        if not _has_alpha(picture):
            return None
        found = cls()
        for strip, own, _ in _strips(picture, margin=1):
            alpha = np.asarray(strip.getchannel("A"))[: own.stop]
            found.levels += np.bincount(alpha[own].ravel(), minlength=256)
            here = alpha[1:, 1:]
            found.even += np.bincount(here[(here == alpha[:-1, 1:]) & (here == alpha[1:, :-1])], minlength=256)
        return found if (found.levels > 0).sum() > 1 or found.levels[0] else None

    @property
    def strongest(self) -> int:
        return int(np.flatnonzero(self.levels)[-1])

    @property
    def draws(self) -> bool:
        """Whether the alpha varies by more than programs leave behind by accident."""
        return bool(np.ptp(np.flatnonzero(self.levels)) > FLAT)

    @property
    def strengthened(self) -> list[int]:
        """The mask value of each level: the level that was drawn with becomes 255.

        Strokes may be faint, and stronger where they cross. The drawn level is therefore the faintest level with large uniform
        areas, or the strongest level if none stands out, as in soft strokes.
        """
        areas = np.where(np.arange(256) >= FAINTEST * self.strongest, self.even, 0)
        near = np.convolve(areas, np.ones(3, np.int64), mode="same")
        drawn_with = np.flatnonzero((near >= AREA_SHARE * areas.sum()) & (areas > 0))
        level = max(1, int(drawn_with[0]) if len(drawn_with) else self.strongest)
        return [min(255, round(each * 255 / level)) for each in range(256)]

    @property
    def inverted(self) -> list[int]:
        """The same for regions that were made transparent.

        The strongest level is the background, because some programs write 1 for opaque.
        """
        strongest = self.strongest
        if strongest == 0:
            return [255] * 256
        unused = np.zeros(255 - strongest, np.int64)
        backwards = _Alpha(*(np.concatenate([counts[strongest::-1], unused]) for counts in (self.levels, self.even)))
        return [backwards.strengthened[max(0, strongest - each)] for each in range(256)]


def _alpha(picture: Image.Image, becomes: list[int]) -> Image.Image:
    """Return the alpha as a mask, with the value in `becomes` for each level."""
    plane = Image.new("L", picture.size)
    for strip, _, top in _strips(picture):
        plane.paste(strip.getchannel("A").point(becomes), (0, top))
    return plane


def _luminance(picture: Image.Image, alpha: _Alpha | None) -> Image.Image:
    """Return the luminance of the picture on black."""
    plane, becomes = Image.new("L", picture.size), None if alpha is None else alpha.strengthened
    for strip, _, top in _strips(picture):
        drawn = strip.convert("RGB").convert("L")
        plane.paste(drawn if becomes is None else ImageChops.multiply(drawn, strip.getchannel("A").point(becomes)), (0, top))
    return plane


@dataclass
class _Look:
    """Pixel counts of a picture; if its alpha carries a drawing, of the painted pixels only."""

    levels: Counts = field(default_factory=lambda: np.zeros(256, np.int64))  # by luminance
    coloured: int = 0
    grey: int = 0
    """Neither black nor white, and not at an edge between the two."""

    @property
    def painted(self) -> int:
        return int(self.levels.sum())

    @property
    def smaller(self) -> int:
        """Pixels of the smaller of inside and outside."""
        inside = int(self.levels[INSIDE:].sum())
        return min(inside, self.painted - inside)

    @property
    def has_both(self) -> bool:
        """Whether there is both black and white."""
        black, white = self.levels[:EXTREME].sum(), self.levels[-EXTREME:].sum()
        return bool(min(black, white) >= BOTH_SHARE * self.painted)

    @property
    def is_coloured(self) -> bool:
        """Whether too many pixels are coloured for a mask."""
        return self.coloured > COLOURED_SHARE * self.smaller

    @property
    def is_grey(self) -> bool:
        """Whether too many pixels are grey for a mask."""
        return self.grey > GREY_SHARE * self.smaller


def _mode_of(picture: Image.Image, alpha: _Alpha | None, field: str) -> MaskMode:
    """Return how to read a mask in mode `auto`: `luminance` or `alpha`. Raises `MaskInvalid` if it could mean either."""
    if alpha is not None and alpha.strongest <= FLAT:
        return "alpha"  # too faint for its colours to matter
    draws = alpha is not None and alpha.draws
    found = _look(picture, alpha if draws else None)
    if draws:
        return "luminance" if found.has_both and not found.is_coloured and not found.is_grey else "alpha"
    if found.is_coloured:
        raise _unclear(field, "is a coloured picture, neither black and white nor on a transparent background")
    if found.is_grey and not _is_soft(picture):
        raise _unclear(field, "is a grey picture without a clear black and white, and has no transparent background")
    return "luminance"


def _look(picture: Image.Image, alpha: _Alpha | None) -> _Look:
    """Count the pixels of a picture, except those that its `alpha` leaves transparent."""
    found = _Look()
    painted_from = 0 if alpha is None else int(np.searchsorted(alpha.strengthened, INSIDE))
    for strip, own, _ in _strips(picture, margin=2):
        colours = strip.convert("RGB") if strip.mode == "RGBA" else strip
        levels = np.asarray(colours.convert("L"))
        painted = (np.asarray(strip.getchannel("A")) >= painted_from) if alpha is not None else np.ones(levels.shape, bool)
        coloured = _chroma(colours) > COLOURED
        grey = (levels >= EXTREME) & (levels < 256 - EXTREME) & ~coloured & painted
        if grey.any():
            grey &= ~((_around(levels, np.minimum) < EXTREME) & (_around(levels, np.maximum) >= 256 - EXTREME))
        found.levels += np.bincount(levels[own][painted[own]], minlength=256)
        found.coloured += int((coloured & painted)[own].sum())
        found.grey += int(grey[own].sum())
    return found


def _chroma(strip: Image.Image) -> NDArray[np.uint8]:
    """Return the difference between each pixel's largest and smallest channel."""
    if strip.mode == "L":
        return np.zeros((strip.height, strip.width), np.uint8)
    red, green, blue = strip.split()
    high = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    return np.asarray(ImageChops.subtract(high, ImageChops.darker(ImageChops.darker(red, green), blue)))


def _around(levels: NDArray[np.uint8], extreme: np.ufunc) -> NDArray[np.uint8]:
    """Return the minimum or maximum over the 5 × 5 pixels around each."""
    for axis in (0, 1):
        padded = np.pad(levels, [(2, 2) if each == axis else (0, 0) for each in (0, 1)], mode="edge")
        parts = [np.moveaxis(padded, axis, 0)]
        for step in (1, 2, 1):  # windows of 2, 4 and 5 pixels
            parts.append(extreme(parts[-1][:-step], parts[-1][step:]))
        levels = np.moveaxis(parts[-1], 0, axis)
    return levels


def _is_soft(picture: Image.Image) -> bool:
    """Return whether `picture` is close to its own sharp mask, blurred: a feathered mask rather than a grey photo."""
    small = _luminance(picture, None).reduce(max(1, max(picture.size) // FIT_SIDE))
    levels = np.asarray(small, dtype=np.float32) / 255
    inside = levels >= INSIDE / 255
    sharp = Image.fromarray((inside * 255).astype(np.uint8))
    blurred = (np.asarray(sharp.filter(ImageFilter.GaussianBlur(blur)), dtype=np.float32) / 255 for blur in FIT_BLURS)
    error = min(float(((each - levels) ** 2).sum()) for each in blurred)
    smaller = min(int(inside.sum()), int((~inside).sum()))
    return error <= MAX_MISFIT**2 * smaller and error <= MAX_UNEXPLAINED * float(((levels - levels.mean()) ** 2).sum())
