"""Where [I] looks: the share of its attention that falls outside its mask, on the photo's own inverted path.

Measured from outside, by hooks on the query projections, so it holds whatever the attention processor does with them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from s2edit_core.attention import layer_size
from s2edit_core.backbone import Backbone
from s2edit_core.inversion import Source
from s2edit_core.rows import Row

LEVELS = 4
"""At how many noise levels of the path, evenly spread."""


def leakage(backbone: Backbone, path: Tensor, source: Source, positions: tuple[int, ...], mask: Tensor) -> float:
    """The share in 0..1 of the gated attention to the tokens at `positions` that falls on cells wholly outside `mask`.

    `path` `(steps + 1, c, h, w)` is an inverted path, first the photo's latent; `mask` `(H, W)` in 0..1. Mean over noise levels,
    layers and heads. With gates it is exactly 0, since a gate is 0 on such cells.
    """
    steps = len(path) - 1
    timesteps = backbone.schedule.timesteps(steps)
    picked = [round((i + 0.5) * steps / LEVELS - 0.5) for i in range(LEVELS)]
    rows = tuple(Row(path[steps - i], timesteps[i], source.prompt, source.gates) for i in picked)
    with _queries(backbone) as queries:
        backbone.evaluate(rows)
    size = (path.shape[2], path.shape[3])
    shares = []
    for i, layer in enumerate(backbone.layers):
        weights = _attention(torch.cat(queries[i]), source.prompt.keys[i], layer.attention.heads, layer.attention.scale)
        column = weights[..., list(positions)]
        if source.gates is not None:
            column = column * source.gates[i][:, list(positions)].to(column)
        outside = F.adaptive_avg_pool2d(mask[None, None].float(), layer_size(size, layer.level)).flatten() == 0
        total = column.sum()
        shares.append(float(column[:, :, outside.to(column.device)].sum() / total) if total > 0 else 0.0)
    return sum(shares) / len(shares)


@contextmanager
def _queries(backbone: Backbone) -> Iterator[list[list[Tensor]]]:
    """Per cross-attention layer the queries `(rows, h·w, inner)` of each pass inside."""
    seen: list[list[Tensor]] = [[] for _ in backbone.layers]

    def keep(kept: list[Tensor]) -> object:
        return lambda _module, _inputs, output: kept.append(output.detach())

    hooks = []
    try:
        for layer, kept in zip(backbone.layers, seen, strict=True):
            projection: nn.Module = layer.attention.to_q
            hooks.append(projection.register_forward_hook(keep(kept)))  # type: ignore[arg-type]
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def _attention(query: Tensor, key: Tensor, heads: int, scale: float) -> Tensor:
    """Softmax weights `(rows, heads, h·w, tokens)` of queries `(rows, h·w, inner)` and keys `(tokens, inner)`."""
    q = query.unflatten(-1, (heads, -1)).transpose(1, 2)
    k = key.detach().to(query).unflatten(-1, (heads, -1)).transpose(0, 1)
    weights: Tensor = (q @ k.transpose(-1, -2) * scale).softmax(dim=-1)
    return weights
