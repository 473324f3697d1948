"""Scenes for the segmenter, composed on the device: subjects of any size, moved and turned, before backdrops of many kinds."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from lab.training.dataset import SIZE
from lab.training.store import Dice

CLOSE_UPS = 0.3
"""Share of the subjects that fill the scene or reach beyond it, as in a photo of oneself."""


def scenes(dice: Dice, pictures: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Compose a scene of 128 pixels per picture. Returns pictures `(n, 3, 128, 128)` in -1..1 and masks `(n, 1, 128, 128)` in 0..1.

    `pictures` are `(n, 3, s, s)` in -1..1, `masks` `(n, 1, s, s)` in 0..1. One scene in twenty is empty. Half of the others
    keep the subject's own surroundings, whose border is extended. The rest have the subject cut out before another backdrop. A
    fifth has a second subject behind or beside the first.
    """
    n = len(pictures)
    small = F.interpolate(pictures, size=SIZE, mode="area")
    canvas = backdrops(dice, small)
    marked = torch.zeros((n, 1, SIZE, SIZE), device=dice.device)
    second = dice.chance(0.2, n, 1, 1, 1)
    order = torch.randperm(n, generator=dice.draw, device=dice.device)
    other, other_mask = _placed(dice, pictures[order], masks[order], widest=0.8, close_ups=0.0)
    canvas, marked = _over(canvas, marked, other, other_mask, other_mask * second)
    shown, mask = _placed(dice, pictures, masks, widest=1.9, close_ups=CLOSE_UPS)
    own = dice.chance(0.5, n, 1, 1, 1) & ~second
    canvas, marked = _over(canvas, marked, shown, mask, torch.where(own, torch.ones_like(mask), mask))
    empty = dice.chance(0.05, n, 1, 1, 1)
    canvas = torch.where(empty, backdrops(dice, small), canvas)
    marked = torch.where(empty, 0.0, marked)
    mirrored = dice.chance(0.5, n, 1, 1, 1)
    canvas, marked = (torch.where(mirrored, layer.flip(3), layer) for layer in (canvas, marked))
    return photographed(dice, canvas), marked


def _over(canvas: Tensor, marked: Tensor, shown: Tensor, mask: Tensor, opaque: Tensor) -> tuple[Tensor, Tensor]:
    return canvas * (1 - opaque) + shown * opaque, marked * (1 - opaque) + mask * opaque


def _placed(dice: Dice, pictures: Tensor, masks: Tensor, *, widest: float, close_ups: float) -> tuple[Tensor, Tensor]:
    """Scale, turn and move each picture with its mask. Outside the frame the picture's border is repeated, and the mask is zero."""
    n = len(pictures)
    usual, close = dice.chance(0.35, n), dice.chance(close_ups, n)
    scale = torch.where(usual, dice.uniform(0.94, 1.06, n), dice.uniform(math.log(0.25), math.log(widest), n).exp())
    scale = torch.where(close, dice.uniform(math.log(1.1), math.log(2.6), n).exp(), scale)
    angle = torch.where(dice.chance(0.35, n), dice.uniform(-0.31, 0.31, n), 0.0)
    room = torch.maximum((1 - scale).abs(), torch.full_like(scale, 0.35))
    dx, dy = (
        torch.where(
            close,
            scale * (dice.uniform(-0.18, 0.18, n) - middle),
            torch.where(usual, dice.uniform(-0.06, 0.06, n), dice.uniform(-1, 1, n) * room),
        )
        for middle in _middle(masks)
    )
    cosine, sine = angle.cos() / scale, angle.sin() / scale
    rows = [torch.stack([cosine, -sine, -(cosine * dx - sine * dy)], 1), torch.stack([sine, cosine, -(sine * dx + cosine * dy)], 1)]
    grid = F.affine_grid(torch.stack(rows, 1), [n, 4, SIZE, SIZE], align_corners=False)
    layers = torch.cat([pictures, masks], dim=1)
    shown = torch.zeros((n, 4, SIZE, SIZE), device=dice.device)
    enlarged = scale * SIZE / pictures.shape[-1]
    for shrunk, (least, most) in ((1, (0.7, 9.0)), (2, (0.4, 0.7)), (4, (0.2, 0.4)), (8, (0.0, 0.2))):  # averages, against aliasing
        some = ((enlarged >= least) & (enlarged < most)).nonzero()[:, 0]
        source = F.avg_pool2d(layers[some], shrunk)
        shown[some] = F.grid_sample(source, grid[some], padding_mode="border", align_corners=False)
    inside = (grid.abs().amax(-1) <= 1)[:, None]
    return shown[:, :3], shown[:, 3:] * inside


def _middle(masks: Tensor) -> tuple[Tensor, Tensor]:
    """Return the centre of gravity of each mask, as x and y in -1..1."""
    at = torch.linspace(-1, 1, masks.shape[-1], device=masks.device)
    weight = masks[:, 0].sum((1, 2)).clamp_min(1)
    return (masks[:, 0].sum(1) * at).sum(1) / weight, (masks[:, 0].sum(2) * at).sum(1) / weight


def backdrops(dice: Dice, pictures: Tensor) -> Tensor:
    """Return backdrops in about -1..1: gradients, clouds, clutter of rectangles, and other pictures, heavily blurred."""
    n, side = len(pictures), pictures.shape[-1]
    slope = torch.linspace(-0.5, 0.5, side, device=dice.device)
    angle = dice.uniform(0, 2 * math.pi, n, 1, 1, 1)
    share = 0.5 + 0.7 * (slope.view(1, 1, 1, -1) * angle.cos() + slope.view(1, 1, -1, 1) * angle.sin())
    made = _colours(dice, n) * (1 - share) + _colours(dice, n) * share
    clouds = torch.zeros_like(made)
    for cells in (2, 4, 8, 16, 32, 64):
        layer = dice.normal(n, 3, cells, cells)
        clouds += F.interpolate(layer, size=(side, side), mode="bicubic", align_corners=False) / math.sqrt(cells)
    clouds = torch.where(dice.chance(0.5, n, 1, 1, 1), clouds.mean(1, keepdim=True), clouds)
    made = made + torch.where(dice.chance(0.4, n, 1, 1, 1), dice.uniform(0.05, 0.5, n, 1, 1, 1), 0.0) * clouds
    cluttered = dice.chance(0.35, n, 1, 1, 1)
    for _ in range(8):
        made = torch.where(cluttered & _box(dice, n, side), _colours(dice, n), made)
    blurred = F.interpolate(F.avg_pool2d(pictures.roll(1, 0), 16), size=(side, side), mode="bicubic", align_corners=False)
    return torch.where(dice.chance(0.15, n, 1, 1, 1), blurred, made).clamp(-1, 1)


def _colours(dice: Dice, n: int) -> Tensor:
    """Return random colours `(n, 3, 1, 1)`, half of them of the low saturation of walls and skin."""
    colour = dice.uniform(-1, 1, n, 3, 1, 1)
    muted = (2 * dice.uniform(-1, 1, n, 1, 1, 1) + colour) / 3
    return torch.where(dice.chance(0.5, n, 1, 1, 1), muted, colour)


def _box(dice: Dice, n: int, side: int) -> Tensor:
    """Return random rectangles and ellipses as `(n, 1, side, side)` booleans."""
    at = torch.linspace(0, 1, side, device=dice.device)
    y = (at.view(1, 1, -1, 1) - dice.uniform(-0.1, 1.1, n, 1, 1, 1)).abs() / dice.uniform(0.02, 0.3, n, 1, 1, 1)
    x = (at.view(1, 1, 1, -1) - dice.uniform(-0.1, 1.1, n, 1, 1, 1)).abs() / dice.uniform(0.02, 0.3, n, 1, 1, 1)
    return torch.where(dice.chance(0.5, n, 1, 1, 1), torch.maximum(x, y) < 1, x.square() + y.square() < 1)


def photographed(dice: Dice, x: Tensor) -> Tensor:
    """Apply light, colour cast, grey, blur and grain, each to some of the pictures."""
    n = len(x)
    gamma = torch.where(dice.chance(0.4, n, 1, 1, 1), dice.uniform(-0.5, 0.5, n, 1, 1, 1), 0.0).exp()
    x = ((x.clamp(-1, 1) + 1) / 2).clamp_min(1e-4) ** gamma * 2 - 1
    x = x * dice.uniform(0.85, 1.15, n, 1, 1, 1) + dice.uniform(-0.08, 0.08, n, 3, 1, 1)
    x = torch.where(dice.chance(0.04, n, 1, 1, 1), x.mean(1, keepdim=True).expand_as(x), x)
    blurred = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    x = torch.where(dice.chance(0.3, n, 1, 1, 1), blurred, x)
    grain = torch.where(dice.chance(0.4, n, 1, 1, 1), dice.uniform(0.0, 0.11, n, 1, 1, 1), 0.0)
    return (x + grain * dice.normal(*x.shape)).clamp(-1, 1)
