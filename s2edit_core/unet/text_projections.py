"""The projections of text states to keys and values, those of all cross-attention layers in a few products.

Stable Diffusion 1.x has 32 such projections, each a small product. On a GPU, starting them takes longer than computing them. Layers
of one width are therefore stacked: one batched product per width gives K and V of all its layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from s2edit_core.unet.attention import CrossLayer


@dataclass(frozen=True, eq=False)
class WidthGroup:
    """The projections of one output width: their places among all, and their stacked weights."""

    members: tuple[int, ...]
    weights: Tensor  # (members, in, out)
    biases: Tensor | None  # (members, 1, out)


class TextProjections:
    """The projections to keys of all layers, then those to values. A change of their weights is noticed."""

    def __init__(self, layers: Sequence[CrossLayer]) -> None:
        self._linears: list[nn.Linear] = [*(layer.to_k for layer in layers), *(layer.to_v for layer in layers)]
        self._made_from: list[tuple[int, int, torch.dtype]] = []
        self._groups: tuple[WidthGroup, ...] = ()

    def __len__(self) -> int:
        return len(self._linears)

    @property
    def groups(self) -> tuple[WidthGroup, ...]:
        """The stacked projections by width, made again when a weight has been moved, replaced or written to."""
        found = [(w.data_ptr(), w._version, w.dtype) for linear in self._linears for w in linear.parameters(recurse=False)]
        if found != self._made_from:
            self._groups, self._made_from = self._stacked(), found
        return self._groups

    @torch.no_grad()
    def _stacked(self) -> tuple[WidthGroup, ...]:
        by_width: dict[int, list[int]] = {}
        for i, linear in enumerate(self._linears):
            by_width.setdefault(linear.out_features, []).append(i)
        made = []
        for members in by_width.values():
            linears = [self._linears[i] for i in members]
            biases: list[Tensor] = [each.bias for each in linears if each.bias is not None]
            weights: list[Tensor] = [each.weight for each in linears]
            made.append(
                WidthGroup(tuple(members), torch.stack(weights).transpose(1, 2), torch.stack(biases)[:, None] if biases else None)
            )
        return tuple(made)

    def __call__(self, states: Tensor, changes: Sequence[Sequence[Tensor]] = ()) -> list[Tensor]:
        """Return the projections `(tokens, out)` of `states` `(tokens, in)`, in the order of this object.

        Each of `changes` holds what to add, `(members, tokens, out)` for each of `groups`.
        """
        out: dict[int, Tensor] = {}
        for i, group in enumerate(self.groups):
            wide = states.expand(len(group.members), *states.shape)
            made = wide @ group.weights if group.biases is None else torch.baddbmm(group.biases, wide, group.weights)
            for each in changes:
                made = made + each[i]
            out.update(zip(group.members, made.to(states.dtype).unbind(), strict=True))
        return [out[place] for place in range(len(self))]
