"""Where placeholders look: the share of their attention that falls outside their masks, measured in passes of the model.

Looked at are the maps that the layers have used, gates and all, on latents of the photo's inverted path. A gate is 0 on cells
wholly outside its mask, so with gates the share is exactly 0.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from s2edit_core.unet.attention import Gates, KeysValues, layer_size
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import Answers, Row, Rows


@dataclass(frozen=True, eq=False)
class Watched:
    """A placeholder: where it stands in the prompt, and its `mask` `(H, W)` in 0..1 over the whole frame."""

    positions: Sequence[int]
    mask: Tensor


def leakage(
    backbone: Backbone,
    path: Tensor,
    prompt: KeysValues,
    gates: Gates | None,
    watched: Mapping[str, Watched],
    *,
    levels: int = 1,
) -> Generator[Rows, Answers, dict[str, Tensor]]:
    """By name, the share 0..1 of its attention that falls on cells wholly outside its mask: `(layers, levels)`.

    `path` `(steps + 1, c, h, w)` is an inverted path, first the photo's latent. `levels` of its noise levels, evenly spread, are
    looked at, in a row each; at most `steps`, else `ValueError`. Maps are means over the heads; of no attention the share is 0.
    """
    steps = len(path) - 1
    if not 1 <= levels <= steps:
        raise ValueError(f"levels must lie between 1 and the path's {steps} steps, not {levels}")
    timesteps, everywhere = backbone.schedule.timesteps(steps), tuple(range(len(backbone.layers)))
    picked = [round((i + 0.5) * steps / levels - 0.5) for i in range(levels)]
    answers = yield tuple(Row(path[steps - i], timesteps[i], prompt, gates, capture=everywhere) for i in picked)
    sizes = [layer_size((path.shape[2], path.shape[3]), layer.level) for layer in backbone.layers]
    return {
        name: torch.tensor([[_outside(answer.maps[i], each, size) for answer in answers] for i, size in enumerate(sizes)])
        for name, each in watched.items()
    }


def _outside(maps: Tensor, watched: Watched, size: tuple[int, int]) -> float:
    """Of `maps` `(h·w, tokens)` in a layer of `size` (h, w)."""
    column = maps[:, list(watched.positions)].double().sum(dim=1)
    outside = F.adaptive_avg_pool2d(watched.mask[None, None].float(), size).flatten() == 0
    total = float(column.sum())
    return float(column[outside.to(column.device)].sum()) / total if total > 0 else 0.0
