"""Compilation of the UNet's repeated blocks by `torch.compile`, which fuses what is bound by memory: norms, activations, gates.

Convolutions, matrix products and attention stay those of the libraries. Blocks are compiled when first used, once per shape and
grad mode, and from the second size on for any number of rows: expect minutes. Attention is left out: it reads the inputs of
the pass.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

BLOCKS = ("ResnetBlock2D", "FeedForward")
"""The classes of diffusers that are compiled: group norms with SiLU around convolutions, and GEGLU."""
MOST_VARIANTS = 512
"""All blocks of a class share one limit of compiled variants. torch's default is 8, after which blocks run as they are."""


def compile_blocks(unet: nn.Module, backend: str = "inductor") -> int:
    """Compile the repeated blocks of `unet` in place, and return how many there are."""
    dynamo: Any = torch._dynamo.config  # type: ignore[attr-defined, no-untyped-call, unused-ignore]
    dynamo.recompile_limit = max(dynamo.recompile_limit, MOST_VARIANTS)
    dynamo.accumulated_recompile_limit = max(dynamo.accumulated_recompile_limit, 4 * MOST_VARIANTS)
    blocks = [module for module in unet.modules() if type(module).__name__ in BLOCKS]
    for block in blocks:
        block.compile(backend=backend)
    return len(blocks)
