"""The demo's strip, from pictures whose pixels are known."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from cli.demo.strip import (
    ACCENT,
    FULL_LEVELS,
    GAP,
    GIVEN_TOP,
    INSET,
    MARGIN,
    REACH,
    SPACE,
    Column,
    difference_map,
    draw_strip,
    mask_map,
    result_top,
)

SIZE = 512
SOURCE_PROMPT = "a photo of a woman with long brown hair"


def column(colour: str, prompt: str = SOURCE_PROMPT, *, given: str = "grey") -> Column:
    lines = ("what changed", "100% replaced", "100% recoloured", "100% untouched", "262144 pixels outside")
    return Column(
        "edit 3: 1000.0 s, learned the church",
        Image.new("RGB", (SIZE, SIZE), given),
        f"photo: {SOURCE_PROMPT.removeprefix('a photo of ')}",
        Image.new("RGB", (SIZE, SIZE), colour),
        prompt,
        SOURCE_PROMPT,
        Image.new("L", (SIZE, SIZE), 200),
        lines,
    )


def ink(strip: Image.Image) -> np.ndarray:
    return np.asarray(strip.convert("L")) < 160


def test_each_result_stands_below_what_was_given_unscaled() -> None:
    colours = {"red": (255, 0, 0), "green": (0, 128, 0), "blue": (0, 0, 255)}
    strip = draw_strip([column(colour, given="black") for colour in colours])
    assert strip.width == 2 * MARGIN + 3 * SIZE + 2 * GAP
    for i, pixel in enumerate(colours.values()):
        x = MARGIN + i * (SIZE + GAP)
        for y, expected in ((GIVEN_TOP, (0, 0, 0)), (result_top(SIZE), pixel)):
            assert strip.crop((x, y, x + SIZE, y + SIZE)).getcolors() == [(SIZE * SIZE, expected)]


@pytest.mark.parametrize(
    "prompt", ["a photo of a smiling woman with long brown hair", "a photo of a woman with long brown hair and [A] makeup"]
)
def test_no_text_leaves_its_column(prompt: str) -> None:
    """Even the longest lines end before the next column begins, and the prompt ends above the inset."""
    strip = draw_strip([column("white", prompt, given="white"), column("white", prompt, given="white")])
    inked = ink(strip)
    assert not inked[:, MARGIN + SIZE : MARGIN + SIZE + GAP].any()
    assert not inked[:, MARGIN + 2 * SIZE + GAP :].any()
    top = strip.height - MARGIN - INSET
    assert inked[GIVEN_TOP + SIZE : result_top(SIZE)].any()
    assert not inked[result_top(SIZE) - SPACE // 2 : result_top(SIZE)].any()
    assert inked[result_top(SIZE) + SIZE : top].any()
    assert not inked[top - SPACE // 2 : top].any()
    assert not inked[strip.height - MARGIN // 2 :].any()


def test_new_words_stand_out() -> None:
    strip = np.asarray(draw_strip([column("white"), column("white", "a photo of a woman with long red hair")]))
    accented = (strip == ACCENT).all(axis=2)
    assert not accented[:, : MARGIN + SIZE].any()
    assert accented[:, MARGIN + SIZE :].any()


def test_the_map_colours_what_changed_and_nothing_else() -> None:
    photo = Image.new("RGB", (3, 1), (100, 100, 100))
    result = photo.copy()
    result.putpixel((1, 0), (100, 100 + FULL_LEVELS // 2, 100))
    result.putpixel((2, 0), (100 - FULL_LEVELS, 100, 100))
    same, half, full = (np.array(pixel, dtype=int) for pixel in difference_map(photo, result).get_flattened_data())
    assert len(set(same)) == 1
    assert same[0] > 200
    assert tuple(full) == ACCENT
    assert np.abs(half - (same + full) / 2).max() <= 1


def test_the_mask_map_tells_the_person_from_the_margin() -> None:
    mask, edit_mask = Image.new("L", (3, 1)), Image.new("L", (3, 1))
    mask.putpixel((0, 0), 255)
    for x in (0, 1):
        edit_mask.putpixel((x, 0), 255)
    assert list(mask_map(mask, edit_mask).get_flattened_data()) == [255, REACH, 0]
