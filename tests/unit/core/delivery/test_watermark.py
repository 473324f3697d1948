"""The mark is found by whoever has the picture alone, is hardly seen, and is not found where it isn't."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from lab.world.person import DOMAIN
from s2edit_core.delivery import watermark
from s2edit_core.delivery.watermark import BITS, PAYLOAD, SCHEME, Reading, fits, mark, read

SIZE = 256


def levels(picture: Image.Image) -> NDArray[np.int16]:
    return np.asarray(picture).astype(np.int16)


def saved(picture: Image.Image, format: str, **options: Any) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, format, **options)
    return Image.open(file).convert("RGB")


def studio_portrait(ground: str) -> Image.Image:
    """A small portrait on much of one colour, where colours have little room."""
    picture = Image.new("RGB", (512, 512), ground)
    picture.paste(DOMAIN.render(DOMAIN.sample(1)), (192, 192))
    return picture


@pytest.fixture(scope="module")
def portrait() -> Image.Image:
    return DOMAIN.render(DOMAIN.sample(1), SIZE)


@pytest.fixture(scope="module")
def marked(portrait: Image.Image) -> Image.Image:
    return mark(portrait)


@pytest.mark.parametrize(("format", "options"), [("PNG", {}), ("JPEG", {"quality": 85}), ("JPEG", {"quality": 75}), ("WEBP", {})])
def test_it_is_found_in_the_file(marked: Image.Image, format: str, options: dict[str, Any]) -> None:
    assert read(saved(marked, format, **options)).found


@pytest.mark.parametrize("ground", ["white", "black", "grey", "red"])
def test_it_is_found_on_a_ground_where_colours_have_little_room(ground: str) -> None:
    plain = studio_portrait(ground)
    assert not read(plain).found
    assert read(saved(mark(plain), "JPEG", quality=75)).found


def test_it_is_not_found_in_pictures_without_it() -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8))
    portraits = [DOMAIN.render(DOMAIN.sample(number), SIZE) for number in range(8)]
    for picture in (noise, *(Image.new("RGB", (SIZE, SIZE), colour) for colour in ("white", "grey", "red")), *portraits):
        assert read(picture).right <= 24


def test_it_is_hardly_seen(portrait: Image.Image, marked: Image.Image) -> None:
    moved = np.abs(levels(marked) - levels(portrait))
    assert 0 < moved.max() < 12
    assert moved.mean() < 2


def test_marking_twice_changes_next_to_nothing(marked: Image.Image) -> None:
    """An edit may go on from a result that carries it."""
    assert np.abs(levels(mark(marked)) - levels(marked)).max() <= 1


def test_it_crosses_the_borders_of_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are worked on by strips; edges that fill no block stay as they are."""
    tall = Image.effect_noise((131, 611), 40).convert("RGB")
    whole = mark(tall)
    monkeypatch.setattr(watermark, "STRIP", 8)
    assert whole.tobytes() == mark(tall).tobytes()
    assert read(whole).right == BITS
    assert np.array_equal(levels(whole)[608:], levels(tall)[608:])
    assert np.array_equal(levels(whole)[:, 128:], levels(tall)[:, 128:])
    assert not np.array_equal(levels(whole)[600:608], levels(tall)[600:608])


def as_the_library_reads(picture: Image.Image) -> bytes:
    """dwtDctSvd block by block, with the transform that changes no singular value, and whole levels of U."""
    rgb = np.asarray(picture).astype(float)
    u = np.rint(0.492 * (rgb[..., 2] - rgb @ [0.299, 0.587, 0.114]) + 128)
    k, n = np.mgrid[:4, :4]
    dct = np.cos(np.pi * (2 * n + 1) * k / 8) * np.where(k == 0, 0.5, math.sqrt(0.5))
    votes: list[list[bool]] = [[] for _ in range(BITS)]
    corners = [(y, x) for y in range(0, picture.height - 7, 8) for x in range(0, picture.width - 7, 8)]
    for number, (y, x) in enumerate(corners):
        coarse = np.array([[u[y + 2 * i : y + 2 * i + 2, x + 2 * j : x + 2 * j + 2].sum() / 2 for j in range(4)] for i in range(4)])
        votes[number % BITS].append(np.linalg.svd(dct @ coarse @ dct.T)[1][0] % 36 > 18)
    return np.packbits([np.mean(each) >= 0.5 for each in votes]).tobytes()


def test_marks_are_those_of_the_library() -> None:
    """A portrait that invisible-watermark 0.2.0 has marked with the same bits."""
    with Image.open(Path(__file__).with_name("marked_by_the_library.png")) as file:
        theirs = file.convert("RGB")
    assert as_the_library_reads(theirs) == PAYLOAD
    assert read(theirs).right == BITS


def test_our_marks_are_read_as_the_library_reads(portrait: Image.Image, marked: Image.Image) -> None:
    assert as_the_library_reads(marked) == PAYLOAD
    assert as_the_library_reads(portrait) != PAYLOAD


@pytest.mark.parametrize(("size", "enough"), [((256, 256), True), ((255, 256), False), ((2000, 40), True), ((20_000, 7), False)])
def test_small_pictures_carry_none(size: tuple[int, int], enough: bool) -> None:
    assert fits(size) == enough
    if enough:
        assert read(mark(Image.new("RGB", size, "grey"))).right == BITS
        assert watermark.facts(size) == {"scheme": SCHEME, "bits": BITS, "payload": PAYLOAD.hex()}
    else:
        assert f"{size[0]}×{size[1]} is too small" in watermark.facts(size)["reason"]
        for use in (mark, read):
            with pytest.raises(ValueError, match="carries no mark"):
                use(Image.new("RGB", size))


def test_only_rgb_is_marked() -> None:
    with pytest.raises(ValueError, match="RGBA"):
        mark(Image.new("RGBA", (SIZE, SIZE)))


def test_the_chance_of_a_false_alarm_is_the_binomial_one() -> None:
    assert Reading(0).chance == 1
    assert Reading(BITS).chance == 2.0**-BITS
    assert Reading(16).chance == pytest.approx(0.5 + math.comb(32, 16) / 2**33)
    (needed,) = [right for right in range(1, BITS + 1) if Reading(right).found and not Reading(right - 1).found]
    assert Reading(needed).chance < 1e-6 < Reading(needed - 1).chance, "as few bits as that allows"
