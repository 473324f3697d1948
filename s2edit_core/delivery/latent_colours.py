"""A linear map from latents to small pictures, for previews: about a thousandth of the cost of the decoder.

Each latent cell and its eight neighbours give a block of `BLOCK` × `BLOCK` pixels. The map is fitted by least squares: to a few
drawn pictures, which teach it the colours of the model, and to the photo of the edit, whose latent is known.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn import functional as F

from s2edit_core.delivery.canvas import to_tensor

BLOCK = 4
"""Pixels per latent cell, along each side."""
PHOTO_SHARE = 0.5
"""Weight of the photo in the fit; the rest is that of the drawn pictures."""
RIDGE = 1e-3
"""Regularisation, relative to latents of unit variance."""
PICTURES, CELLS = 8, 16
"""How many pictures are drawn, and the side of each in latent cells."""
LEAVES = 150


def colour_moments(latent: Tensor, picture: Tensor) -> Tensor:
    """Return the normal equations `[XᵀX | XᵀY] / n` of the fit of `latent` `(c, h, w)` to `picture` `(3, H, W)`, on the CPU.

    Raises `ValueError` if the sides of the picture are no multiple of `BLOCK` times those of the latent.
    """
    size = latent.shape[-2] * BLOCK, latent.shape[-1] * BLOCK
    if any(whole % part for whole, part in zip(picture.shape[-2:], size, strict=True)):
        raise ValueError(f"a picture of {tuple(picture.shape[-2:])} has no whole blocks for a latent of {tuple(latent.shape[-2:])}")
    x = _neighbourhoods(latent)
    blocks = F.pixel_unshuffle(F.adaptive_avg_pool2d(picture[None].to("cpu", torch.float32), size), BLOCK)
    y = blocks[0].flatten(1).T
    return torch.cat([x.T @ x, x.T @ y], dim=1) / len(x)


def model_moments(encode: Callable[[Tensor], Tensor], latent_scale: int) -> Tensor:
    """Return the moments of drawn pictures. `encode` is the model's encoder, from `(3, H, W)` in -1..1 to a latent."""
    pictures = [_leaves(Random(seed), CELLS * latent_scale) for seed in range(PICTURES)]
    return torch.stack([colour_moments(encode(picture), picture) for picture in pictures]).mean(dim=0)


class LatentColours:
    """The map, fitted to the moments of the model and of one photo."""

    def __init__(self, of_model: Tensor, of_photo: Tensor) -> None:
        moments = (1 - PHOTO_SHARE) * of_model + PHOTO_SHARE * of_photo
        inputs = len(moments)
        ridge = RIDGE * torch.eye(inputs)
        self._weights = torch.linalg.solve(moments[:, :inputs] + ridge, moments[:, inputs:])

    def __call__(self, latent: Tensor) -> Tensor:
        """Return the picture of `latent` `(c, h, w)`: `(3, h·BLOCK, w·BLOCK)` in -1..1, on the CPU."""
        blocks = (_neighbourhoods(latent) @ self._weights).T.reshape(1, -1, *latent.shape[-2:])
        return F.pixel_shuffle(blocks, BLOCK)[0].clamp(-1, 1)


def _neighbourhoods(latent: Tensor) -> Tensor:
    """Return each cell with its neighbours and a constant, `(h·w, 9·c + 1)`."""
    padded = F.pad(latent[None].to("cpu", torch.float32), (1, 1, 1, 1), mode="replicate")
    values = F.unfold(padded, 3)[0]
    return torch.cat([values, torch.ones(1, values.shape[1])]).T


def _leaves(random: Random, side: int) -> Tensor:
    """Draw overlapping discs and boxes of all sizes (the dead leaves model), whose statistics are close to those of photos."""
    canvas = 2 * side
    picture = Image.new("RGB", (canvas, canvas))
    draw = ImageDraw.Draw(picture)
    for _ in range(LEAVES):
        radius = canvas * 0.03 / (random.random() ** 0.5 + 0.03)
        x, y, light = random.random() * canvas, random.random() * canvas, random.random()
        colour = tuple(min(255, max(0, round(255 * (light + random.gauss(0, 0.21))))) for _ in range(3))
        if random.random() < 0.6:
            draw.ellipse((x - radius, y - radius * random.uniform(0.4, 1.5), x + radius, y + radius), fill=colour)
        else:
            draw.rectangle((x - radius, y - 0.7 * radius, x + 0.5 * radius, y + radius), fill=colour)
    return to_tensor(picture.resize((side, side), Image.Resampling.BOX))
