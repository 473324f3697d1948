"""Floating-point operations of a UNet row, counted on torch's `meta` device: no weights and no arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class RowFlops:
    """The operations of one row: a forward pass, and a forward and backward pass with gradients to the prompt alone."""

    forward: int
    with_gradients: int

    def of(self, *, gradients: bool) -> int:
        return self.with_gradients if gradients else self.forward


def flops_of(module: nn.Module, inputs: tuple[Tensor, ...], *, gradients: bool = False) -> int:
    """Return the operations of one call of a UNet-like `module`, whose last input is the prompt. A product and a sum count two."""
    with FlopCounterMode(display=False) as counter, torch.set_grad_enabled(gradients):
        output = module(*inputs)
        if gradients:
            getattr(output, "sample", output).sum().backward()
    return int(counter.get_total_flops())


def row_flops(unet: nn.Module, tokens: int) -> RowFlops:
    """Return the operations of one row of a UNet with the configuration of `unet`, for prompts of `tokens` tokens."""
    config: Any = unet.config
    with torch.device("meta"):
        shape = UNet2DConditionModel.from_config(config).requires_grad_(False).eval()
        latent = torch.zeros(1, config.in_channels, config.sample_size, config.sample_size)
        prompt = torch.zeros(1, tokens, config.cross_attention_dim)
        forward = flops_of(shape, (latent, torch.zeros(1), prompt))
        both = flops_of(shape, (latent, torch.zeros(1), prompt.requires_grad_()), gradients=True)
    return RowFlops(forward, both)
