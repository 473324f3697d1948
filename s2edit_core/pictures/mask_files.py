"""Mask files to masks: where the drawing is (in the luminance or in the alpha), and what is refused. No torch.

`mask_mode` says how a file is read. `auto` reads a black-and-white picture by its luminance and a drawing on a transparent
background by its alpha, and refuses what may mean either: it never guesses.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter

from s2edit_core.errors import MaskInvalid
from s2edit_core.pictures.files import INSIDE, SIDEWAYS, in_8_bits, open_picture, orientation_of, same_frame
from s2edit_core.pictures.regions import main_side
from s2edit_core.request.spec import MaskMode

Counts = NDArray[np.int64]
STRIP_PIXELS = 1_000_000
MIN_PERSON_SIDE = 32
"""Of the main region of a mask of a person, in pixels of the photo, along its longer side: with less there is nobody to learn."""
MIN_SIDE = 4
"""The same of other masks: lips may be small, but less than this is a slip of the pen."""

FLAT = 16
"""An alpha that varies by no more levels than this says nothing."""
AREA_SHARE, FAINTEST = 0.05, 0.2
"""A level of alpha was drawn with where its even areas have at least this share of all; and the faintest such level, relative to
the strongest."""
EXTREME = 40
"""How far from black or white a pixel may be to count as such, in levels."""
COLOURED = 48
"""From this difference between its strongest and its weakest channel on a pixel is coloured."""
COLOURED_SHARE, GREY_SHARE = 0.02, 0.2
"""How many pixels may be coloured, or grey and no edge, relative to the smaller one of inside and outside."""
BOTH_SHARE = 0.01
"""From this share of its pixels on, a drawing on transparent holds black, or white."""
FIT_SIDE, FIT_BLURS = 256, (0.5, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48)
"""A soft mask is a sharp one, blurred: compared at this size with these blurs (standard deviations in pixels)."""
MAX_MISFIT, MAX_UNEXPLAINED = 0.15, 0.06
"""How far the two may differ: root mean square over the smaller one of inside and outside, and share of the picture's variance.
Masks feathered by up to an eighth of their side stay below 0.13 and 0.05, grey photographs above 0.2 and 0.3."""
CORNER, MIN_CLEAR_BORDER, CLEAR_BORDER = 0.05, 0.4, 0.75
"""Size of the corners; and which shares of the border are transparent around a cut-out with clear upper corners, or any other."""

WAYS = (
    "say how to read it: {option}=luminance (white marks the region, all else is black), {option}=alpha (what is painted on a "
    "transparent background marks it) or {option}=inverted_alpha (what was made transparent marks it)"
)


def decode_mask(
    data: bytes,
    size: tuple[int, int],
    field: str = "mask",
    mode: MaskMode = "auto",
    *,
    person: bool | None = None,
    sent_pixels: int | None = None,
) -> Image.Image:
    """Return the mask as `L` of `size` (width, height): 128 or more inside, less outside.

    A mask of another size is resized (area average) where its aspect agrees with the photo's. `person`: whether it marks a person,
    who must not be too small; by default the field `mask` does. `sent_pixels` are those of a photo that was scaled down to `size`,
    for the advice that a message gives. Raises `ImageInvalid`, or `MaskInvalid` for one of another frame,
    one that `mode` can't read, or one that marks nothing, everything or too little.
    """
    return _read(data, size, field, mode, person, sent_pixels)[0]


def check_mask_file(
    data: bytes,
    size: tuple[int, int],
    field: str,
    mode: MaskMode = "auto",
    *,
    person: bool | None = None,
    sent_pixels: int | None = None,
) -> int:
    """Hold a file to what `decode_mask` makes of it, and return its orientation, 1..8. Raises as it does."""
    return _read(data, size, field, mode, person, sent_pixels)[1]


def _read(
    data: bytes, size: tuple[int, int], field: str, mode: MaskMode, person: bool | None, sent_pixels: int | None
) -> tuple[Image.Image, int]:
    picture, turn = open_picture(data, field)
    _check_frame(picture.size[::-1] if turn in SIDEWAYS else picture.size, size, field)
    chosen, mask = _drawn(picture, field, mode)
    del picture  # before there is another plane of its size
    if turn is not None:
        mask = mask.transpose(turn)
    if (mode, chosen) == ("auto", "alpha"):
        _check_background(mask, field)
    drawn = mask
    if mask.size != size:
        mask = mask.resize(size, Image.Resampling.BOX)
    smallest = MIN_PERSON_SIDE if (field == "mask" if person is None else person) else MIN_SIDE
    _check_region(mask, field, smallest, drawn, sent_pixels or size[0] * size[1])
    return mask, orientation_of(turn)


def _check_frame(found: tuple[int, int], size: tuple[int, int], field: str) -> None:
    if same_frame(found, size):
        return
    message = f"the {field} is {found[0]}×{found[1]} and the image {size[0]}×{size[1]}: "
    if same_frame(found[::-1], size):
        message += (
            "it is turned by 90°. Phones store photos unturned and note the orientation in EXIF; draw the mask on the photo as it "
            "is shown upright, or give the mask the same EXIF orientation"
        )
    else:
        message += "the mask must cover the same frame"
    raise MaskInvalid(message, field=field, reason="mask_size")


def _check_region(mask: Image.Image, field: str, smallest: int, drawn: Image.Image, sent_pixels: int) -> None:
    """`mask` is `drawn` at the photo's size; `sent_pixels` are the photo's before it was scaled down."""
    levels = mask.histogram()
    inside = sum(levels[INSIDE:])
    if inside == 0 and any(drawn.histogram()[INSIDE:]):
        raise _too_small(0, drawn, mask, field, smallest, sent_pixels)
    if inside == 0:
        brightest = max((level for level, count in enumerate(levels) if count), default=0)
        found = f" (its brightest pixel is {brightest} of 255)" if brightest else ""
        raise MaskInvalid(f"the {field} is empty: paint the region white{found}", field=field, reason="mask_empty")
    if inside == mask.width * mask.height:
        raise MaskInvalid(f"the {field} covers the whole image: leave the rest black", field=field, reason="mask_full")
    if (side := main_side(mask)) < smallest:
        raise _too_small(side, drawn, mask, field, smallest, sent_pixels)


def _too_small(side: int, drawn: Image.Image, mask: Image.Image, field: str, smallest: int, sent_pixels: int) -> MaskInvalid:
    """`side` is how long the region of `drawn` is in `mask`; other arguments as of `_check_region`."""
    pixels, advice = mask.width * mask.height, "mark the whole region, or send a larger photo"
    scaled = f", which max_pixels has scaled down to {mask.width}×{mask.height}" if sent_pixels > pixels else ""
    exact = main_side(drawn) * mask.width / drawn.width if scaled else 0.0
    if exact * math.sqrt(sent_pixels / pixels) >= smallest:
        enough = math.ceil(pixels * ((smallest + 1) / exact) ** 2)  # with a pixel to spare for rounding
        advice = f"set max_pixels to {min(enough, sent_pixels)} or more"
    return MaskInvalid(
        f"what the {field} marks is {side} pixels long in the photo{scaled}; it needs {smallest} or more: {advice}",
        field=field,
        reason="mask_too_small",
    )


def _drawn(picture: Image.Image, field: str, mode: MaskMode) -> tuple[MaskMode, Image.Image]:
    """How it is read, and what is drawn, as `L`."""
    alpha = _Alpha.of(picture)
    chosen = _mode_of(picture, alpha, field) if mode == "auto" else mode
    if chosen == "luminance":
        return chosen, _luminance(picture, alpha)
    if alpha is None:
        raise MaskInvalid(
            f"{_option(field)}={mode} needs transparency, and the {field} has none: draw on a transparent background and save "
            f"it as PNG, or send it black and white with {_option(field)}=luminance",
            field=field,
            reason="mask_opaque",
        )
    return chosen, _alpha(picture, alpha.strengthened if chosen == "alpha" else alpha.inverted)


def _option(field: str) -> str:
    """The option that says how the mask of that name is read."""
    return "edit_mask_mode" if field == "edit_mask" else "mask_mode"


def _unclear(field: str, found: str) -> MaskInvalid:
    return MaskInvalid(f"the {field} {found}: {WAYS.format(option=_option(field))}", field=field, reason="mask_unclear")


# --- what the file holds ---------------------------------------------------------------------------------------


def _strips(picture: Image.Image, margin: int = 0) -> Iterator[tuple[Image.Image, slice, int]]:
    """`picture` in strips of whole rows, as `L`, `RGB` or `RGBA`: a mask may be as large as a photo.

    A strip has `margin` rows of each neighbour besides its own; it comes with the slice of its own rows, and the first one's place.
    """
    layered = _has_alpha(picture)
    rows = max(1, STRIP_PIXELS // picture.width)
    for top in range(0, picture.height, rows):
        above = min(margin, top)
        strip = in_8_bits(picture.crop((0, top - above, picture.width, min(top + rows + margin, picture.height))))
        kind = "RGBA" if layered else "L" if strip.mode in ("1", "L") else "RGB"
        yield strip.convert(kind), slice(above, above + min(rows, picture.height - top)), top


def _has_alpha(picture: Image.Image) -> bool:
    return picture.mode in ("RGBA", "LA", "PA") or ("transparency" in picture.info and not picture.mode.startswith("I"))


@dataclass
class _Alpha:
    """How many pixels have each level of alpha, and how many of them have that of their neighbours above and to the left."""

    levels: Counts = field(default_factory=lambda: np.zeros(256, np.int64))
    even: Counts = field(default_factory=lambda: np.zeros(256, np.int64))

    @classmethod
    def of(cls, picture: Image.Image) -> _Alpha | None:
        """None where it says nothing: all pixels have the same, and are not clear."""
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
        """Whether it varies by more than what programs leave behind."""
        return bool(np.ptp(np.flatnonzero(self.levels)) > FLAT)

    @property
    def strengthened(self) -> list[int]:
        """What each level becomes in the mask: the one that was drawn with becomes 255.

        Strokes may be faint, and stronger where they cross. So that is the faintest level of large even areas, or the strongest
        level where none stands out, as in soft strokes.
        """
        areas = np.where(np.arange(256) >= FAINTEST * self.strongest, self.even, 0)
        near = np.convolve(areas, np.ones(3, np.int64), mode="same")
        drawn_with = np.flatnonzero((near >= AREA_SHARE * areas.sum()) & (areas > 0))
        level = max(1, int(drawn_with[0]) if len(drawn_with) else self.strongest)
        return [min(255, round(each * 255 / level)) for each in range(256)]

    @property
    def inverted(self) -> list[int]:
        """The same for what was made transparent. The strongest level is the background: some programs write 1 for opaque."""
        strongest = self.strongest
        if strongest == 0:
            return [255] * 256
        unused = np.zeros(255 - strongest, np.int64)
        backwards = _Alpha(*(np.concatenate([counts[strongest::-1], unused]) for counts in (self.levels, self.even)))
        return [backwards.strengthened[max(0, strongest - each)] for each in range(256)]


def _alpha(picture: Image.Image, becomes: list[int]) -> Image.Image:
    plane = Image.new("L", picture.size)
    for strip, _, top in _strips(picture):
        plane.paste(strip.getchannel("A").point(becomes), (0, top))
    return plane


def _luminance(picture: Image.Image, alpha: _Alpha | None) -> Image.Image:
    """The luminance of the picture laid on black."""
    plane, becomes = Image.new("L", picture.size), None if alpha is None else alpha.strengthened
    for strip, _, top in _strips(picture):
        drawn = strip.convert("RGB").convert("L")
        plane.paste(drawn if becomes is None else ImageChops.multiply(drawn, strip.getchannel("A").point(becomes)), (0, top))
    return plane


# --- what it means ---------------------------------------------------------------------------------------------


@dataclass
class _Look:
    """Counts of pixels; where the alpha says something, of the painted ones alone."""

    levels: Counts = field(default_factory=lambda: np.zeros(256, np.int64))
    """By luminance."""
    coloured: int = 0
    grey: int = 0
    """Neither black nor white, and not between the two at an edge."""

    @property
    def painted(self) -> int:
        return int(self.levels.sum())

    @property
    def smaller(self) -> int:
        """Pixels of the smaller one of inside and outside."""
        inside = int(self.levels[INSIDE:].sum())
        return min(inside, self.painted - inside)

    @property
    def has_both(self) -> bool:
        black, white = self.levels[:EXTREME].sum(), self.levels[-EXTREME:].sum()
        return bool(min(black, white) >= BOTH_SHARE * self.painted)

    @property
    def is_coloured(self) -> bool:
        return self.coloured > COLOURED_SHARE * self.smaller

    @property
    def is_grey(self) -> bool:
        return self.grey > GREY_SHARE * self.smaller


def _mode_of(picture: Image.Image, alpha: _Alpha | None, field: str) -> MaskMode:
    """How to read a mask of which nobody says it: `luminance` or `alpha`. Raises `MaskInvalid` where it may mean either."""
    if alpha is not None and alpha.strongest <= FLAT:
        return "alpha"  # so faint that its colours are nothing to go by
    draws = alpha is not None and alpha.draws
    found = _look(picture, alpha if draws else None)
    if draws:
        return "luminance" if found.has_both and not found.is_coloured and not found.is_grey else "alpha"
    if found.is_coloured:
        raise _unclear(field, "is a picture in colours, neither black and white nor on a transparent background")
    if found.is_grey and not _is_soft(picture):
        raise _unclear(field, "is a grey picture without a clear black and white, and has no transparent background")
    return "luminance"


def _look(picture: Image.Image, alpha: _Alpha | None) -> _Look:
    found = _Look()
    painted_from = 0 if alpha is None else int(np.searchsorted(alpha.strengthened, INSIDE))
    for strip, own, _ in _strips(picture, margin=2):
        alike = strip.convert("RGB") if strip.mode == "RGBA" else strip
        levels = np.asarray(alike.convert("L"))
        painted = (np.asarray(strip.getchannel("A")) >= painted_from) if alpha is not None else np.ones(levels.shape, bool)
        coloured = _chroma(alike) > COLOURED
        grey = (levels >= EXTREME) & (levels < 256 - EXTREME) & ~coloured & painted
        if grey.any():
            grey &= ~((_around(levels, np.minimum) < EXTREME) & (_around(levels, np.maximum) >= 256 - EXTREME))
        found.levels += np.bincount(levels[own][painted[own]], minlength=256)
        found.coloured += int((coloured & painted)[own].sum())
        found.grey += int(grey[own].sum())
    return found


def _chroma(strip: Image.Image) -> NDArray[np.uint8]:
    """The difference between each pixel's strongest and weakest channel."""
    if strip.mode == "L":
        return np.zeros((strip.height, strip.width), np.uint8)
    red, green, blue = strip.split()
    high = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    return np.asarray(ImageChops.subtract(high, ImageChops.darker(ImageChops.darker(red, green), blue)))


def _around(levels: NDArray[np.uint8], extreme: np.ufunc) -> NDArray[np.uint8]:
    """The smallest or largest value of the 5×5 pixels around each."""
    for axis in (0, 1):
        padded = np.pad(levels, [(2, 2) if each == axis else (0, 0) for each in (0, 1)], mode="edge")
        parts = [np.moveaxis(padded, axis, 0)]
        for step in (1, 2, 1):  # windows of 2, 4 and 5 pixels
            parts.append(extreme(parts[-1][:-step], parts[-1][step:]))
        levels = np.moveaxis(parts[-1], 0, axis)
    return levels


def _is_soft(picture: Image.Image) -> bool:
    """Whether `picture` is its own sharp mask (128 or more), blurred as suits it best: so a feathered mask, and no grey photo."""
    small = _luminance(picture, None).reduce(max(1, max(picture.size) // FIT_SIDE))
    levels = np.asarray(small, dtype=np.float32) / 255
    inside = levels >= INSIDE / 255
    sharp = Image.fromarray((inside * 255).astype(np.uint8))
    blurred = (np.asarray(sharp.filter(ImageFilter.GaussianBlur(blur)), dtype=np.float32) / 255 for blur in FIT_BLURS)
    error = min(float(((each - levels) ** 2).sum()) for each in blurred)
    smaller = min(int(inside.sum()), int((~inside).sum()))
    return error <= MAX_MISFIT**2 * smaller and error <= MAX_UNEXPLAINED * float(((levels - levels.mean()) ** 2).sum())


def _check_background(mask: Image.Image, field: str) -> None:
    """Raises `MaskInvalid` where it is not clear whether the painted part is the region or its surroundings.

    The background of a cut-out reaches the border nearly everywhere, or at least into the upper corners. Of a photo with a
    transparent hole the opposite is true.
    """
    clear = np.asarray(mask) < INSIDE
    height, width = clear.shape
    corner = (slice(0, max(1, round(CORNER * height))), max(1, round(CORNER * width)))
    border = np.concatenate([clear[0], clear[-1], clear[:, 0], clear[:, -1]]).mean()
    corners = min(clear[corner[0], : corner[1]].mean(), clear[corner[0], -corner[1] :].mean())
    if border < MIN_CLEAR_BORDER or (border < CLEAR_BORDER and corners < 0.5):
        raise _unclear(field, "is opaque along most of its border, so its transparent part may be the region or the rest")
