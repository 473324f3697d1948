"""Views of a reference: the picture and its mask mirrored, shifted and scaled, so that nothing is learned by its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from s2edit_core.method.learning.lesson import Lesson

SCALE = 0.15
"""The largest change of a view's size."""
SHIFT = 0.08
"""The largest shift of a view, as a share of the picture's sides."""


def views(picture: Tensor, mask: Tensor, count: int, seed: int) -> list[tuple[Tensor, Tensor]]:
    """Return `count` views of `picture` `(3, H, W)` with their masks `(H, W)`: the picture itself, mirrored, then drawn ones.

    Every second one is mirrored. What a view shows beyond the picture's edge is reflected. A view in which less than half of the
    mask is left is drawn at its own place and size instead. Equal seeds give equal views.
    """
    draw = torch.Generator().manual_seed(seed)
    found = []
    for i in range(count):
        a, b, c = (0.0, 0.0, 0.0) if i < 2 else (2 * torch.rand(3, generator=draw) - 1).tolist()
        view = _moved(picture, mask, 1 + SCALE * a, SHIFT * b, SHIFT * c, mirrored=i % 2 == 1)
        if view[1].sum() < mask.sum() / 2:
            view = _moved(picture, mask, 1.0, 0.0, 0.0, mirrored=i % 2 == 1)
        found.append(view)
    return found


def further_views(lesson: Lesson, picture: Tensor, count: int, seed: int, encode: Callable[[Tensor], Tensor]) -> Iterator[Lesson]:
    """Yield the lessons of all of `count` views of `picture` but the first, which `lesson` is. `encode` makes their latents."""
    for view, mask in views(picture, lesson.mask, count, seed)[1:]:
        yield replace(lesson, latent=encode(view), mask=mask)


def _moved(picture: Tensor, mask: Tensor, scale: float, right: float, down: float, *, mirrored: bool) -> tuple[Tensor, Tensor]:
    if (scale, right, down) == (1.0, 0.0, 0.0):
        return (picture.flip(-1), mask.flip(-1)) if mirrored else (picture, mask)
    flip = -1 if mirrored else 1
    matrix = torch.tensor([[flip / scale, 0, -2 * flip * right / scale], [0, 1 / scale, -2 * down / scale]])
    both = torch.cat([picture, mask[None].to(picture)])[None].float()
    grid = F.affine_grid(matrix[None].to(both.device), list(both.shape), align_corners=False)
    moved = F.grid_sample(both, grid, mode="bilinear", padding_mode="reflection", align_corners=False)[0]
    return moved[:-1].to(picture.dtype), moved[-1].to(mask.dtype)
