"""Cross-attention whose keys, values and gates come with each row.

In S²Edit everything that belongs to one user reaches the UNet through the text side: a learned token, and small changes
to the key and value projections. So a prompt *is* one pair of K and V per cross-attention layer, made outside the UNet, and the
UNet stays frozen and shared: rows of different users go through it together.

The gate is the method's spatial control: after the softmax, the column of a placeholder token is multiplied by the mask of
its region, so that [I] acts inside it and nowhere else.

A row may also read the attention of another row of its pass (Prompt-to-Prompt, Hertz et al., arXiv 2208.01626): the cross-attention
maps through a token map, and the self-attention of small maps. Maps are formed only for rows that are gated, read or are read, and
for rows and layers whose maps are asked for; everything else goes through `scaled_dot_product_attention`.
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

SELF_LEVEL = 1
"""Self-attention is read from maps that have been halved at least so often: P2P's 32 × 32 and below for latents of 64 × 64."""


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
class SelfLayer:
    """One self-attention layer and where it sits."""

    name: str
    level: int
    attention: Any


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
    layers = [CrossLayer(*found) for found in _named(unet, ".attn2")]
    if not layers:
        raise ModelUnusable("the UNet has no cross-attention layers (attn2): it is not a text-to-image UNet of the SD family")
    return tuple(layers)


def self_layers(unet: nn.Module) -> tuple[SelfLayer, ...]:
    """The self-attention layers that rows may read from one another: those with maps of `SELF_LEVEL` or smaller."""
    return tuple(layer for found in _named(unet, ".attn1") if (layer := SelfLayer(*found)).level >= SELF_LEVEL)


def _named(unet: nn.Module, ending: str) -> list[tuple[str, int, nn.Module]]:
    levels = len(cast(Any, unet).config.block_out_channels)
    return [(name, _level(name, levels), module) for name, module in unet.named_modules() if name.endswith(ending)]


def _level(name: str, levels: int) -> int:
    if match := re.match(r"down_blocks\.(\d+)\.", name):
        return int(match[1])
    if match := re.match(r"up_blocks\.(\d+)\.", name):
        return levels - 1 - int(match[1])
    return levels - 1


def word_layers(layers: Sequence[CrossLayer]) -> tuple[int, ...]:
    """Indices of the layers whose maps tell best where a word is: of the second coarsest level, or of the one there is.

    For Stable Diffusion these are the five of 16 × 16 that P2P looks at.
    """
    levels = sorted({layer.level for layer in layers}, reverse=True)
    return tuple(i for i, layer in enumerate(layers) if layer.level == levels[min(1, len(levels) - 1)])


def layer_size(latent_size: tuple[int, int], level: int) -> tuple[int, int]:
    """Exact height and width of the feature map at `level`: each halving is a convolution of stride 2, which rounds up."""
    h, w = latent_size
    for _ in range(level):
        h, w = (h + 1) // 2, (w + 1) // 2
    return h, w


def check_mask(mask: Tensor) -> None:
    """Raises `ValueError` unless `mask` is `(H, W)` in 0..1."""
    if mask.ndim != 2 or mask.numel() == 0 or not (float(mask.min()) >= 0 and float(mask.max()) <= 1):
        span = f"{float(mask.min()):g}..{float(mask.max()):g}" if mask.numel() else "nothing"
        raise ValueError(f"expected a mask of shape (H, W) in 0..1, got shape {tuple(mask.shape)} in {span}")


def make_gates(
    layers: Sequence[CrossLayer],
    latent_size: tuple[int, int],
    tokens: int,
    masks: Sequence[tuple[int, Tensor]],
) -> Gates:
    """Gates from `(token position, mask (H, W) in 0..1)` pairs. Masks are averaged over each layer's exact cells.

    Raises `ValueError` for a mask of another shape or range, and for a position that is not one of the `tokens`.
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
    """How the map of each token is made of its source row's maps and its own: `A_source · read + A · keep`, per column."""

    read: Tensor  # (tokens of the source, tokens)
    keep: Tensor  # (tokens,)


@dataclass(frozen=True, eq=False)
class Reading:
    """Row `readers[i]` of a pass reads the attention of row `sources[i]`; `strengths[i]` 1 is all of it, 0 none."""

    readers: Tensor  # (n,), indices
    sources: Tensor  # (n,), indices
    strengths: Tensor  # (n,), 0..1


@dataclass(frozen=True, eq=False)
class CrossReading(Reading):
    read: Tensor  # (n, tokens of the source, tokens), as `TokenMap.read`
    keep: Tensor  # (n, tokens)

    def applied(self, maps: Tensor) -> Tensor:
        """`maps` `(rows, heads, h·w, tokens)` with those of the readers replaced."""
        own = maps[self.readers]
        read = maps[self.sources] @ self.read[:, None] + own * self.keep[:, None, None]
        return maps.index_copy(0, self.readers, torch.lerp(own, read, self.strengths[:, None, None, None]))


@dataclass(frozen=True, eq=False)
class PassInputs:
    """What the attention layers use in one pass. The rows whose maps must be formed come first."""

    keys: Sequence[Tensor]  # per cross-attention layer (rows, tokens, inner)
    values: Sequence[Tensor]
    mapped: Sequence[int]  # per cross-attention layer: for how many rows maps are formed
    gates: Sequence[Tensor] | None = None  # per cross-attention layer (at least `mapped` rows, h·w, tokens)
    cross: CrossReading | None = None
    within: Reading | None = None  # of self-attention
    captured: frozenset[int] = frozenset()  # cross-attention layers whose maps are kept


class _CrossProcessor:
    """A diffusers attention processor that takes keys, values and gates from the pass instead of computing them."""

    def __init__(self, index: int, inputs: PassInputs, maps: dict[int, Tensor]) -> None:
        self.index, self.inputs, self.maps = index, inputs, maps

    def __call__(self, attn: Any, hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
        inputs = self.inputs
        query = _heads(attn.to_q(hidden_states), attn.heads)
        key, value = (_heads(x[self.index], attn.heads) for x in (inputs.keys, inputs.values))
        n = inputs.mapped[self.index]
        parts = []
        if n:
            parts.append(self._maps(query[:n], key[:n], attn.scale) @ value[:n])
        if n < len(query):
            parts.append(F.scaled_dot_product_attention(query[n:], key[n:], value[n:], scale=attn.scale))
        return _projected(attn, torch.cat(parts) if len(parts) > 1 else parts[0])

    def _maps(self, query: Tensor, key: Tensor, scale: float) -> Tensor:
        """Softmax, then what is read from other rows, then the gates: so a gated token does nothing outside its mask."""
        inputs = self.inputs
        maps = (query @ key.transpose(-1, -2) * scale).softmax(dim=-1)
        if inputs.cross is not None:
            maps = inputs.cross.applied(maps)
        if inputs.gates is not None:
            maps = maps * inputs.gates[self.index][: len(maps), None]
        if self.index in inputs.captured:
            self.maps[self.index] = maps.detach().mean(dim=1)
        return maps


class _SelfProcessor:
    """Stock self-attention, but readers take queries and keys, which make up the map, from their source."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading

    def __call__(self, attn: Any, hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
        reading = self.reading
        query, key, value = (_heads(project(hidden_states), attn.heads) for project in (attn.to_q, attn.to_k, attn.to_v))
        out = F.scaled_dot_product_attention(query, key, value, scale=attn.scale)
        read = F.scaled_dot_product_attention(
            query[reading.sources], key[reading.sources], value[reading.readers], scale=attn.scale
        )
        mixed = torch.lerp(out[reading.readers], read, reading.strengths[:, None, None, None])
        return _projected(attn, out.index_copy(0, reading.readers, mixed))


def _heads(x: Tensor, heads: int) -> Tensor:
    return x.view(*x.shape[:2], heads, -1).transpose(1, 2)


def _projected(attn: Any, out: Tensor) -> Tensor:
    """`(rows, heads, h·w, d)` through the layer's output projection."""
    projected: Tensor = attn.to_out[1](attn.to_out[0](out.transpose(1, 2).flatten(2))) / attn.rescale_output_factor
    return projected


class RowAttention:
    """The attention layers of a UNet. A pass over rows happens inside `using`."""

    def __init__(self, unet: nn.Module) -> None:
        self.layers = cross_layers(unet)
        self.within = self_layers(unet)

    @contextmanager
    def using(self, inputs: PassInputs) -> Iterator[dict[int, Tensor]]:
        """Put processors for `inputs` in place; the layers' own come back whatever happens.

        Gives the captured maps by layer, once a pass has been made: `(mapped rows, h·w, tokens)`, mean over the heads.
        """
        maps: dict[int, Tensor] = {}
        processors: list[tuple[Any, Any]] = [
            (layer.attention, _CrossProcessor(i, inputs, maps)) for i, layer in enumerate(self.layers)
        ]
        if inputs.within is not None:
            processors += [(layer.attention, _SelfProcessor(inputs.within)) for layer in self.within]
        before = [attention.processor for attention, _ in processors]
        try:
            for attention, processor in processors:
                attention.set_processor(processor)
            yield maps
        finally:
            for (attention, _), processor in zip(processors, before, strict=True):
                attention.set_processor(processor)
