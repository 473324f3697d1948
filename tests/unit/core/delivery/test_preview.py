"""Previews of an edit: the linear map of latents to colours, and the small picture."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from s2edit_core.delivery.canvas import Canvas, make_canvas
from s2edit_core.delivery.latent_colours import BLOCK, LatentColours, colour_moments, model_moments
from s2edit_core.delivery.preview import PreviewPainter
from s2edit_core.delivery.preview_files import SIDE, encode_preview, preview_size
from s2edit_core.request.picture_limits import MAX_PREVIEW_BYTES

SCALE = 8


def encode(picture: Tensor) -> Tensor:
    """An auto-encoder whose four channels are linear in the colours of a cell."""
    mixed = torch.einsum("oc,chw->ohw", torch.tensor([[1.0, 2, 0], [0, 1, -1], [2, 0, 1], [1, 1, 1]]), picture)
    return F.avg_pool2d(mixed[None], SCALE)[0] + 0.3


@pytest.fixture
def canvas() -> Canvas:
    """A photo of 600 × 400 with soft colours, and a person left of the middle."""
    x, y = np.meshgrid(np.linspace(0, 1, 600), np.linspace(0, 1, 400))
    photo = Image.fromarray(np.stack([200 * x, 150 * y, 120 + 0 * x], axis=-1).astype(np.uint8))
    mask = Image.new("L", photo.size)
    mask.paste(255, (150, 100, 300, 350))
    return make_canvas(photo, mask, None, frame_size=128, multiple=16)


def painter_of(canvas: Canvas) -> tuple[PreviewPainter, Tensor]:
    before = encode(canvas.source())
    return PreviewPainter(canvas, model_moments(encode, SCALE), before), before


def pixels(file: bytes) -> np.ndarray:
    picture = Image.open(io.BytesIO(file))
    assert picture.format == "WEBP"
    return np.asarray(picture.convert("RGB"), dtype=np.float64)


def test_the_map_finds_the_colours_of_a_linear_model() -> None:
    picture = F.interpolate(torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(3)) * 2 - 1, scale_factor=32)[0]
    nothing = torch.zeros_like(moments := model_moments(encode, SCALE))
    drawn = LatentColours(moments, nothing)(encode(picture))
    assert drawn.shape == (3, 16 * BLOCK, 16 * BLOCK)
    wanted = F.avg_pool2d(picture[None], SCALE // BLOCK)[0]
    assert (drawn - wanted).abs().mean() < 0.1
    assert (drawn.mean(dim=(1, 2)) - wanted.mean(dim=(1, 2))).abs().max() < 0.02


def test_a_latent_with_other_proportions_than_the_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="whole blocks"):
        colour_moments(torch.zeros(4, 5, 5), torch.zeros(3, 64, 64))


def test_an_unchanged_latent_shows_the_photo(canvas: Canvas) -> None:
    painter, before = painter_of(canvas)
    shown = pixels(painter.draw(before))
    assert shown.shape[:2] == (171, SIDE)
    small = np.asarray(canvas.photo.resize((SIDE, 171), Image.Resampling.BOX), dtype=np.float64)
    assert np.abs(shown - small).mean() < 3


def test_a_change_shows_inside_the_edit_mask_alone(canvas: Canvas) -> None:
    painter, before = painter_of(canvas)
    red = encode(torch.tensor([1.0, -1, -1])[:, None, None].expand(3, *reversed(canvas.frame)).contiguous())
    change = pixels(painter.draw(red)) - pixels(painter.draw(before))
    mask = np.asarray(canvas.edit_mask.resize((SIDE, 171), Image.Resampling.BOX))
    person = change[70:130, 75:115]
    assert person[..., 0].mean() > 80
    assert person[..., 1].mean() < -20
    assert np.abs(change[mask == 0]).mean() < 2


@pytest.mark.parametrize("size", [(4000, 3000), (90, 2000), (40, 32)])
def test_a_preview_is_small(size: tuple[int, int]) -> None:
    assert max(preview_size(size)) == min(SIDE, max(size))
    assert min(preview_size(size)) >= 1


def test_a_picture_of_noise_fits_too() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8))
    assert 0 < len(encode_preview(noise)) <= MAX_PREVIEW_BYTES
