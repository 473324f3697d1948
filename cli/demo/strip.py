"""Draw the demo's strip: a column for each edit, with the photo, the result, its prompt, and what changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from s2edit_core.pictures.files import inside_of

MARGIN, GAP, SPACE = 36, 32, 16
"""Around the strip, between its columns, and between the parts of a column. All lengths are pixels."""
INSET = 186
PROMPT_SIZE, PROMPT_LINE, PROMPT_LINES = 34, 44, 2
TEXT_SIZE, TEXT_LINE = 27, 38
GIVEN_TOP = MARGIN + TEXT_SIZE + SPACE
PAPER, INK, MUTED, ACCENT = (255, 255, 255), (31, 35, 40), (101, 109, 118), (91, 61, 245)
FULL_LEVELS = 64
"""A difference of so many of 255 levels has the map's full colour."""
GHOST = 0.18
"""How much of the photo shows in the map where nothing changed."""
REACH = 120
"""The grey of the margin that edits may reach, around the subject."""


@dataclass(frozen=True, eq=False)
class Column:
    """One edit: a `title` over what was `given`, over `about` it, over the `result`, over its `prompt`, over `inset` and `lines`.

    The first of the `lines` is the title of the inset. The words of `prompt` that are not in `source_prompt` stand out.
    """

    title: str
    given: Image.Image
    about: str
    result: Image.Image
    prompt: str
    source_prompt: str
    inset: Image.Image
    lines: Sequence[str]


def draw_strip(columns: Sequence[Column]) -> Image.Image:
    """Return the columns side by side, on white. Their pictures are of one size, and are not scaled."""
    width, height = columns[0].result.size
    bottom = result_top(height) + height + SPACE + PROMPT_LINES * PROMPT_LINE + SPACE + INSET + MARGIN
    strip = Image.new("RGB", (2 * MARGIN + len(columns) * (width + GAP) - GAP, bottom), PAPER)
    for i, column in enumerate(columns):
        _draw_column(strip, MARGIN + i * (width + GAP), column)
    return strip


def result_top(height: int) -> int:
    """Return where the results begin, below given pictures of that height and the lines about them."""
    return GIVEN_TOP + height + SPACE + TEXT_LINE + SPACE


def _draw_column(strip: Image.Image, x: int, column: Column) -> None:
    draw, font = ImageDraw.Draw(strip), ImageFont.load_default(TEXT_SIZE)
    draw.text((x, MARGIN), column.title, INK, font, anchor="lt")
    strip.paste(column.given.convert("RGB"), (x, GIVEN_TOP))
    draw.text((x, GIVEN_TOP + column.given.height + SPACE), column.about, MUTED, font)
    y = result_top(column.given.height)
    strip.paste(column.result.convert("RGB"), (x, y))
    y += column.result.height + SPACE
    _draw_prompt(draw, (x, y), column)
    y += PROMPT_LINES * PROMPT_LINE + SPACE
    strip.paste(column.inset.convert("RGB").resize((INSET, INSET), Image.Resampling.LANCZOS), (x, y))
    for i, line in enumerate(column.lines):
        draw.text((x + INSET + SPACE, y + i * TEXT_LINE), line, INK if i else MUTED, font)


def _draw_prompt(draw: ImageDraw.ImageDraw, at: tuple[int, int], column: Column) -> None:
    font = ImageFont.load_default(PROMPT_SIZE)
    known = {word.strip(",") for word in column.source_prompt.split()}
    x, y = at
    for word in column.prompt.removeprefix("a photo of ").split():
        if x + draw.textlength(word, font) > at[0] + column.result.width:
            x, y = at[0], y + PROMPT_LINE
        draw.text((x, y), word, INK if word.strip(",") in known else ACCENT, font)
        x += round(draw.textlength(f"{word} ", font))


def difference_map(photo: Image.Image, result: Image.Image) -> Image.Image:
    """Return what changed from `photo` to `result`, coloured over a faint grey photo. Both are RGB and of one size.

    The colour grows with the largest difference of a channel and is full from `FULL_LEVELS` on.
    """
    before, after = (np.asarray(each, dtype=np.float32) for each in (photo, result))
    changed = (np.abs(after - before).max(axis=2, keepdims=True) / FULL_LEVELS).clip(0, 1)
    ghost = 255 - GHOST * (255 - np.asarray(photo.convert("L"), dtype=np.float32)[..., None])
    return Image.fromarray(np.rint(ghost + changed * (np.array(ACCENT) - ghost)).astype(np.uint8))


def mask_map(mask: Image.Image, edit_mask: Image.Image) -> Image.Image:
    """Return the subject in white, and in grey what else an edit may change. Both masks are L and of one size."""
    return Image.fromarray(np.where(inside_of(mask), 255, np.where(inside_of(edit_mask), REACH, 0)).astype(np.uint8))
