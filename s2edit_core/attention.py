"""Cross-attention whose keys, values and gates come with each row.

In S²Edit everything that belongs to one user reaches the UNet through the text side: a learned token, and small changes
to the key and value projections. So a prompt *is* one pair of K and V per cross-attention layer, made outside the UNet, and the
UNet stays frozen and shared: rows of different users go through it together.

The gate is the method's spatial control: after the softmax, the column of a placeholder token is multiplied by the mask of
its region, so that [I] acts inside it and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from s2edit_core.errors import ModelUnusable


@dataclass(frozen=True)
class CrossLayer:
    """One cross-attention layer and where it sits."""

    name: str  # "down_blocks.0.attentions.0.transformer_blocks.0.attn2"
    level: int  # how many times its feature map has been halved
    attention: Any  # diffusers' Attention

    @property
    def to_k(self) -> nn.Linear:
        return cast(nn.Linear, self.attention.to_k)

    @property
    def to_v(self) -> nn.Linear:
        return cast(nn.Linear, self.attention.to_v)


@dataclass(frozen=True)
class KeysValues:
    """A prompt as the UNet sees it: per cross-attention layer a `(tokens, inner)` tensor each."""

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]

    def tensors(self) -> tuple[Tensor, ...]:
        return (*self.keys, *self.values)


Gates = tuple[Tensor, ...]
"""Per cross-attention layer `(h·w, tokens)` in 0..1: what each attention weight is multiplied by after the softmax."""


def cross_layers(unet: nn.Module) -> tuple[CrossLayer, ...]:
    """The cross-attention layers in the order in which `named_modules` gives them. Raises `ModelUnusable` if there are none."""
    levels = len(cast(Any, unet).config.block_out_channels)
    layers = []
    for name, module in unet.named_modules():
        if name.endswith(".attn2"):
            layers.append(CrossLayer(name, _level(name, levels), module))
    if not layers:
        raise ModelUnusable("the UNet has no cross-attention layers (attn2): it is not a text-to-image UNet of the SD family")
    return tuple(layers)


def _level(name: str, levels: int) -> int:
    if match := re.match(r"down_blocks\.(\d+)\.", name):
        return int(match[1])
    if match := re.match(r"up_blocks\.(\d+)\.", name):
        return levels - 1 - int(match[1])
    return levels - 1


def layer_size(latent_size: tuple[int, int], level: int) -> tuple[int, int]:
    """Exact height and width of the feature map at `level`: each halving is a convolution of stride 2, which rounds up."""
    h, w = latent_size
    for _ in range(level):
        h, w = (h + 1) // 2, (w + 1) // 2
    return h, w


def make_gates(
    layers: Sequence[CrossLayer],
    latent_size: tuple[int, int],
    tokens: int,
    masks: Sequence[tuple[int, Tensor]],
) -> Gates:
    """Gates from `(token position, mask (H, W) in 0..1)` pairs. Masks are averaged over each layer's exact cells."""
    gates = []
    for layer in layers:
        h, w = layer_size(latent_size, layer.level)
        gate = torch.ones(h * w, tokens)
        for position, mask in masks:
            gate[:, position] = F.adaptive_avg_pool2d(mask[None, None].float(), (h, w)).flatten()
        gates.append(gate)
    return tuple(gates)


class _Slot:
    """What one layer uses in the pass at hand: keys and values `(rows, tokens, inner)`, gate `(rows, h·w, tokens)` or None."""

    keys: Tensor | None = None
    values: Tensor | None = None
    gate: Tensor | None = None

    def clear(self) -> None:
        self.keys = self.values = self.gate = None


class _RowProcessor:
    """A diffusers attention processor that takes keys, values and gates from its slot instead of computing them."""

    def __init__(self, slot: _Slot) -> None:
        self.slot = slot

    def __call__(self, attn: Any, hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
        slot = self.slot
        if slot.keys is None or slot.values is None:
            raise RuntimeError("a UNet pass outside `RowAttention.using`")
        query = _heads(attn.to_q(hidden_states), attn.heads)
        key, value = _heads(slot.keys, attn.heads), _heads(slot.values, attn.heads)
        if slot.gate is None:
            out = F.scaled_dot_product_attention(query, key, value, scale=attn.scale)
        else:
            weights = (query @ key.transpose(-1, -2) * attn.scale).softmax(dim=-1)
            out = (weights * slot.gate[:, None]) @ value
        out = out.transpose(1, 2).flatten(2)
        out = attn.to_out[1](attn.to_out[0](out)) / attn.rescale_output_factor
        return cast(Tensor, out)


def _heads(x: Tensor, heads: int) -> Tensor:
    return x.view(*x.shape[:2], heads, -1).transpose(1, 2)


class RowAttention:
    """The cross-attention layers of a UNet with a slot each. A pass happens inside `using`."""

    def __init__(self, layers: Sequence[CrossLayer]) -> None:
        self.layers = tuple(layers)
        self._slots = tuple(_Slot() for _ in layers)

    @contextmanager
    def installed(self) -> Iterator[RowAttention]:
        """Put the processors in place; the layers' own come back whatever happens."""
        before = [layer.attention.processor for layer in self.layers]
        try:
            for layer, slot in zip(self.layers, self._slots, strict=True):
                layer.attention.set_processor(_RowProcessor(slot))
            yield self
        finally:
            for layer, processor in zip(self.layers, before, strict=True):
                layer.attention.set_processor(processor)

    @contextmanager
    def using(self, keys: Sequence[Tensor], values: Sequence[Tensor], gates: Sequence[Tensor] | None) -> Iterator[None]:
        """Keys, values `(rows, tokens, inner)` and gates `(rows, h·w, tokens)` per layer, for the passes inside."""
        try:
            for i, slot in enumerate(self._slots):
                slot.keys, slot.values = keys[i], values[i]
                slot.gate = gates[i] if gates is not None else None
            yield
        finally:
            for slot in self._slots:
                slot.clear()
