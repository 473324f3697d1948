"""Cross-attention with keys, values and gates per row of the batch.

In S²Edit, everything that belongs to one user enters the UNet through the text side: a learned token, and small changes of the key
and value projections. A prompt is therefore one pair of K and V per cross-attention layer, computed outside the UNet. The UNet
stays frozen and shared, and rows of different users go through it in one pass.

Gates are the method's spatial control (S²Edit, figure 2). After the softmax, the column of a placeholder token is multiplied by the
mask of its region, so that [I] acts inside its mask and nowhere else.

A row may also read the attention of another row of the same pass (Prompt-to-Prompt, Hertz et al., arXiv 2208.01626): its
cross-attention maps through a token map, and its self-attention in small feature maps. Attention maps are computed explicitly only
for rows that have gates, read another row, are read, or ask for their maps. All other rows use `scaled_dot_product_attention`.
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


Gates = tuple[Tensor, ...]
"""For each cross-attention layer, `(h·w, tokens)` in 0..1: the factors of the attention weights after the softmax."""


def cross_layers(unet: nn.Module) -> tuple[CrossLayer, ...]:
    """Return the cross-attention layers of `unet` in the order of `named_modules`.

    Raises `ModelUnusable` if there are none.
    """
    layers = [CrossLayer(*found) for found in _find_layers(unet, ".attn2")]
    if not layers:
        raise ModelUnusable("the UNet has no cross-attention layers (attn2): it is not a text-to-image UNet of the SD family")
    return tuple(layers)


def self_layers(unet: nn.Module) -> tuple[SelfLayer, ...]:
    """Return the self-attention layers that rows may read from each other: those of level `MIN_SELF_LEVEL` or more."""
    return tuple(layer for found in _find_layers(unet, ".attn1") if (layer := SelfLayer(*found)).level >= MIN_SELF_LEVEL)


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
    gates = []
    for layer in layers:
        h, w = layer_size(latent_size, layer.level)
        gate = torch.ones(h * w, tokens)
        for position, mask in masks:
            gate[:, position] = F.adaptive_avg_pool2d(mask[None, None].float(), (h, w)).flatten()
        gates.append(gate)
    return tuple(gates)


@dataclass(frozen=True, eq=False)
class TokenMap:
    """How a row's cross-attention maps combine its source's maps and its own: `A_source · read + A · keep`, per token column."""

    read: Tensor  # (source tokens, tokens): weight of each source column
    keep: Tensor  # (tokens,): weight of the row's own column


@dataclass(frozen=True, eq=False)
class Reading:
    """Which rows of a pass read the attention of which: row `readers[i]` reads row `sources[i]` with weight `strengths[i]`."""

    readers: Tensor  # (n,), indices
    sources: Tensor  # (n,), indices
    strengths: Tensor  # (n,), 0 (its own attention) to 1 (the source's)


@dataclass(frozen=True, eq=False)
class CrossReading(Reading):
    """A reading of cross-attention maps, each through the token map of its reader."""

    read: Tensor  # (n, source tokens, tokens), see `TokenMap`
    keep: Tensor  # (n, tokens)

    def apply(self, maps: Tensor) -> Tensor:
        """Return `maps` `(rows, heads, h·w, tokens)` with those of the readers replaced."""
        own = maps[self.readers]
        read = maps[self.sources] @ self.read[:, None] + own * self.keep[:, None, None]
        return maps.index_copy(0, self.readers, torch.lerp(own, read, self.strengths[:, None, None, None]))


@dataclass(frozen=True, eq=False)
class PassInputs:
    """The inputs of the attention layers in one UNet pass. Rows with explicit attention maps come first."""

    keys: Sequence[Tensor]  # per cross-attention layer (rows, tokens, inner)
    values: Sequence[Tensor]
    rows_with_maps: Sequence[int]  # per cross-attention layer: how many rows, from the first, need explicit maps
    gates: Sequence[Tensor] | None = None  # per cross-attention layer (at least `rows_with_maps` rows, h·w, tokens)
    cross_attention: CrossReading | None = None
    self_attention: Reading | None = None
    captured: frozenset[int] = frozenset()  # indices of the cross-attention layers that record their maps


class _CrossProcessor:
    """A diffusers attention processor that uses the keys, values and gates of the pass instead of computing them."""

    def __init__(self, index: int, inputs: PassInputs, maps: dict[int, Tensor]) -> None:
        self.index, self.inputs, self.maps = index, inputs, maps

    def __call__(self, attn: Any, hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
        inputs = self.inputs
        query = _split_heads(attn.to_q(hidden_states), attn.heads)
        key, value = (_split_heads(x[self.index], attn.heads) for x in (inputs.keys, inputs.values))
        n = inputs.rows_with_maps[self.index]
        parts = []
        if n:
            parts.append(self._maps(query[:n], key[:n], attn.scale) @ value[:n])
        if n < len(query):
            parts.append(F.scaled_dot_product_attention(query[n:], key[n:], value[n:], scale=attn.scale))
        return _project_out(attn, torch.cat(parts) if len(parts) > 1 else parts[0])

    def _maps(self, query: Tensor, key: Tensor, scale: float) -> Tensor:
        """Return the attention maps `(rows, heads, h·w, tokens)`.

        Gates come last, after maps are read from other rows: a gated token then has no effect outside its mask.
        """
        inputs = self.inputs
        maps = (query @ key.transpose(-1, -2) * scale).softmax(dim=-1)
        if inputs.cross_attention is not None:
            maps = inputs.cross_attention.apply(maps)
        if inputs.gates is not None:
            maps = maps * inputs.gates[self.index][: len(maps), None]
        if self.index in inputs.captured:
            self.maps[self.index] = maps.detach().mean(dim=1)
        return maps


class _SelfProcessor:
    """Self-attention in which readers take queries and keys, and so the attention map, from their source row."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading

    def __call__(self, attn: Any, hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
        reading = self.reading
        query, key, value = (_split_heads(project(hidden_states), attn.heads) for project in (attn.to_q, attn.to_k, attn.to_v))
        out = F.scaled_dot_product_attention(query, key, value, scale=attn.scale)
        read = F.scaled_dot_product_attention(
            query[reading.sources], key[reading.sources], value[reading.readers], scale=attn.scale
        )
        mixed = torch.lerp(out[reading.readers], read, reading.strengths[:, None, None, None])
        return _project_out(attn, out.index_copy(0, reading.readers, mixed))


def _split_heads(x: Tensor, heads: int) -> Tensor:
    """Reshape `(rows, n, heads · d)` to `(rows, heads, n, d)`."""
    return x.view(*x.shape[:2], heads, -1).transpose(1, 2)


def _project_out(attn: Any, out: Tensor) -> Tensor:
    """Return `(rows, heads, h·w, d)` after the layer's output projection."""
    projected: Tensor = attn.to_out[1](attn.to_out[0](out.transpose(1, 2).flatten(2))) / attn.rescale_output_factor
    return projected


class RowAttention:
    """The attention layers of a UNet, with a context manager that runs a pass over rows."""

    def __init__(self, unet: nn.Module) -> None:
        self.layers = cross_layers(unet)
        self.self_layers = self_layers(unet)

    @contextmanager
    def using(self, inputs: PassInputs) -> Iterator[dict[int, Tensor]]:
        """Install processors for `inputs` on the attention layers, and restore the original ones on exit.

        Yields a dictionary that the pass fills with the captured maps: by layer index, `(rows_with_maps, h·w, tokens)`, averaged
        over heads.
        """
        maps: dict[int, Tensor] = {}
        processors: list[tuple[Any, Any]] = [
            (layer.attention, _CrossProcessor(i, inputs, maps)) for i, layer in enumerate(self.layers)
        ]
        if inputs.self_attention is not None:
            processors += [(layer.attention, _SelfProcessor(inputs.self_attention)) for layer in self.self_layers]
        before = [attention.processor for attention, _ in processors]
        try:
            for attention, processor in processors:
                attention.set_processor(processor)
            yield maps
        finally:
            for (attention, _), processor in zip(processors, before, strict=True):
                attention.set_processor(processor)
