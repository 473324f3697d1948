"""Separable resampling of maps, strip by strip: a picture of any size is made from small maps without ever being held whole."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

CUBIC = -0.5
"""Of Keys' cubic convolution kernel (1981): the value that reproduces quadratics."""


@dataclass(frozen=True, eq=False)
class Axis:
    """How each of `length` output samples is made of a few input samples, along one axis."""

    indices: Tensor  # (taps, length), whole numbers
    weights: Tensor  # (taps, length); each column adds up to one

    @classmethod
    def of(cls, samples: int, length: int) -> Axis:
        """Cubic resampling from `samples` to `length`, widened where that is fewer; beyond the ends the last sample goes on."""
        ratio = samples / length
        wide = max(1.0, ratio)
        centres = (torch.arange(length, dtype=torch.float64) + 0.5) * ratio - 0.5
        taps = torch.arange(-math.ceil(2 * wide) + 1, math.ceil(2 * wide) + 1)
        nearest = centres.floor()
        positions = nearest[None] + taps[:, None]
        weights = _cubic((positions - centres[None]) / wide)
        weights /= weights.sum(dim=0, keepdim=True)
        return cls(positions.clamp(0, samples - 1).long(), weights.float())

    def along(self, maps: Tensor, dim: int, start: int = 0, stop: int | None = None) -> Tensor:
        """Resample `maps` along `dim`; with `start` and `stop` only that part of the output."""
        indices, weights = self.indices[:, start:stop], self.weights[:, start:stop]
        shape = [1] * maps.ndim
        shape[dim] = -1
        out: Tensor | None = None
        for index, weight in zip(indices, weights, strict=True):
            part = maps.index_select(dim, index).mul_(weight.view(shape))
            out = part if out is None else out.add_(part)
        assert out is not None
        return out


def _cubic(x: Tensor) -> Tensor:
    a, x = CUBIC, x.abs()
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = a * (((x - 5) * x + 8) * x - 4)
    return torch.where(x <= 1, near, torch.where(x < 2, far, torch.zeros_like(x)))


def blurred(maps: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of `(c, h, w)` by `sigma` pixels; beyond the border its pixels go on."""
    reach = max(1, math.ceil(3 * sigma))
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, dtype=maps.dtype) / sigma) ** 2)
    kernel = (kernel / kernel.sum()).to(maps)
    padded = F.pad(maps[:, None], (reach, reach, reach, reach), mode="replicate")
    rows = F.conv2d(padded, kernel.view(1, 1, -1, 1))
    return F.conv2d(rows, kernel.view(1, 1, 1, -1))[:, 0]


def boxed(maps: Tensor, radius: int) -> Tensor:
    """Mean of `(c, h, w)` over squares of side 2·radius + 1, as far as they lie inside."""
    return F.avg_pool2d(maps[None], 2 * radius + 1, stride=1, padding=radius, count_include_pad=False)[0]


def peaks(heat: Tensor, radius: int) -> Tensor:
    """`(h, w)`: the maximum over squares of side 2·radius + 1."""
    return F.max_pool2d(heat[None, None], 2 * radius + 1, stride=1, padding=radius)[0, 0]
