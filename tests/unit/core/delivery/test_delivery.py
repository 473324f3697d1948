"""What an edit changed comes to the photo at the photo's own resolution; what it left keeps every pixel."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from torch import Tensor

from s2edit_core.delivery import canvas as canvas_module
from s2edit_core.delivery import difference, guided
from s2edit_core.delivery.asked import Asked
from s2edit_core.delivery.canvas import Canvas, make_canvas, to_tensor
from s2edit_core.delivery.difference import change_between
from s2edit_core.pictures.files import INSIDE
from s2edit_core.pictures.mask_regions import connected

FRAME, CELL, PHOTO = 128, 8, 768
SKIN, HAIR, DYED = (220, 180, 150), (120, 80, 50), (190, 70, 30)
Pixels = NDArray[np.float64]


def disc(side: int, radius: float = 0.3) -> NDArray[np.bool_]:
    y, x = (np.mgrid[0:side, 0:side] + 0.5) / side - 0.5
    inside: NDArray[np.bool_] = x**2 + y**2 < radius**2
    return inside


def scene(colour: tuple[int, int, int], side: int = PHOTO, *, strands: float = 0.0, seed: int = 1) -> Image.Image:
    """A disc of `colour` on skin, with vertical strands finer than a pixel of the frame."""
    pixels = np.where(disc(side)[..., None], np.array(colour, dtype=float), np.array(SKIN, dtype=float))
    lines = np.random.default_rng(seed).standard_normal(side)
    brightness = 1 + strands * np.where(disc(side), lines[None, :], 0)
    return Image.fromarray(np.rint(pixels * brightness[..., None]).clip(0, 255).astype(np.uint8))


def whole(photo: Image.Image) -> Canvas:
    """The whole photo as the frame; all of it may change."""
    mask = Image.new("L", photo.size, 255)
    return Canvas(photo, mask, mask, (0, 0, *photo.size), (FRAME, FRAME))


def seen(picture: Image.Image) -> Tensor:
    """A picture through a model's frame: without its detail."""
    return to_tensor(picture.resize((FRAME, FRAME), Image.Resampling.BOX))


def delivered(photo: Image.Image, edited: Image.Image) -> tuple[Image.Image, dict[str, float]]:
    change = change_between(seen(photo), seen(edited), seen(photo), CELL)
    return whole(photo).deliver(change), change.shares(torch.ones(FRAME, FRAME))


def array(picture: Image.Image) -> Pixels:
    return np.asarray(picture, dtype=np.float64)


def detail(picture: Image.Image, where: NDArray[np.bool_]) -> float:
    """Energy of the differences between neighbours in a row."""
    return float(np.square(np.diff(array(picture).mean(axis=2), axis=1))[where[:, 1:]].sum())


def test_an_edit_that_changes_nothing_returns_the_photo() -> None:
    photo = scene(HAIR, strands=0.2)
    result, shares = delivered(photo, photo)
    assert np.array_equal(array(result), array(photo))
    assert shares == {"replaced": 0.0, "shifted": 0.0, "left": 1.0}


def test_what_is_recoloured_keeps_its_strands_and_its_sharp_edge() -> None:
    photo, truth = scene(HAIR, strands=0.2), scene(DYED, strands=0.2)
    result, shares = delivered(photo, truth)
    inside, outside = disc(PHOTO, 0.29), ~disc(PHOTO, 0.31)
    assert shares["shifted"] == pytest.approx(disc(FRAME).mean(), abs=0.03)
    assert shares["replaced"] < 0.01
    assert np.array_equal(array(result)[outside], array(photo)[outside])
    assert np.abs(array(result) - array(truth))[inside].mean() < 6
    assert detail(result, inside) == pytest.approx(detail(truth, inside), rel=0.2)
    edge = array(result)[PHOTO // 2, :, 0]  # from skin to dyed hair within two pixels, where the frame has six to a pixel
    rim = PHOTO // 2 - round(0.3 * PHOTO)
    assert abs(edge[rim - 2] - SKIN[0]) < 12
    assert abs(edge[rim + 2 : rim + 40].mean() - DYED[0]) < 12


def test_each_map_is_labelled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a large frame, finding connected regions takes longer than most other steps."""
    seen_maps: list[bytes] = []

    def counted(where: NDArray[np.bool_]) -> NDArray[np.intp]:
        seen_maps.append(where.tobytes())
        return connected(where)

    monkeypatch.setattr(difference, "connected", counted)
    delivered(scene(HAIR, strands=0.2), scene(DYED, strands=0.2))
    assert len(seen_maps) > 3
    assert len(set(seen_maps)) == len(seen_maps)


def test_something_new_hides_what_was_there_and_leaves_what_is_beside_it() -> None:
    """A bar over half of the disc: the disc's edge and its strands must not shine through."""
    photo = scene(HAIR, strands=0.2)
    edited = photo.copy()
    edited.paste((40, 60, 140), (100, 300, 668, 420))
    result, shares = delivered(photo, edited)
    assert 568 * 120 < shares["replaced"] * PHOTO**2 < (568 + 72) * (120 + 72)  # up to half a latent cell around
    assert shares["shifted"] < 0.02
    middle = array(result)[320:400, 130:640]
    assert np.abs(middle - (40, 60, 140)).max() < 8
    beside = np.ones((PHOTO, PHOTO), dtype=bool)
    beside[300 - 66 : 420 + 66, 100 - 66 : 668 + 66] = False
    assert np.array_equal(array(result)[beside], array(photo)[beside])


def test_nothing_shows_through_the_middle_of_something_large() -> None:
    """A hat over all of the hair: far from its outline it looks like another tone, and yet it is a hat."""
    photo = scene(HAIR, strands=0.3)
    edited = photo.copy()
    edited.paste((60, 70, 40), (110, 90, 658, 500))
    result, _ = delivered(photo, edited)
    middle = array(result)[130:460, 150:618]
    assert np.abs(middle - (60, 70, 40)).max() < 8


@pytest.mark.parametrize("cell", [4, 8])
def test_no_hair_shows_through_a_cap_that_ends_where_the_hair_ends(cell: int) -> None:
    """Of its outline only the rim is new, and a model draws it softly. With small latent cells, too."""
    photo = scene(HAIR, strands=0.3)
    cap = np.where(disc(PHOTO, 0.31) & (np.arange(PHOTO)[:, None] < 400), 255, 0).astype(np.uint8)
    edited = photo.copy()
    edited.paste((40, 60, 160), mask=Image.fromarray(cap).filter(ImageFilter.GaussianBlur(6)))
    change = change_between(seen(photo), seen(edited), seen(photo), cell)
    result = array(whole(photo).deliver(change))
    middle = result[220:370, 250:518]
    assert np.abs(middle - (40, 60, 160)).max() < 8
    below = np.s_[460:560, 250:518]
    assert np.array_equal(result[below], array(photo)[below])


def test_a_hat_as_large_as_the_hair_is_told_from_dyed_hair_by_its_colours() -> None:
    """Dye takes each colour of the hair to another one. A hat is lit in its own way, and shows no locks."""
    y, x = (np.mgrid[0:PHOTO, 0:PHOTO] + 0.5) / PHOTO - 0.5
    locks, light = (1 + 0.3 * np.sin(60 * x + 4 * y))[..., None], (0.8 - 1.8 * y)[..., None]

    def drawn(colours: Pixels, radius: float, under: Pixels) -> Pixels:
        inside = _soft(disc(PHOTO, radius), 5)
        return under * (1 - inside) + colours * inside

    skin = np.full((PHOTO, PHOTO, 3), SKIN, dtype=float)
    hair, dyed = (drawn(np.array(colour) * locks, 0.3, skin) for colour in (HAIR, DYED))
    hat = drawn(np.array((90, 60, 90)) * light, 0.31, hair)
    photo, *edits = (Image.fromarray(each.clip(0, 255).astype(np.uint8)) for each in (hair, dyed, hat))
    for edited, covered in zip(edits, (0.0, 1.0), strict=True):
        change = change_between(seen(photo), seen(edited), seen(photo), 4)
        assert float(change.covered[0][torch.from_numpy(disc(FRAME, 0.25))].mean()) == pytest.approx(covered, abs=0.02)
        assert np.abs(array(whole(photo).deliver(change)) - array(edited))[disc(PHOTO, 0.25)].mean() < 6


def test_an_edit_that_only_recolours_replaces_nothing_whatever_the_model_draws() -> None:
    """Dyed hair that the model draws with other locks and another hair line keeps the photo's own."""
    photo, edited = scene(HAIR, strands=0.3), scene(DYED, strands=0.6, seed=2)
    edited.paste((60, 20, 10), (250, 300, 500, 420))
    source, drawn = seen(photo), seen(edited)
    free, held = (change_between(source, drawn, source, CELL, asked=asked) for asked in ("anything", "colours"))
    assert free.shares(torch.ones(FRAME, FRAME))["replaced"] > 0.02
    assert held.shares(torch.ones(FRAME, FRAME))["replaced"] == 0
    inside = disc(PHOTO, 0.29)
    assert detail(whole(photo).deliver(held), inside) > 0.8 * detail(photo, inside)


def test_the_old_mouths_line_does_not_show_in_a_faint_new_smile() -> None:
    """The model draws the smile as paler lips, which look like the old ones in another tone."""

    def mouth(lips: tuple[int, int, int], line: tuple[int, int, int] | None) -> Image.Image:
        face = Image.new("RGB", (PHOTO, PHOTO), SKIN)
        drawing = ImageDraw.Draw(face)
        drawing.ellipse((284, 360, 484, 420), fill=lips)
        if line is not None:
            drawing.line((304, 392, 464, 392), fill=line, width=10)
        return face

    photo, edited = mouth((200, 110, 105), (90, 30, 30)), mouth((240, 190, 190), None)
    source, drawn, rows = seen(photo), seen(edited), (slice(390, 395), slice(320, 448))
    tint, smile = (
        array(whole(photo).deliver(change_between(source, drawn, source, 4, asked=asked)))[rows].mean()
        for asked in ("anything", "expression")
    )
    assert tint < 150, "the line stays"
    assert smile == pytest.approx(array(edited)[rows].mean(), abs=12)


def test_a_collar_that_is_taken_off_leaves_no_pale_one() -> None:
    """It ends where the photo has an edge, as recoloured things do."""
    photo, bare = scene(HAIR), scene(HAIR)
    for line, stripe in enumerate(range(384, 432, 8)):
        photo.paste((140, 60, 150) if line % 2 else (90, 30, 110), (230, stripe, 538, stripe + 8))
    source, drawn, band = seen(photo), seen(bare), (slice(384, 432), slice(240, 528))
    changes = (change_between(source, drawn, source, 4, asked=asked) for asked in ("anything", "things"))
    tinted, gone = (np.abs(array(whole(photo).deliver(each)) - array(bare))[band].mean() for each in changes)
    assert gone < 2 < 10 < tinted


def test_dye_stays_in_the_photos_hair_where_the_model_draws_it_beside_its_place() -> None:
    photo, truth = scene(HAIR, strands=0.2), scene(DYED, strands=0.2)
    beside = torch.roll(seen(truth), 4, dims=2)  # half a latent cell to the right
    change = change_between(seen(photo), beside, seen(photo), CELL, asked="colours")
    result = array(whole(photo).deliver(change))
    edge = PHOTO - (PHOTO // 2 - round(0.3 * PHOTO))
    assert np.abs(result - array(photo))[PHOTO // 2, edge + 4 : edge + 30].max() < 10
    assert np.abs(result - array(truth))[disc(PHOTO, 0.28)].mean() < 12


def test_grain_beside_recoloured_hair_does_not_become_dots() -> None:
    """The model draws the hair wider, and the frame averages the grain away to which the edge's function is applied."""
    grain = np.random.default_rng(3).normal(0, 6, (PHOTO, PHOTO, 3))
    wall = np.full((PHOTO, PHOTO, 3), (170.0, 150.0, 140.0)) + np.linspace(-3, 3, PHOTO)[:, None, None]

    def drawn(hair: tuple[int, int, int], radius: float, grain: Pixels) -> Image.Image:
        opacity = _soft(disc(PHOTO, radius), 6)
        return Image.fromarray((wall * (1 - opacity) + np.array(hair) * opacity + grain).clip(0, 255).astype(np.uint8))

    blond, red, none = (200, 170, 120), (150, 50, 30), np.zeros(())
    photo, truth = drawn(blond, 0.3, grain), drawn(red, 0.3, grain)
    source, wider, canvas = seen(drawn(blond, 0.3, none)), seen(drawn(red, 0.33, none)), whole(photo)
    changes = (change_between(source, wider, canvas.source(), CELL, noise=n, asked="colours") for n in (0.0, canvas.noise))
    plain, aware = (np.square(array(canvas.deliver(each)) - array(truth)) for each in changes)
    beside, hair = ~disc(PHOTO, 0.31), disc(PHOTO, 0.29)
    assert aware[beside].mean() < 0.75 * plain[beside].mean()
    assert aware[hair].mean() < 1.01 * plain[hair].mean()


def test_what_is_too_small_to_be_drawn_anew_is_not_lost() -> None:
    """In a small frame, new lids look like something new, and differ too little to be drawn as such."""
    photo = scene(HAIR)
    edited = photo.copy()
    edited.paste((150, 110, 80), (366, 366, 402, 402))
    result, shares = delivered(photo, edited)
    assert shares["replaced"] == 0
    assert np.abs(array(result) - array(photo))[375:393, 375:393].mean() > 5


def test_a_thin_line_counts_where_it_is_joined_to_something_new_and_is_left_elsewhere() -> None:
    """The temple of glasses; and an outline that moved."""
    photo = scene(SKIN)
    edited = photo.copy()
    edited.paste((40, 60, 140), (100, 300, 280, 420))
    edited.paste((130, 90, 60), (280, 354, 600, 366))
    edited.paste((130, 90, 60), (100, 600, 600, 612))
    result, _ = delivered(photo, edited)
    joined, alone = array(result)[360, 300:590], array(result)[560:650]
    assert np.abs(joined - (130, 90, 60)).mean() < 12
    assert np.array_equal(alone, array(photo)[560:650])


def test_what_something_new_encloses_is_drawn_with_it_unless_it_is_larger() -> None:
    """An eye behind a lens comes from one picture, not from two. A face within a ring of changes is the photo's."""
    photo = scene(SKIN)
    y, x = (np.mgrid[0:PHOTO, 0:PHOTO] + 0.5) - PHOTO / 2
    for radius, width, enclosed in ((70, 30, True), (300, 20, False)):
        distance = np.hypot(x, y)
        ring = np.abs(distance - radius) < width / 2
        pixels = array(photo) - 4 * (distance < radius)[..., None]
        edited = Image.fromarray(np.where(ring[..., None], (40, 60, 140), pixels).astype(np.uint8))
        result, _ = delivered(photo, edited)
        expected = array(edited if enclosed else photo)
        assert np.abs(array(result) - expected)[PHOTO // 2 - 20 : PHOTO // 2 + 20, PHOTO // 2 - 20 : PHOTO // 2 + 20].max() < 2


def test_a_faint_change_away_from_what_is_new_is_left() -> None:
    photo = scene(SKIN)
    edited = photo.copy()
    edited.paste((40, 60, 140), (100, 100, 500, 300))
    edited.paste((208, 190, 160), (100, 500, 300, 650))
    result, _ = delivered(photo, edited)
    assert np.abs(array(result) - array(edited))[120:280, 120:480].max() < 8
    assert np.array_equal(array(result)[400:], array(photo)[400:])


def test_a_soft_blush_keeps_the_pores() -> None:
    """It fades out without an edge in the photo, and yet it is a shift."""
    rng = np.random.default_rng(3)
    skin = np.array(SKIN) * (1 + 0.04 * rng.standard_normal((PHOTO, PHOTO, 1)))
    y, x = np.mgrid[0:PHOTO, 0:PHOTO] / PHOTO - 0.5
    blush = np.exp(-(x**2 + y**2) / 0.02)[..., None]
    photo, truth = (Image.fromarray(p.clip(0, 255).astype(np.uint8)) for p in (skin, skin + blush * (10, -38, -28)))
    result, shares = delivered(photo, truth)
    cheek = blush[..., 0] > 0.7
    assert shares["replaced"] < 0.005
    assert (array(result) - array(photo))[cheek].mean(axis=0) == pytest.approx((10, -34, -25), abs=6)
    assert detail(result, cheek) > 0.8 * detail(photo, cheek)


def test_a_blush_that_touches_eye_shadow_keeps_the_freckles() -> None:
    """Judged by windows that suit a hat, together they are something new: but they are small."""
    dots = Image.fromarray(((np.random.default_rng(3).random((PHOTO, PHOTO)) < 0.002) * 255).astype(np.uint8))
    freckles = (array(dots.filter(ImageFilter.GaussianBlur(2))) / 10).clip(0, 1)[..., None]
    y, x = np.mgrid[0:PHOTO, 0:PHOTO] / PHOTO - 0.5
    eye = _soft((x / 0.08) ** 2 + (y / 0.03) ** 2 < 1, 2)
    brow = _soft((np.abs(x) < 0.1) & (np.abs(y + 0.09) < 0.015), 2)
    skin = np.array(SKIN) * (1 - 0.4 * freckles) * (1 - 0.8 * np.maximum(eye, brow))
    shadow = _soft((np.abs(x) < 0.09) & (y > -0.075) & (y < 0), 6) * (1 - eye)
    blush = np.exp(-((x - 0.06) ** 2 + (y - 0.09) ** 2) / 0.01)[..., None]
    made_up = skin + blush * (8, -45, -30)
    made_up = made_up + 0.5 * shadow * ((50, 70, 190) - made_up)
    photo, truth = (Image.fromarray(p.clip(0, 255).astype(np.uint8)) for p in (skin, made_up))
    result = whole(photo).deliver(change_between(seen(photo), seen(truth), seen(photo), 4))
    cheek = blush[..., 0] > 0.5
    assert (array(result) - array(photo))[cheek].mean(axis=0) == pytest.approx((6, -33, -22), abs=6)
    assert detail(result, cheek) > 0.7 * detail(photo, cheek)


def _soft(region: NDArray[np.bool_], radius: int) -> Pixels:
    """`region` with a soft edge, `(h, w, 1)` in 0..1."""
    return array(Image.fromarray((region * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(radius)))[..., None] / 255


def test_an_outline_that_moved_by_less_than_a_pixel_of_the_frame_changes_nothing() -> None:
    """What an auto-encoder gets slightly wrong elsewhere is not part of the edit."""
    photo = scene(HAIR, strands=0.1)
    moved = seen(photo) * 0.85 + torch.roll(seen(photo), 1, dims=2) * 0.15
    result = whole(photo).deliver(change_between(seen(photo), moved, seen(photo), CELL))
    assert np.abs(array(result) - array(photo)).mean() < 0.2


@given(st.integers(0, 2**32 - 1), st.integers(20, 90), st.integers(20, 90))
@settings(max_examples=40, deadline=None)
def test_outside_the_edit_mask_not_one_pixel_changes_whatever_the_model_draws(seed: int, width: int, height: int) -> None:
    rng = np.random.default_rng(seed)
    photo = Image.fromarray(rng.integers(0, 256, (height + 60, width + 60, 3), dtype=np.uint8))
    mask, edit_mask = Image.new("L", photo.size), Image.new("L", photo.size)
    mask.paste(255, (20, 20, 20 + width, 20 + height))
    edit_mask.paste(255, (int(rng.integers(0, 30)), 10, 30 + width // 2, 40 + height // 2))
    canvas = make_canvas(photo, mask, edit_mask, frame_size=64, multiple=16)
    blocks = torch.from_numpy(rng.choice([-1.0, 1.0], (1, 3, canvas.frame[1] // 16, canvas.frame[0] // 16))).float()
    edited = torch.nn.functional.interpolate(blocks, scale_factor=16)[0]
    source = canvas.source()
    result = canvas.deliver(change_between(source, edited, source, CELL))
    outside = np.asarray(canvas.edit_mask) < INSIDE
    assert np.array_equal(np.asarray(result)[outside], np.asarray(photo)[outside])
    assert not np.array_equal(np.asarray(result), np.asarray(photo))


def test_the_result_does_not_depend_on_how_the_photo_is_cut_into_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    photo, edited = scene(HAIR), scene(DYED)
    edited.paste((40, 60, 140), (100, 300, 668, 420))
    at_once, _ = delivered(photo, edited)
    monkeypatch.setattr(canvas_module, "STRIP_PIXELS", 5000)
    in_strips, _ = delivered(photo, edited)
    assert np.abs(array(at_once) - array(in_strips)).max() <= 1


def test_new_things_get_the_grain_of_the_photo() -> None:
    rng = np.random.default_rng(5)
    grain = rng.normal(0, 6, (PHOTO, PHOTO, 1))
    photo = Image.fromarray((np.full((PHOTO, PHOTO, 3), 150.0) + grain).clip(0, 255).astype(np.uint8))
    edited = photo.copy()
    edited.paste((40, 60, 140), (200, 300, 568, 420))
    result, _ = delivered(photo, edited)
    assert array(result)[330:390, 230:540].std(axis=(0, 1)).mean() == pytest.approx(6, rel=0.25)


def test_a_seam_softens_the_edge_of_a_small_edit_mask() -> None:
    photo, edited = scene(HAIR), scene(HAIR)
    edited.paste((40, 60, 140), (0, 200, PHOTO, 568))
    mask = Image.new("L", photo.size)
    mask.paste(255, (300, 0, PHOTO, PHOTO))
    canvas = Canvas(photo, mask, Image.new("L", photo.size, 255), (0, 0, *photo.size), (FRAME, FRAME))
    result = array(canvas.deliver(change_between(seen(photo), seen(edited), seen(photo), CELL)))
    row = result[384, 296:330, 2]
    assert np.array_equal(row[:4], array(photo)[384, 296:300, 2])
    assert (np.diff(row[4:20]) >= 0).all()
    assert row[4] < row[-1] == pytest.approx(140, abs=4)


def test_other_shapes_are_refused() -> None:
    frame = torch.zeros(3, 8, 8)
    with pytest.raises(ValueError, match="three frames"):
        change_between(frame, torch.zeros(3, 8, 16), frame, CELL)
    change = change_between(frame, frame, frame, CELL)
    with pytest.raises(ValueError, match="a change of the frame"):
        whole(scene(HAIR)).deliver(change)


@pytest.mark.parametrize("asked", ["anything", "tones", "makeup"])
def test_in_float64_and_by_cofactors_as_on_a_gpu_the_change_is_the_same(monkeypatch: pytest.MonkeyPatch, asked: Asked) -> None:
    photo = scene(HAIR, strands=0.2)
    edited = scene(DYED, strands=0.2)
    before, after = seen(photo), seen(edited)
    expected = change_between(before, after, before, CELL, asked=asked)
    exact = [((each.double() + 1) / 2).clamp(0, 1) for each in (before, after, before)]
    monkeypatch.setattr(guided, "_solved", guided._solved_by_cofactors)
    found = difference._change(exact[0], exact[1], exact[2], CELL, 0.0, asked)
    for name, values in vars(found).items():
        assert values.dtype == torch.float32
        assert torch.allclose(values, getattr(expected, name), atol=1e-3), name
