"""Local linear regression on a picture's colours, as in the guided filter (He, Sun and Tang, TPAMI 2013), and changes of all tones.

If the light or the season changes, so does every colour, and the model's outlines are beside those of the photo. A change by place
would leave halos. So each colour of the edited frame is fitted as an affine function of the photo's three colours, in windows so
wide that several things are in each: the photo's own outlines then decide which colour goes where. Makeup colours the features of a
face, so its windows are as narrow as these; eyes and freckles stay the photo's own.
"""

from __future__ import annotations

import torch
from torch import Tensor

from s2edit_core.delivery.changes import Toning
from s2edit_core.delivery.resampling import boxed

TONING_RIDGE = 1e-3
"""Regularisation in squared levels (0..1)."""
COLOURS = 3
"""Noise that is independent in each colour has so many times the variance that it has in their mean, where it is measured."""
PLAIN_SHIFT = 0.05
"""A place whose colour moves by that level (0..1) counts as fully shifted."""


def toning_between(before: Tensor, after: Tensor, photo: Tensor, radius: int, noise: float) -> Toning:
    """Fit how each colour changed, in windows of `radius` pixels.

    `before`, `after` and `photo` `(3, H, W)` in 0..1, `noise` as in `change_between`.
    """
    ridge = TONING_RIDGE + COLOURS * noise**2
    fits = [regressed(photo, moved, radius, ridge)[:2] for moved in after - before]
    matrix = torch.stack([boxed(weights, radius) for weights, _ in fits])
    offset = torch.cat([boxed(bias[None], radius) for _, bias in fits])
    moved = torch.einsum("abhw,bhw->ahw", matrix, photo) + offset
    return Toning(*(each.float().cpu() for each in (matrix, offset, (moved.abs().amax(dim=0) / PLAIN_SHIFT).clamp(0, 1))))


def regressed(guide: Tensor, values: Tensor, radius: int, ridge: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Ridge regression, by window, of `values` `(H, W)` on the colours of `guide`: weights, bias, variance, residual variance."""
    mean, average = boxed(guide, radius), boxed(values[None], radius)[0]
    pairs = [(i, j) for i in range(3) for j in range(i, 3)]
    products = boxed(torch.stack([guide[i] * guide[j] for i, j in pairs]), radius)
    upper = products - torch.stack([mean[i] * mean[j] for i, j in pairs])
    symmetric = [pairs.index((min(i, j), max(i, j))) for i in range(3) for j in range(3)]
    spread = upper[symmetric].permute(1, 2, 0).unflatten(2, (3, 3))
    shared = (boxed(guide * values, radius) - mean * average).permute(1, 2, 0)
    solved, squared = _solved(spread, shared, ridge)
    variance = (boxed(values.square()[None], radius)[0] - average.square()).clamp(min=0)
    explained = 2 * (solved * shared).sum(dim=2) - squared
    weights = solved.permute(2, 0, 1)
    return weights, average - (weights * mean).sum(dim=0), variance, (variance - explained).clamp(min=0)


def _solved(spread: Tensor, shared: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    """Solve (S + rI)·x = b for each place: `spread` S `(H, W, 3, 3)`, `shared` b `(H, W, 3)`. Return x, and xᵀ·S·x `(H, W)`."""
    if spread.device.type != "cpu":
        return _solved_by_cofactors(spread, shared, ridge)
    solved = torch.linalg.solve(spread + ridge * torch.eye(3), shared)
    return solved, (solved[..., None, :] @ spread @ solved[..., None])[..., 0, 0]


def _solved_by_cofactors(spread: Tensor, shared: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    """The same in a few operations on whole maps, since libraries for GPUs are slow for so many small matrices. Needs float64."""
    matrix = spread + ridge * torch.eye(3).to(spread)
    columns = matrix.unbind(dim=-1)
    cofactors = torch.stack([torch.linalg.cross(columns[(i + 1) % 3], columns[(i + 2) % 3], dim=-1) for i in range(3)], dim=-2)
    determinant = (cofactors[..., 0, :] * columns[0]).sum(dim=-1, keepdim=True)
    solved = (cofactors * shared[..., None, :]).sum(dim=-1) / determinant
    return solved, ((spread * solved[..., None, :]).sum(dim=-1) * solved).sum(dim=-1)
