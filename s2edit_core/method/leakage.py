"""Leakage of placeholders: the share of their attention that falls outside their masks, measured in passes of the model.

The measured attention maps include the gates, on latents of the photo's inverted path. A gate is 0 in cells wholly outside its
mask, so a gated placeholder leaks exactly 0.
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
class MaskedPlaceholder:
    """A placeholder's token `positions` in the prompt, and its `mask` `(H, W)` in 0..1 over the whole frame."""

    positions: Sequence[int]
    mask: Tensor


def leakage(
    backbone: Backbone,
    path: Tensor,
    prompt: KeysValues,
    gates: Gates | None,
    placeholders: Mapping[str, MaskedPlaceholder],
    *,
    levels: int = 1,
) -> Generator[Rows, Answers, dict[str, Tensor]]:
    """Return, by name, the share 0..1 of attention in cells wholly outside the mask: `(layers, levels)`.

    `path` `(steps + 1, c, h, w)` is an inverted path, starting with the photo's latent. `levels` of its noise levels, evenly
    spaced, are evaluated with one row each. Maps are averaged over the heads; a placeholder without any attention leaks 0. Raises
    `ValueError` unless `levels` is in 1..steps.
    """
    steps = len(path) - 1
    if not 1 <= levels <= steps:
        raise ValueError(f"levels must lie between 1 and the path's {steps} steps, not {levels}")
    timesteps, all_layers = backbone.schedule.timesteps(steps), tuple(range(len(backbone.layers)))
    chosen = [round((i + 0.5) * steps / levels - 0.5) for i in range(levels)]
    answers = yield tuple(Row(path[steps - i], timesteps[i], prompt, gates, capture=all_layers) for i in chosen)
    sizes = [layer_size((path.shape[2], path.shape[3]), layer.level) for layer in backbone.layers]
    return {
        name: torch.tensor([[_outside(answer.maps[i], each, size) for answer in answers] for i, size in enumerate(sizes)])
        for name, each in placeholders.items()
    }


def _outside(maps: Tensor, placeholder: MaskedPlaceholder, size: tuple[int, int]) -> float:
    """Return the leakage of one layer of `size` (h, w) with attention `maps` `(h·w, tokens)`."""
    column = maps[:, list(placeholder.positions)].double().sum(dim=1)
    outside = F.adaptive_avg_pool2d(placeholder.mask[None, None].float(), size).flatten() == 0
    total = float(column.sum())
    return float(column[outside.to(column.device)].sum()) / total if total > 0 else 0.0
