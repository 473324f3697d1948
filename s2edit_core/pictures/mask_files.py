"""Mask files to masks of the photo's size, and the checks of what they mark. Loads no torch.

How a file is read, by its luminance or by its alpha, is in `mask_drawings`.
"""

from __future__ import annotations

import math

from PIL import Image

from s2edit_core.errors import MaskInvalid
from s2edit_core.pictures.files import INSIDE, SIDEWAYS, open_picture, orientation_of, same_frame
from s2edit_core.pictures.mask_drawings import check_background, drawn_in
from s2edit_core.pictures.mask_regions import main_side
from s2edit_core.request.spec import MaskMode
from s2edit_core.request.texts import counted

MIN_PERSON_SIDE = 32
"""Least length, in pixels of the photo, of the main region in a mask of a person; a smaller person can't be learned."""
MIN_SIDE = 4
"""Least length of the main region in other masks. Lips may be small, but anything smaller is a slip of the pen."""
EVERYWHERE = "edit_mask"
"""The field whose mask may cover the whole picture. A mask of a person that does so marks nobody."""


def decode_mask(
    data: bytes,
    size: tuple[int, int],
    field: str = "mask",
    mode: MaskMode = "auto",
    *,
    person: bool | None = None,
    sent_pixels: int | None = None,
) -> Image.Image:
    """Read a mask file as `L` of `size` (width, height): 128 or more inside, less outside.

    A mask of another size is resized by area averaging if its aspect ratio agrees with the photo's. `person` tells whether it marks
    a person, who must not be too small; by default the field `mask` does. `sent_pixels` is the size of the photo before it was
    scaled down to `size`, which the message about a mask that is too small uses. Raises `ImageInvalid` for a file that can't be
    decoded, and `MaskInvalid` for a mask with another aspect ratio, one that `mode` can't read, or one that marks nothing,
    too little, or everything. Only an edit mask may mark everything: then all of the photo may change.
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
    """Check a file as `decode_mask` does, and return its orientation, 1..8. Raises as that function."""
    return _read(data, size, field, mode, person, sent_pixels)[1]


def check_found(mask: Image.Image) -> None:
    """Raise `MaskInvalid` unless `mask`, which was found in a photo, marks a person as large as `decode_mask` asks of a file."""
    _check_region(mask, "mask", MIN_PERSON_SIDE, mask, mask.width * mask.height)


def _read(
    data: bytes, size: tuple[int, int], field: str, mode: MaskMode, person: bool | None, sent_pixels: int | None
) -> tuple[Image.Image, int]:
    """Return the mask and the file's orientation. For arguments and errors see `decode_mask`."""
    picture, turn = open_picture(data, field)
    _check_frame(picture.size[::-1] if turn in SIDEWAYS else picture.size, size, field)
    chosen, mask = drawn_in(picture, field, mode)
    del picture  # frees its memory before another plane of its size is allocated
    if turn is not None:
        mask = mask.transpose(turn)
    if (mode, chosen) == ("auto", "alpha"):
        check_background(mask, field)
    drawn = mask
    if mask.size != size:
        mask = mask.resize(size, Image.Resampling.BOX)
    smallest = MIN_PERSON_SIDE if (field == "mask" if person is None else person) else MIN_SIDE
    _check_region(mask, field, smallest, drawn, sent_pixels or size[0] * size[1])
    return mask, orientation_of(turn)


def _check_frame(found: tuple[int, int], size: tuple[int, int], field: str) -> None:
    """Raise `MaskInvalid` unless the mask's aspect ratio is the photo's; both sizes are upright."""
    if same_frame(found, size):
        return
    message = f"the {field} is {found[0]}×{found[1]} and the image {size[0]}×{size[1]}: "
    if same_frame(found[::-1], size):
        message += (
            "it is rotated by 90°. Phones store photos unrotated, with the orientation in EXIF. Draw the mask on the photo as it "
            "is shown upright, or give the mask the same EXIF orientation"
        )
    else:
        message += "the mask must have the same aspect ratio"
    raise MaskInvalid(message, field=field, reason="mask_size")


def _check_region(mask: Image.Image, field: str, smallest: int, drawn: Image.Image, sent_pixels: int) -> None:
    """Raise `MaskInvalid` for a mask that marks nothing or too little, or everything unless it is an edit mask.

    `mask` is `drawn` at the photo's size; `sent_pixels` is the size of the photo before it was scaled down.
    """
    levels = mask.histogram()
    inside = sum(levels[INSIDE:])
    if inside == 0 and any(drawn.histogram()[INSIDE:]):
        raise _too_small(0, drawn, mask, field, smallest, sent_pixels)
    if inside == 0:
        brightest = max((level for level, count in enumerate(levels) if count), default=0)
        found = f" (its brightest pixel is {brightest} of 255)" if brightest else ""
        raise MaskInvalid(f"the {field} is empty: paint the region white{found}", field=field, reason="mask_empty")
    if inside == mask.width * mask.height and field != EVERYWHERE:
        advice = "leave the rest black" + (
            f"; where all may change, send a white {EVERYWHERE}" if field == "mask" and smallest == MIN_PERSON_SIDE else ""
        )
        raise MaskInvalid(f"the {field} covers the whole image: {advice}", field=field, reason="mask_full")
    if (side := main_side(mask)) < smallest:
        raise _too_small(side, drawn, mask, field, smallest, sent_pixels)


def _too_small(side: int, drawn: Image.Image, mask: Image.Image, field: str, smallest: int, sent_pixels: int) -> MaskInvalid:
    """Return the error of a mask with a region of only `side` pixels. For the other arguments see `_check_region`."""
    pixels, advice = mask.width * mask.height, "mark the whole region, or send a larger photo"
    scaled = f", which max_pixels has scaled down to {mask.width}×{mask.height}" if sent_pixels > pixels else ""
    exact = main_side(drawn) * mask.width / drawn.width if scaled else 0.0
    if exact * math.sqrt(sent_pixels / pixels) >= smallest:
        enough = math.ceil(pixels * ((smallest + 1) / exact) ** 2)  # one extra pixel allows for rounding
        advice = f"set max_pixels to {min(enough, sent_pixels)} or more"
    return MaskInvalid(
        f"the region in the {field} is {counted(side, 'pixel')} long in the photo{scaled}; it needs {smallest} or more: {advice}",
        field=field,
        reason="mask_too_small",
    )
