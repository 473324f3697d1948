"""The attention processors of a UNet: in a pass, each row attends to its own keys and values, through its own gates.

They take these from the inputs of the pass, where row i of keys, values and gates belongs to element i of the batch.

They are installed once, and read their inputs from a holder. Outside a pass they call the processors that they replaced, so others
can use the UNet as it was. Nothing is swapped for a pass, and no shape depends on its rows' contents: a CUDA graph can record it.

A row may read the attention of another row of the same pass (Prompt-to-Prompt, Hertz et al., arXiv 2208.01626): its cross-attention
maps through a token map, and its self-attention in small feature maps. Attention maps are formed only for rows that read, are read,
or ask for their maps. All other rows use `scaled_dot_product_attention`. Gated columns then need only their own attention weights,
which the fused kernel returns beside its output (see `gated_attention`).
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from s2edit_core.unet.attention import MIN_SELF_LEVEL, CrossLayer, SelfLayer, cross_layers, self_layers
from s2edit_core.unet.kernels.choice import chosen

MIN_FUSED_CELLS = 1024
"""On the CPU, gates of smaller feature maps are applied to explicit maps. Measured with one thread: a layer of 256 cells takes 0.71
ms with maps and 0.80 ms fused, one of 4096 cells 57 and 44 ms.
"""


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
class GatedColumns:
    """The gated columns of the first rows of a pass. Rows with fewer than `columns` fill up with the position `tokens`: none."""

    positions: Tensor  # (rows, columns): token positions
    factors: Tensor  # (rows, columns, cells), see `Gates`
    spans: Sequence[tuple[int, int]]  # per layer: its cells
    tokens: int
    _dense: dict[tuple[int, int], Tensor] = field(default_factory=dict, init=False)

    def __len__(self) -> int:
        return len(self.positions)

    @cached_property
    def one_hot(self) -> Tensor:
        """The columns as one-hot vectors over the tokens, `(rows, tokens, columns)`; zero where there is none."""
        tokens = torch.arange(self.tokens, device=self.positions.device)
        return (tokens[:, None] == self.positions[:, None]).to(self.factors.dtype)

    @cached_property
    def others(self) -> Tensor:
        """1 for tokens that are not gated and 0 for the others, `(rows, tokens, 1)`."""
        return 1 - self.one_hot.sum(dim=-1, keepdim=True)

    def of_layer(self, layer: int) -> Tensor:
        """Return the factors of one layer, `(rows, h·w, columns)`."""
        start, end = self.spans[layer]
        return self.factors[:, :, start:end].transpose(1, 2)

    def dense(self, layer: int) -> Tensor:
        """Return the factors of all tokens in one layer, `(rows, h·w, tokens)`."""
        span = self.spans[layer]
        if span not in self._dense:
            factors = self.of_layer(layer)
            index = self.positions[:, None].expand_as(factors)
            ones = factors.new_ones(*factors.shape[:2], self.tokens + 1)
            self._dense[span] = ones.scatter(2, index, factors)[:, :, : self.tokens]
        return self._dense[span]


@dataclass(frozen=True, eq=False)
class AttentionInputs:
    """The inputs of the attention layers in one UNet pass.

    Rows are in the order of `passes`: those with explicit maps first, then those with gates, then the others.
    """

    keys: Sequence[Tensor]  # per cross-attention layer (rows, tokens, inner)
    values: Sequence[Tensor]
    rows_with_maps: Sequence[int]  # per cross-attention layer: how many rows, from the first, need explicit maps
    gated: GatedColumns | None = None  # of the first rows, at least those of `rows_with_maps`; None if no row has gates
    cross_attention: CrossReading | None = None
    self_attention: Reading | None = None
    captured: frozenset[int] = frozenset()  # indices of the cross-attention layers that record their maps

    def with_leaves(self, tensors: Sequence[Tensor]) -> AttentionInputs:
        """Return these inputs with `tensors` as keys and values."""
        return replace(self, keys=tensors[: len(self.keys)], values=tensors[len(self.keys) :])


@dataclass
class _Holder:
    """The inputs of the pass that is running, if any, and the maps that it captures."""

    inputs: AttentionInputs | None = None
    maps: dict[int, Tensor] = field(default_factory=dict)


class _Processor:
    """A diffusers attention processor that replaces the `stock` one during passes."""

    def __init__(self, holder: _Holder, stock: Any, index: int, level: int) -> None:
        self.holder, self.stock, self.index, self.level = holder, stock, index, level

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        **others: Any,
    ) -> Tensor:
        inputs = self.holder.inputs
        if inputs is None or not self.acts(inputs, hidden_states):
            out: Tensor = self.stock(attn, hidden_states, encoder_hidden_states, attention_mask, temb, **others)
            return out
        return _project_out(attn, self.attend(attn, hidden_states, inputs))

    def acts(self, inputs: AttentionInputs, hidden_states: Tensor) -> bool:
        """Return whether this layer differs from the stock one in a pass with `inputs`."""
        raise NotImplementedError

    def attend(self, attn: Any, hidden_states: Tensor, inputs: AttentionInputs) -> Tensor:
        """Return the attention `(rows, heads, h·w, d)` before the output projection."""
        raise NotImplementedError


# diffusers asks for this signature in every call. It is inspected once, not anew for each layer of each pass.
setattr(_Processor.__call__, "__signature__", inspect.signature(_Processor.__call__))  # noqa: B010 (mypy knows no such attribute)


class _CrossProcessor(_Processor):
    """Cross-attention with the keys, values and gates of the pass."""

    def acts(self, _: AttentionInputs, __: Tensor) -> bool:
        return True

    def attend(self, attn: Any, hidden_states: Tensor, inputs: AttentionInputs) -> Tensor:
        query, key, value = attn.to_q(hidden_states), inputs.keys[self.index], inputs.values[self.index]
        if _kernel_takes(query, key, value, inputs, self.index, attn.heads):
            return _by_kernel(query, key, value, inputs, self.index, attn)
        query, key, value = (_split_heads(x, attn.heads) for x in (query, key, value))
        n, m = inputs.rows_with_maps[self.index], len(inputs.gated) if inputs.gated is not None else 0
        if query.device.type == "cpu" and query.shape[2] < MIN_FUSED_CELLS:
            n = max(n, m)
        m = max(n, m)
        parts = []
        if n:
            parts.append(self._maps(query[:n], key[:n], attn.scale).to(value.dtype) @ value[:n])
        if n < m and inputs.gated is not None:
            parts.append(gated_attention(query[n:m], key[n:m], value[n:m], attn.scale, inputs.gated, n, self.index))
        if m < len(query):
            parts.append(_fused(query[m:], key[m:], value[m:], attn.scale))
        return torch.cat(parts) if len(parts) > 1 else parts[0]

    def _maps(self, query: Tensor, key: Tensor, scale: float) -> Tensor:
        """Return the attention maps `(rows, heads, h·w, tokens)`, in float32 or better.

        Half precision is left before the scores, as models with `upcast_attention` ask for and as fused kernels do. Gates come
        last, after maps are read from other rows: a gated token then has no effect outside its mask.
        """
        inputs = self.holder.inputs
        assert inputs is not None
        dtype = torch.promote_types(query.dtype, torch.float32)
        maps = (query.to(dtype) @ key.to(dtype).transpose(-1, -2) * scale).softmax(dim=-1)
        if inputs.cross_attention is not None:
            maps = inputs.cross_attention.apply(maps)
        if inputs.gated is not None:
            maps = maps * inputs.gated.dense(self.index)[: len(maps), None]
        if self.index in inputs.captured:
            self.holder.maps[self.index] = maps.detach().mean(dim=1)
        return maps


def _kernel_takes(query: Tensor, key: Tensor, value: Tensor, inputs: AttentionInputs, layer: int, heads: int) -> bool:
    """Return whether a kernel computes gated attention here: where all rows have gates, and none needs its map."""
    learns = torch.is_grad_enabled() and (query.requires_grad or key.requires_grad)
    if chosen.attention is None or learns not in chosen.attention_with or query.device.type != chosen.device:
        return False
    gated = inputs.gated
    if gated is None or inputs.rows_with_maps[layer] or len(gated) != len(query):
        return False
    return bool(chosen.attention.usable(query, key, value, gated.factors, heads))


def _by_kernel(query: Tensor, key: Tensor, value: Tensor, inputs: AttentionInputs, layer: int, attn: Any) -> Tensor:
    gated = inputs.gated
    assert gated is not None
    start = gated.spans[layer][0]
    made: Tensor = chosen.attention.attention(
        query, key, value, gated.factors, gated.positions, start, heads=attn.heads, scale=attn.scale
    )
    return _split_heads(made, attn.heads)


class _SelfProcessor(_Processor):
    """Self-attention in which readers take queries and keys, and so the attention map, from their source row."""

    def acts(self, inputs: AttentionInputs, hidden_states: Tensor) -> bool:
        return self._reading(inputs) is not None or _is_slow_fused(hidden_states) or hidden_states.is_cuda

    def _reading(self, inputs: AttentionInputs) -> Reading | None:
        return inputs.self_attention if self.level >= MIN_SELF_LEVEL else None

    def attend(self, attn: Any, hidden_states: Tensor, inputs: AttentionInputs) -> Tensor:
        reading = self._reading(inputs)
        query, key, value = (_split_heads(project(hidden_states), attn.heads) for project in (attn.to_q, attn.to_k, attn.to_v))
        out = _fused(query, key, value, attn.scale)
        if reading is None:
            return out
        read = _fused(query[reading.sources], key[reading.sources], value[reading.readers], attn.scale)
        mixed = torch.lerp(out[reading.readers], read, reading.strengths.to(out)[:, None, None, None])
        return out.index_copy(0, reading.readers, mixed)


def gated_attention(query: Tensor, key: Tensor, value: Tensor, scale: float, gated: GatedColumns, first: int, layer: int) -> Tensor:
    """Return attention with gated columns, `Σ_k g_k·p_k·v_k` with p = softmax(q·k·scale), without forming the maps p.

    `query`, `key` and `value` `(rows, heads, n, d)` are those of the rows of `gated` from number `first` on. The fused kernel gets
    values of zero at the gated columns, and one more channel per gated column, which is 1 at its token: it returns that column's
    p_j. Then `g_j·p_j·v_j` is added, which is exactly 0 outside the mask. Autograd differentiates all of it.
    """
    columns, d = gated.positions.shape[1], query.shape[-1]
    rows = slice(first, first + len(query))
    one_hot = gated.one_hot[rows, None]
    shown = torch.cat([value * gated.others[rows, None], one_hot.expand(-1, value.shape[1], -1, -1)], dim=-1)
    query, key = F.pad(query, (0, columns)), F.pad(key, (0, columns))
    out = _fused(query, key, shown, scale)
    weights = out[..., d:] * gated.of_layer(layer)[rows, None]
    return out[..., :d] + weights @ (one_hot.transpose(-1, -2) @ value)


def plain_gated_attention(query: Tensor, key: Tensor, value: Tensor, factors: Tensor, positions: Tensor, *, heads: int) -> Tensor:
    """Return gated attention `(rows, cells, inner)` of one layer by `gated_attention`, to compare a kernel with."""
    gated = GatedColumns(positions, factors, ((0, factors.shape[2]),), key.shape[1])
    scale = (query.shape[2] // heads) ** -0.5
    query, key, value = (_split_heads(x, heads) for x in (query, key, value))
    out = gated_attention(query, key, value, scale, gated, 0, 0)
    return out.transpose(1, 2).flatten(2)


def _is_slow_fused(x: Tensor) -> bool:
    """Return whether fused attention is faster in float32 than in the precision of `x`: in half precision on the CPU.

    Measured in a profile of learning passes of 4 rows on one core with AVX-512 BF16: a backward pass of one layer takes 7 ms in
    bfloat16 and 3 ms in float32.
    """
    return x.device.type == "cpu" and x.dtype.itemsize == 2


def _fused(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """Return `scaled_dot_product_attention` in the precision of `query`."""
    if _is_slow_fused(query):
        query, key, value, dtype = query.float(), key.float(), value.float(), query.dtype
        return F.scaled_dot_product_attention(query, key, value, scale=scale).to(dtype)
    return F.scaled_dot_product_attention(query, key, value, scale=scale)


def _split_heads(x: Tensor, heads: int) -> Tensor:
    """Reshape `(rows, n, heads · d)` to `(rows, heads, n, d)`."""
    return x.view(*x.shape[:2], heads, -1).transpose(1, 2)


def _project_out(attn: Any, out: Tensor) -> Tensor:
    """Return `(rows, heads, h·w, d)` after the layer's output projection."""
    projected: Tensor = attn.to_out[1](attn.to_out[0](out.transpose(1, 2).flatten(2)))
    return projected if attn.rescale_output_factor == 1 else projected / attn.rescale_output_factor


class RowAttention:
    """The attention layers of a UNet, with a context manager that runs a pass over rows. Several may share one UNet."""

    def __init__(self, unet: nn.Module) -> None:
        self.layers = cross_layers(unet)
        self.self_layers = self_layers(unet)
        present = [layer.attention.processor for layer in self.layers]
        self._holder = next((each.holder for each in present if isinstance(each, _Processor)), _Holder())
        self._install()

    def _install(self) -> None:
        """Put a processor on each layer that has none, because it is new or because somebody set another one."""
        kinds: list[tuple[type[_Processor], Sequence[CrossLayer | SelfLayer]]]
        kinds = [(_CrossProcessor, self.layers), (_SelfProcessor, self.self_layers)]
        for kind, layers in kinds:
            for i, layer in enumerate(layers):
                attention = layer.attention
                if not isinstance(attention.processor, kind):
                    attention.set_processor(kind(self._holder, attention.processor, i, layer.level))

    @contextmanager
    def using(self, inputs: AttentionInputs) -> Iterator[dict[int, Tensor]]:
        """Run a pass with `inputs`.

        Yields a dictionary that the pass fills with the captured maps: by layer index, `(rows with maps, h·w, tokens)`, averaged
        over heads.
        """
        self._install()
        maps: dict[int, Tensor] = {}
        self._holder.inputs, self._holder.maps = inputs, maps
        try:
            yield maps
        finally:
            self._holder.inputs, self._holder.maps = None, {}
