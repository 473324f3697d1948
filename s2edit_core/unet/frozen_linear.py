"""Linear layers of frozen weights by oneDNN, which on the CPU may be twice as fast as torch's default library (MKL).

MKL leaves half of the vector width of AMD's processors unused. Measured on one core with AVX-512, layers of 64 to 1024 channels in
float32: 90 to 100 GFLOP/s by MKL, 160 to 220 by oneDNN. Results differ by rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

MIN_VECTORS = 512
"""From so many input vectors on, oneDNN is used. For fewer, as in a pass of one row, its call from Python costs what it saves."""


class _Product(torch.autograd.Function):
    """x·Wᵀ + b, with a gradient for x alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.weight = weight
        return _product(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return _product(gradients[0], ctx.weight.t()), None, None


def _product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    made: Tensor = _linear_pointwise()(x, weight, bias, "none", [], "")
    return made


@cache
def _linear_pointwise() -> Callable[..., Tensor]:
    """Return oneDNN's product, which torch itself uses in compiled models."""
    found: Callable[..., Tensor] = torch.ops.mkldnn._linear_pointwise.default
    return found


class FrozenLinear(nn.Linear):
    """A linear layer that uses oneDNN where it is faster: for many vectors and frozen weights, in float32 on the CPU."""

    def forward(self, x: Tensor) -> Tensor:
        if x.numel() < MIN_VECTORS * self.in_features or not self._can_use_onednn(x):
            return super().forward(x)
        if not (torch.is_grad_enabled() and x.requires_grad):
            return _product(x, self.weight, self.bias)
        made: Tensor = _Product.apply(x, self.weight, self.bias)  # type: ignore[no-untyped-call]
        return made

    def _can_use_onednn(self, x: Tensor) -> bool:
        same = x.dtype == self.weight.dtype == torch.float32 and x.device.type == "cpu"
        return same and not self.weight.requires_grad


def use_onednn(module: nn.Module) -> int:
    """Let the linear layers of `module` use oneDNN, and return how many there are; 0 without oneDNN. Their weights stay theirs."""
    if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return 0
    layers = [each for each in module.modules() if type(each) is nn.Linear]
    for each in layers:
        each.__class__ = FrozenLinear
    return len(layers)
