"""Separable resampling of maps, strip by strip: a picture of any size is made from small maps without ever being held whole."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

CUBIC = -0.5
"""Of Keys' cubic convolution kernel (1981): the value that reproduces quadratics."""
BLOCK = 64
"""Samples per matrix product. Larger blocks multiply by more zeros, smaller ones read their inputs more often."""


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
        """Resample `maps` along `dim`, one of the last two; with `start` and `stop` only that part of the output.

        A block of samples is one matrix product with the few input samples that it needs.
        """
        stop = self.indices.shape[1] if stop is None else stop
        sizes = [*maps.shape]
        sizes[dim] = stop - start
        out = maps.new_empty(sizes)
        for first in range(start, stop, BLOCK):
            last = min(first + BLOCK, stop)
            indices = self.indices[:, first:last]
            low, high = int(indices.min()), int(indices.max()) + 1
            matrix = torch.zeros(last - first, high - low)
            matrix.scatter_add_(1, (indices - low).T, self.weights[:, first:last].T)
            part, into = maps.narrow(dim, low, high - low), out.narrow(dim, first - start, last - first)
            into.copy_(part @ matrix.T if dim == maps.ndim - 1 else matrix @ part)
        return out


def _cubic(x: Tensor) -> Tensor:
    a, x = CUBIC, x.abs()
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = a * (((x - 5) * x + 8) * x - 4)
    return torch.where(x <= 1, near, torch.where(x < 2, far, torch.zeros_like(x)))


def blurred(maps: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of `(c, h, w)` by `sigma` pixels; beyond the border its pixels go on."""
    reach = max(1, math.ceil(3 * sigma))
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, dtype=maps.dtype, device=maps.device) / sigma) ** 2)
    padded = F.pad(maps[None], (reach, reach, reach, reach), mode="replicate")[0]
    return _filtered(padded, kernel / kernel.sum())


def boxed(maps: Tensor, radius: int) -> Tensor:
    """Mean of `(c, h, w)` over squares of side 2·radius + 1, as far as they lie inside."""
    ones = maps.new_ones(2 * radius + 1)
    sums = _filtered(F.pad(maps, (radius, radius, radius, radius)), ones)
    heights, widths = (_window_sizes(side, radius).to(maps) for side in maps.shape[1:])
    return sums.div_(heights[:, None] * widths)


def _window_sizes(side: int, radius: int) -> Tensor:
    """Return how many of the samples i − radius to i + radius lie within 0 to `side` − 1, for each i."""
    at = torch.arange(side)
    return (at + radius).clamp(max=side - 1) - (at - radius).clamp(min=0) + 1


def _filtered(padded: Tensor, kernel: Tensor) -> Tensor:
    """Correlate `padded` `(c, h + taps − 1, w + taps − 1)` with `kernel` `(taps,)` along both axes: `(c, h, w)`.

    Overlapping blocks of samples are multiplied by one banded matrix, because on a CPU `conv2d` has no fast path for single
    channels: with it and `avg_pool2d`, comparing two frames of 512 × 512 took three times as long.
    """
    taps = len(kernel)
    band = kernel.new_zeros(BLOCK, BLOCK + taps - 1)
    for i in range(BLOCK):
        band[i, i : i + taps] = kernel
    rows = _along_rows(padded, band, taps)
    return _along_rows(rows.transpose(1, 2), band, taps).transpose(1, 2).contiguous()


def _along_rows(padded: Tensor, band: Tensor, taps: int) -> Tensor:
    """Return `(c, h, w)` from `padded` `(c, h + taps − 1, w)`."""
    c, length, w = padded.shape
    height = length - taps + 1
    blocks = -(-height // BLOCK)
    source = F.pad(padded, (0, 0, 0, blocks * BLOCK - height)).contiguous()
    windows = source.unfold(1, BLOCK + taps - 1, BLOCK).transpose(2, 3)  # (c, blocks, BLOCK + taps − 1, w), without a copy
    made: Tensor = (band @ windows).reshape(c, blocks * BLOCK, w)
    return made[:, :height]


def peaks(heat: Tensor, radius: int) -> Tensor:
    """`(h, w)`: the maximum over squares of side 2·radius + 1."""
    rows = F.max_pool2d(heat[None, None], (2 * radius + 1, 1), stride=1, padding=(radius, 0))
    return F.max_pool2d(rows, (1, 2 * radius + 1), stride=1, padding=(0, radius))[0, 0]
