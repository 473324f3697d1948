"""Prompt-to-Prompt straight from its description: diffusers' attention with explicit maps over a batch of source and target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from s2edit_core.unet.attention import MIN_SELF_LEVEL, TokenMap
from s2edit_core.unet.backbone import Backbone

LEVELS = {64: 0, 16: 1}
"""The level of a map of the tiny model, by its cells, for latents of 8 × 8."""


class Controller:
    """One processor for cross- and self-attention; the batch is (source, target)."""

    def __init__(self, tokens: TokenMap, cross: float, own: float) -> None:
        self.tokens, self.cross, self.own = tokens, cross, own
        self.maps: list[Tensor] = []  # of the cross-attention layers in the order of their use: (2, h·w, tokens)

    def __call__(self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None, **_: Any) -> Tensor:
        text = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key, value = attn.to_q(hidden_states), attn.to_k(text), attn.to_v(text)
        scores = attn.get_attention_scores(attn.head_to_batch_dim(query), attn.head_to_batch_dim(key))
        source, target = scores.view(2, attn.heads, query.shape[1], -1)
        if encoder_hidden_states is not None:
            read = torch.einsum("hps,st->hpt", source, self.tokens.read.double()) + target * self.tokens.keep.double()
            target = self.cross * read + (1 - self.cross) * target
            self.maps.append(torch.stack((source, target)).mean(dim=1))
        elif LEVELS[query.shape[1]] >= MIN_SELF_LEVEL:
            target = self.own * source + (1 - self.own) * target
        out = torch.bmm(torch.stack((source, target)).flatten(0, 1), attn.head_to_batch_dim(value))
        return attn.to_out[1](attn.to_out[0](attn.batch_to_head_dim(out))) / attn.rescale_output_factor  # type: ignore[no-any-return]


def predict(backbone: Backbone, z: Tensor, t: int, states: Sequence[Tensor], controller: Controller | None) -> Tensor:
    """ε for latents `(2, c, h, w)` with the text `states`; the stock UNet where there is no controller."""
    unet: Any = backbone.unet
    before = dict(unet.attn_processors)
    try:
        if controller is not None:
            unet.set_attn_processor(controller)
        with torch.no_grad():
            return unet(z, t, encoder_hidden_states=torch.stack([*states])).sample  # type: ignore[no-any-return]
    finally:
        unet.set_attn_processor(before)
