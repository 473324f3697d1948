"""One UNet pass: from the inputs of its rows to ε, losses and gradients. Reads nothing back from the device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from s2edit_core.base_model.ddim import Schedule
from s2edit_core.unet.pass_buffers import PassInputs
from s2edit_core.unet.processors import RowAttention
from s2edit_core.unet.rows import Answer, Row


@dataclass(frozen=True, eq=False)
class PassOutputs:
    """The results of a pass, on the device."""

    eps: Tensor  # (rows, c, h, w), in float32 or better
    report: Tensor  # (2, rows): each row's loss, and 1 where ε and the loss are finite
    key_gradients: Sequence[Tensor] = ()  # per cross-attention layer (rows, tokens, inner)
    value_gradients: Sequence[Tensor] = ()
    maps: Sequence[tuple[int, Tensor]] = ()  # captured maps by layer, (rows with maps, h·w, tokens)

    def answers(self, rows: Sequence[Row]) -> list[Answer]:
        """Return the answers to `rows`. Waits for the device, once."""
        losses, finite = self.report.tolist()
        maps = dict(self.maps)
        keys, values = ([each.unbind() for each in per_layer] for per_layer in (self.key_gradients, self.value_gradients))
        return [
            Answer(
                eps=self.eps[i],
                loss=losses[i] if row.target is not None else None,
                key_gradients=tuple(each[i] for each in keys) if row.target is not None else (),
                value_gradients=tuple(each[i] for each in values) if row.target is not None else (),
                maps=tuple(maps[layer][i] for layer in row.capture),
                finite=bool(finite[i]),
            )
            for i, row in enumerate(rows)
        ]


def run_pass(unet: nn.Module, row_attention: RowAttention, schedule: Schedule, inputs: PassInputs) -> PassOutputs:
    """Run `unet` over `inputs`. The gradients are those at keys and values alone, because all weights are frozen."""
    learns = inputs.targets is not None
    attention = inputs.attention
    leaves = [tensor.detach().requires_grad_(learns) for tensor in (*attention.keys, *attention.values)]
    layers = len(attention.keys)
    model: Any = unet
    dtype = next(unet.parameters()).dtype
    with torch.set_grad_enabled(learns), row_attention.using(attention.with_leaves(leaves)) as maps:
        output = model(inputs.latents.to(dtype), inputs.timesteps, encoder_hidden_states=None, return_dict=False)[0]
        # In float32 or better from here: half precision loses small squares, and rounds coefficients.
        eps = schedule.to_epsilon(output.to(inputs.latents.dtype), inputs.latents, inputs.timesteps)
        losses = inputs.targets.losses(eps) if inputs.targets is not None else None
        # Also inside: the backward pass may compute activations again.
        gradients = torch.autograd.grad(losses.sum(), leaves) if losses is not None else ()
    eps = eps.detach()
    losses = losses.detach() if losses is not None else eps.new_zeros(len(eps))
    finite = torch.isfinite(eps).flatten(1).all(dim=1) & torch.isfinite(losses)
    report = torch.stack([losses, finite.to(losses.dtype)])
    return PassOutputs(eps, report, gradients[:layers], gradients[layers:], tuple(maps.items()))
