"""Mask files: which region is read from each kind of them, and what is refused and why."""

from __future__ import annotations

import io
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFilter

from s2edit_core.errors import ImageInvalid, MaskInvalid
from s2edit_core.pictures.mask_files import MIN_PERSON_SIDE, MIN_SIDE, check_mask_file, decode_mask
from s2edit_core.request.spec import MaskMode
from s2edit_core.request.texts import counted
from tests import masks
from tests.masks import SIZE, Drawing, cut_out, of, painted, photo, saved, silhouette

AGREEMENT = 0.97


def agreement(found: Drawing, drawn: Drawing) -> float:
    """Intersection over union."""
    return float((found & drawn).sum() / (found | drawn).sum())


def size_of(data: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(data)) as picture:
        return picture.size


# --- masks as people have them ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", masks.readable())
def test_a_mask_marks_what_was_drawn(name: str) -> None:
    file = masks.corpus()[name]
    mask = decode_mask(file.data, size_of(file.data), mode=file.mode)
    assert mask.mode == "L"
    assert file.drawing is not None
    assert agreement(of(mask), file.drawing) >= AGREEMENT


@pytest.mark.parametrize("name", masks.unreadable())
def test_a_mask_that_may_mean_either_is_refused_by_the_way(name: str) -> None:
    file = masks.corpus()[name]
    with pytest.raises(MaskInvalid) as refused:
        decode_mask(file.data, size_of(file.data), mode=file.mode)
    assert (refused.value.reason, refused.value.field) == (file.reason, "mask")
    if file.reason == "mask_unclear":
        for mode in ("luminance", "alpha", "inverted_alpha"):
            assert f"mask_mode={mode} (" in str(refused.value)


def test_the_same_photo_without_the_person_or_without_the_rest_is_not_mistaken_for_the_other() -> None:
    """Both have the same colours and the same outline; only where the transparent part lies tells them apart."""
    drawn = silhouette()
    hole = cut_out(photo(), drawn.point(lambda level: 255 - level))
    assert agreement(of(decode_mask(saved(cut_out(photo(), drawn)), SIZE)), of(drawn)) > AGREEMENT
    with pytest.raises(MaskInvalid, match="opaque along most of its border"):
        decode_mask(saved(hole), SIZE)
    for mode, region in (("alpha", ~of(drawn)), ("inverted_alpha", of(drawn))):
        assert agreement(of(decode_mask(saved(hole), SIZE, mode=mode)), region) > AGREEMENT  # type: ignore[arg-type]


def test_a_cut_out_is_told_by_its_corners_as_it_is_seen() -> None:
    """The file is stored on its side, as a phone would."""
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = cut_out(photo(), silhouette()).transpose(Image.Transpose.ROTATE_90)
    assert agreement(of(decode_mask(saved(lying, exif=exif), SIZE)), of(silhouette())) > AGREEMENT


@st.composite
def blobs(draw: st.DrawFn) -> Image.Image:
    """Smooth random regions, anti-aliased, as L: something in the middle, and nothing at most of the border."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size = draw(st.sampled_from([(96, 128), (257, 190)]))
    coarse = random.random((9, 9))
    coarse[3:6, 3:6] += 0.6
    coarse[[0, -1]] = coarse[:, [0, -1]] = 0
    wide = Image.fromarray((coarse.clip(0, 1.2) / 1.2 * 255).astype(np.uint8)).resize(
        (4 * size[0], 4 * size[1]), Image.Resampling.BICUBIC
    )
    return wide.point(lambda level: 255 * (level >= 128)).resize(size, Image.Resampling.BOX)


KINDS = ("PNG", "JPEG", "WEBP", "AVIF")
COLOURS = st.tuples(*[st.integers(0, 255)] * 3)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(blobs(), st.sampled_from(KINDS), st.integers(30, 95), st.sampled_from(["L", "RGB"]), st.floats(0, 0.02))
def test_any_black_and_white_drawing_is_read(drawn: Image.Image, kind: str, quality: int, mode: str, softness: float) -> None:
    """`softness`: of its edge, relative to its width. Only where that melts its parts into grey may it be refused."""
    drawn = drawn.filter(ImageFilter.GaussianBlur(softness * drawn.width))
    data = saved(drawn.convert(mode), kind, quality=quality)
    assert agreement(of(decode_mask(data, drawn.size, mode="luminance")), of(drawn)) >= AGREEMENT
    try:
        mask = decode_mask(data, drawn.size)
    except MaskInvalid as refused:
        if refused.reason != "mask_unclear" or softness < 0.01:
            raise
    else:
        assert agreement(of(mask), of(drawn)) >= AGREEMENT


@settings(max_examples=60, deadline=None, derandomize=True)
@given(blobs(), COLOURS, st.floats(0.1, 1), st.sampled_from(["PNG", "WEBP"]), st.booleans())
def test_any_strokes_on_transparent_are_read(
    drawn: Image.Image, colour: tuple[int, int, int], opacity: float, kind: str, lossless: bool
) -> None:
    data = saved(painted(colour, drawn, opacity), kind, lossless=lossless)
    for mode in ("auto", "alpha"):
        assert agreement(of(decode_mask(data, drawn.size, mode=mode)), of(drawn)) >= AGREEMENT  # type: ignore[arg-type]


@settings(max_examples=40, deadline=None, derandomize=True)
@given(blobs(), st.integers(0, 1000), st.sampled_from(["RGB", "L"]), st.floats(0, 3))
def test_a_cut_out_is_read_and_its_photo_alone_or_with_a_hole_is_not(drawn: Image.Image, seed: int, mode: str, blur: float) -> None:
    picture, drawn = photo(drawn.size, seed).convert(mode).convert("RGB"), drawn.filter(ImageFilter.GaussianBlur(blur))
    assert agreement(of(decode_mask(saved(cut_out(picture, drawn)), drawn.size)), of(drawn)) >= AGREEMENT
    hole = drawn.point(lambda level: 255 - level)
    for refused in (picture, cut_out(picture, hole)):
        with pytest.raises(MaskInvalid) as error:
            decode_mask(saved(refused), drawn.size)
        assert error.value.reason == "mask_unclear"
    found = decode_mask(saved(cut_out(picture, hole)), drawn.size, mode="inverted_alpha")
    assert agreement(of(found), of(drawn)) >= AGREEMENT


# --- kinds of files --------------------------------------------------------------------------------------------


def square_mask(size: tuple[int, int]) -> Image.Image:
    mask = Image.new("L", size)
    mask.paste(255, (size[0] // 4, size[1] // 4, 3 * size[0] // 4, 3 * size[1] // 4))
    return mask


EXACT = {"palette": ("P", "PNG", {}), "1 bit": ("1", "PNG", {}), "AVIF": ("L", "AVIF", {"quality": 100}), "L": ("L", "PNG", {})}


@pytest.mark.parametrize("name", EXACT)
def test_a_mask_of_the_same_size_is_taken_as_it_is(name: str) -> None:
    mode, kind, options = EXACT[name]
    mask = decode_mask(saved(square_mask((64, 48)).convert(mode), kind, **options), (64, 48))
    assert np.array_equal(of(mask), of(square_mask((64, 48))))
    assert name == "AVIF" or np.array_equal(np.asarray(mask), np.asarray(square_mask((64, 48))))


def test_a_soft_edge_keeps_its_levels() -> None:
    soft = square_mask((64, 48)).filter(ImageFilter.GaussianBlur(2))
    assert np.array_equal(np.asarray(decode_mask(saved(soft), (64, 48))), np.asarray(soft))
    assert np.array_equal(np.asarray(decode_mask(saved(painted((9, 90, 9), soft)), (64, 48))), np.asarray(soft))


def test_a_16_bit_mask_is_scaled() -> None:
    deep = np.zeros((48, 64), dtype=np.uint16)
    deep[:, :32] = 65535
    deep[:, 32:] = 300  # nearly black
    mask = np.asarray(decode_mask(saved(Image.fromarray(deep)), (64, 48)))
    assert (mask[:, :32] == 255).all()
    assert (mask[:, 32:] == 1).all()


def test_a_mask_painted_white_on_nothing_counts_by_what_is_painted() -> None:
    drawn = Image.new("RGBA", (64, 48), (0, 0, 0, 0))
    drawn.paste((0, 0, 0, 255), (0, 0, 8, 48))
    drawn.paste((255, 255, 255, 255), (16, 12, 52, 24))
    mask = decode_mask(saved(drawn), (64, 48))
    assert int((np.asarray(mask) == 255).sum()) == 36 * 12


def test_a_mask_that_is_no_image_is_refused_by_its_own_name() -> None:
    with pytest.raises(ImageInvalid) as refused:
        decode_mask(b"junk", (64, 48), "edit_mask")
    assert (refused.value.reason, refused.value.field) == ("image_format", "edit_mask")


def test_a_large_mask_is_the_same_in_strips_as_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for name, file in masks.corpus().items():
        if file.drawing is None or not file.data.startswith(b"\x89PNG") or size_of(file.data) != SIZE:
            continue
        with Image.open(io.BytesIO(file.data)) as picture:
            data = saved(picture.transpose(Image.Transpose.ROTATE_90), exif=exif)
        whole = decode_mask(data, SIZE, mode=file.mode)
        with monkeypatch.context() as patched:
            patched.setattr("s2edit_core.pictures.mask_drawings.STRIP_PIXELS", SIZE[1] * 5)
            assert np.array_equal(np.asarray(decode_mask(data, SIZE, mode=file.mode)), np.asarray(whole)), name


# --- frame and region ------------------------------------------------------------------------------------------


def test_a_mask_of_another_size_is_resized_when_its_aspect_agrees() -> None:
    resized = decode_mask(saved(square_mask((128, 96))), (64, 48))
    assert np.array_equal(np.asarray(resized), np.asarray(square_mask((64, 48))))


def test_a_mask_of_another_shape_is_refused() -> None:
    with pytest.raises(MaskInvalid, match="64×64 and the image 64×48: the mask must have the same aspect ratio") as refused:
        decode_mask(saved(square_mask((64, 64))), (64, 48), "edit_mask")
    assert (refused.value.reason, refused.value.field) == ("mask_size", "edit_mask")


@pytest.mark.parametrize("size", [(48, 64), (96, 128)])
def test_a_mask_of_the_unturned_photo_is_told_so(size: tuple[int, int]) -> None:
    """Drawn on the pixels of a file that its EXIF turns, as a library gives them that takes no notice of EXIF."""
    with pytest.raises(MaskInvalid, match=r"rotated by 90°.*EXIF.*Draw the mask on the photo as it is shown upright") as refused:
        decode_mask(saved(square_mask(size)), (64, 48))
    assert refused.value.reason == "mask_size"
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode_mask(saved(square_mask(size), exif=exif), (64, 48)).size == (64, 48)  # what the message proposes


@pytest.mark.parametrize(("size", "taken"), [((1000, 750), True), ((1000, 745), True), ((1000, 735), False), ((750, 1000), False)])
def test_aspects_agree_to_one_in_a_hundred(size: tuple[int, int], taken: bool) -> None:
    if taken:
        assert decode_mask(saved(square_mask(size)), (64, 48)).size == (64, 48)
        return
    with pytest.raises(MaskInvalid, match=r"1000×735|750×1000"):
        decode_mask(saved(square_mask(size)), (64, 48))


@pytest.mark.parametrize(("level", "reason"), [(0, "mask_empty"), (255, "mask_full")])
@pytest.mark.parametrize("mode", ["L", "RGBA"])
def test_empty_and_full_masks_are_refused(level: int, reason: str, mode: str) -> None:
    """In RGBA as a browser exports a canvas: opaque, with an alpha channel that says nothing."""
    with pytest.raises(MaskInvalid) as refused:
        decode_mask(saved(Image.new("L", (64, 48), level).convert(mode)), (64, 48))
    assert refused.value.reason == reason


@pytest.mark.parametrize("mode", ["L", "RGBA"])
def test_an_edit_mask_may_cover_everything(mode: str) -> None:
    whole = decode_mask(saved(Image.new("L", (64, 48), 255).convert(mode)), (64, 48), "edit_mask")
    assert whole.getextrema() == (255, 255)
    with pytest.raises(MaskInvalid, match="where all may change, send a white edit_mask"):
        decode_mask(saved(Image.new("L", (64, 48), 255)), (64, 48))


def test_a_mask_of_classes_is_told_how_dark_it_is() -> None:
    classes = square_mask((64, 48)).point(lambda level: level // 255)
    with pytest.raises(MaskInvalid, match="its brightest pixel is 1 of 255") as refused:
        decode_mask(saved(classes), (64, 48))
    assert refused.value.reason == "mask_empty"


def marked(side: int, size: tuple[int, int] = (400, 300)) -> bytes:
    mask = Image.new("L", size)
    mask.paste(255, (50, 60, 50 + side, 60 + (side + 1) // 2))
    mask.putpixel((size[0] - 1, 0), 255)
    return saved(mask)


@pytest.mark.parametrize(
    ("side", "field", "person", "taken"),
    [
        (1, "mask", None, False),
        (MIN_PERSON_SIDE - 1, "mask", None, False),
        (MIN_PERSON_SIDE, "mask", None, True),
        (MIN_PERSON_SIDE - 1, "mask", False, True),
        (MIN_SIDE - 1, "mask", False, False),
        (MIN_SIDE, "edit_mask", None, True),
        (MIN_SIDE - 1, "edit_mask", None, False),
    ],
)
def test_a_person_needs_more_pixels_than_lips(side: int, field: str, person: bool | None, taken: bool) -> None:
    if taken:
        assert check_mask_file(marked(side), (400, 300), field, person=person) == 1
        return
    for check in (check_mask_file, decode_mask):
        with pytest.raises(
            MaskInvalid, match=f"the region in the {field} is {counted(side, 'pixel')} long in the photo; it needs"
        ) as refused:
            check(marked(side), (400, 300), field, person=person)  # type: ignore[operator]
        assert (refused.value.reason, refused.value.field) == ("mask_too_small", field)


def test_a_person_is_measured_in_the_photo_and_not_in_the_mask() -> None:
    assert decode_mask(marked(20), (800, 600)).size == (800, 600)
    with pytest.raises(MaskInvalid, match="20 pixels long"):
        decode_mask(marked(40), (200, 150))


def test_specks_far_apart_are_nobody() -> None:
    specks = Image.new("L", (400, 300))
    for x, y in ((5, 5), (390, 10), (200, 280), (30, 250)):
        ImageDraw.Draw(specks).ellipse((x, y, x + 4, y + 4), fill=255)
    with pytest.raises(MaskInvalid) as refused:
        decode_mask(saved(specks), (400, 300))
    assert refused.value.reason == "mask_too_small"


def test_every_mode_that_requests_know_is_read() -> None:
    for mode in get_args(MaskMode):
        assert any(file.mode == mode and file.drawing is not None for file in masks.corpus().values()), mode


def test_an_opaque_mask_is_told_what_its_mode_needs() -> None:
    opaque = io.BytesIO()
    Image.new("L", (64, 64), 255).save(opaque, "PNG")
    with pytest.raises(
        MaskInvalid, match=r"edit_mask_mode=alpha \(by default the mask_mode\) needs transparency, and the edit_mask has none"
    ) as refused:
        decode_mask(opaque.getvalue(), (64, 64), "edit_mask", "alpha")
    assert refused.value.reason == "mask_opaque"
