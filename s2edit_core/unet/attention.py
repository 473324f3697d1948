"""The attention layers of a UNet, and what a row brings to them: keys, values and gates.

In S²Edit, everything that belongs to one user enters the UNet through the text side: a learned token, and small changes of the key
and value projections. A prompt is therefore one pair of K and V per cross-attention layer, computed outside the UNet. The UNet
stays frozen and shared, and rows of different users go through it in one pass.

Gates are the method's spatial control (S²Edit, figure 2). After the softmax, the column of a placeholder token is multiplied by the
mask of its region, so that [I] acts inside its mask and nowhere else.

`processors` applies them in a pass.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from s2edit_core.errors import ModelUnusable

MIN_SELF_LEVEL = 1
"""Rows read self-attention only from feature maps halved at least this often. For latents of 64 × 64 that is Prompt-to-Prompt's
limit, 32 × 32.
"""


@dataclass(frozen=True)
class CrossLayer:
    """A cross-attention layer and its resolution level."""

    name: str  # such as "down_blocks.0.attentions.0.transformer_blocks.0.attn2"
    level: int  # how many times the latent is halved to reach this layer's feature map
    attention: Any  # diffusers' Attention

    @property
    def to_k(self) -> nn.Linear:
        return cast(nn.Linear, self.attention.to_k)

    @property
    def to_v(self) -> nn.Linear:
        return cast(nn.Linear, self.attention.to_v)


@dataclass(frozen=True)
class SelfLayer:
    """A self-attention layer and its resolution level."""

    name: str
    level: int
    attention: Any


@dataclass(frozen=True)
class KeysValues:
    """A prompt as the UNet takes it: for each cross-attention layer, keys and values of shape `(tokens, inner)`."""

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]

    def tensors(self) -> tuple[Tensor, ...]:
        """Return all keys, then all values, each in layer order."""
        return (*self.keys, *self.values)


@dataclass(frozen=True, eq=False)
class Gates(Sequence[Tensor]):
    """The factors, in 0..1, of a prompt's attention weights after the softmax. Only the columns at `positions` have any but 1.

    As a sequence, it holds for each cross-attention layer all columns, `(h·w, tokens)`.
    """

    positions: tuple[int, ...]  # of the gated tokens, each once
    factors: Tensor  # (positions, cells): the cells of all feature maps that have cross-attention, one map after the other
    spans: tuple[tuple[int, int], ...]  # per layer: first and last + 1 of its cells; layers of one level share theirs
    tokens: int

    def __len__(self) -> int:
        return len(self.spans)

    def __getitem__(self, layer: Any) -> Any:
        start, end = self.spans[layer]
        gate = self.factors.new_ones(end - start, self.tokens)
        gate[:, list(self.positions)] = self.factors[:, start:end].T
        return gate

    def to(self, device: torch.device) -> Gates:
        """Return the gates on `device`."""
        return replace(self, factors=self.factors.to(device))


def cross_layers(unet: nn.Module) -> tuple[CrossLayer, ...]:
    """Return the cross-attention layers of `unet` in the order of `named_modules`.

    Raises `ModelUnusable` if there are none.
    """
    layers = [CrossLayer(*found) for found in _find_layers(unet, ".attn2")]
    if not layers:
        raise ModelUnusable("the UNet has no cross-attention layers (attn2): it is not a text-to-image UNet of the SD family")
    return tuple(layers)


def self_layers(unet: nn.Module) -> tuple[SelfLayer, ...]:
    """Return the self-attention layers. Rows may read those of level `MIN_SELF_LEVEL` or more from each other."""
    return tuple(SelfLayer(*found) for found in _find_layers(unet, ".attn1"))


def _find_layers(unet: nn.Module, ending: str) -> list[tuple[str, int, nn.Module]]:
    levels = len(cast(Any, unet).config.block_out_channels)
    return [(name, _level(name, levels), module) for name, module in unet.named_modules() if name.endswith(ending)]


def _level(name: str, levels: int) -> int:
    """Return the level of the layer `name` in a UNet of `levels` resolutions; the middle block is at the last."""
    if match := re.match(r"down_blocks\.(\d+)\.", name):
        return int(match[1])
    if match := re.match(r"up_blocks\.(\d+)\.", name):
        return levels - 1 - int(match[1])
    return levels - 1


def word_layers(layers: Sequence[CrossLayer]) -> tuple[int, ...]:
    """Return the indices of the layers whose attention maps localise words best: those of the second coarsest level.

    A UNet with a single level uses that one. For Stable Diffusion these are the five 16 × 16 layers that Prompt-to-Prompt uses.
    """
    levels = sorted({layer.level for layer in layers}, reverse=True)
    return tuple(i for i, layer in enumerate(layers) if layer.level == levels[min(1, len(levels) - 1)])


def layer_size(latent_size: tuple[int, int], level: int) -> tuple[int, int]:
    """Return height and width of the feature map at `level`. Each halving is a convolution of stride 2, which rounds up."""
    h, w = latent_size
    for _ in range(level):
        h, w = (h + 1) // 2, (w + 1) // 2
    return h, w


def check_mask(mask: Tensor) -> None:
    """Raise `ValueError` unless `mask` is `(H, W)` in 0..1."""
    if mask.ndim != 2 or mask.numel() == 0 or not (float(mask.min()) >= 0 and float(mask.max()) <= 1):
        span = f"{float(mask.min()):g}..{float(mask.max()):g}" if mask.numel() else "nothing"
        raise ValueError(f"expected a mask of shape (H, W) in 0..1, got shape {tuple(mask.shape)} in {span}")


def make_gates(
    layers: Sequence[CrossLayer],
    latent_size: tuple[int, int],
    tokens: int,
    masks: Sequence[tuple[int, Tensor]],
) -> Gates:
    """Return gates for `(token position, mask)` pairs; each mask is `(H, W)` in 0..1 and is averaged over each layer's cells.

    Raises `ValueError` for a mask of another shape or range, and for a position outside 0..tokens - 1.
    """
    for position, mask in masks:
        if not 0 <= position < tokens:
            raise ValueError(f"position {position} is not one of {tokens} tokens: count from 0")
        check_mask(mask)
    spans, sizes = layer_spans(layers, latent_size)
    gated = dict(masks)  # of two masks at one position, the later counts
    factors = torch.ones(len(gated), sum(h * w for h, w in sizes))
    for factor, mask in zip(factors, gated.values(), strict=True):
        factor.copy_(torch.cat([F.adaptive_avg_pool2d(mask[None, None].float(), size).flatten() for size in sizes]))
    return Gates(tuple(gated), factors, spans, tokens)


def layer_spans(
    layers: Sequence[CrossLayer], latent_size: tuple[int, int]
) -> tuple[tuple[tuple[int, int], ...], list[tuple[int, int]]]:
    """Return where each layer's cells are among those of all feature maps with cross-attention, and the sizes of these maps."""
    levels = sorted({layer.level for layer in layers})
    sizes = [layer_size(latent_size, level) for level in levels]
    spans: dict[int, tuple[int, int]] = {}
    start = 0
    for level, (h, w) in zip(levels, sizes, strict=True):
        spans[level] = (start, start := start + h * w)
    return tuple(spans[layer.level] for layer in layers), sizes


@dataclass(frozen=True, eq=False)
class TokenMap:
    """How a row's cross-attention maps combine its source's maps and its own: `A_source · read + A · keep`, per token column."""

    read: Tensor  # (source tokens, tokens): weight of each source column
    keep: Tensor  # (tokens,): weight of the row's own column
