"""Layers of a frozen UNet in half precision on CUDA that keep channels last and use this room's kernels.

A residual block and a transformer of diffusers copy their feature maps to the other layout and back at each group norm, and read
and write them once more for each bias, sum and division by 1. Here those are parts of the kernels around them. Weights stay theirs.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.activations import GEGLU
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from torch import Tensor, nn
from torch.nn import functional as F

from s2edit_core.unet.kernels.choice import chosen

CHANNELS, GATES = 64, 256
"""The numbers of channels, and of gated channels, must be multiples of these."""


def _usable(x: Tensor, norm: nn.GroupNorm) -> bool:
    """Return whether `norm` and what follows it can use the kernels for `x`."""
    return (
        chosen.feature_maps is not None
        and x.device.type == chosen.device
        and x.dtype.itemsize == 2
        and x.dtype == norm.weight.dtype
        and x.ndim == 4
        and x.shape[1] % CHANNELS == 0
        and x.is_contiguous(memory_format=torch.channels_last)
        and not norm.weight.requires_grad
    )


def _normed(norm: nn.GroupNorm, x: Tensor, *, act: bool, shift: Tensor | None = None) -> Tensor:
    made: Tensor = chosen.feature_maps.group_norm(x, norm.weight, norm.bias, norm.num_groups, norm.eps, act=act, shift=shift)
    return made


class LastGroupNorm(nn.GroupNorm):
    """A group norm that keeps channels last."""

    def forward(self, x: Tensor) -> Tensor:
        if not _usable(x, self):
            return super().forward(x)
        return _normed(self, x, act=False)


class LastResnetBlock(ResnetBlock2D):  # type: ignore[misc]
    """A residual block whose biases and time shift are parts of its norms and of its sum."""

    def forward(self, input_tensor: Tensor, temb: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if not _usable(input_tensor, self.norm1) or self.conv1.out_channels % CHANNELS or args or kwargs:
            made: Tensor = super().forward(input_tensor, temb, *args, **kwargs)
            return made
        x = _without_bias(self.conv1, _normed(self.norm1, input_tensor, act=True))
        shift = self.time_emb_proj(F.silu(temb)) + self.conv1.bias
        x = _without_bias(self.conv2, _normed(self.norm2, x, act=True, shift=shift))
        bias, beside = self.conv2.bias, input_tensor
        if self.conv_shortcut is not None:
            beside = _without_bias(self.conv_shortcut, input_tensor)
            bias = bias if self.conv_shortcut.bias is None else bias + self.conv_shortcut.bias
        summed: Tensor = chosen.feature_maps.added(beside, x, bias)
        return summed


def _without_bias(layer: nn.Conv2d, x: Tensor) -> Tensor:
    made = F.conv2d(x, layer.weight, None, layer.stride, layer.padding, layer.dilation)
    return made.contiguous(memory_format=torch.channels_last)


class LastTransformer(Transformer2DModel):  # type: ignore[misc]
    """A transformer whose tokens are the cells of a feature map with channels last, without a copy."""

    def _operate_on_continuous_inputs(self, hidden_states: Tensor) -> tuple[Tensor, int]:
        if not _usable(hidden_states, self.norm):
            found: tuple[Tensor, int] = super()._operate_on_continuous_inputs(hidden_states)
            return found
        made = _projected(self.proj_in, _tokens(self.norm(hidden_states)))
        return made, made.shape[-1]

    def _get_output_for_continuous_inputs(
        self, hidden_states: Tensor, residual: Tensor, batch_size: int, height: int, width: int, inner_dim: int
    ) -> Tensor:
        if not _usable(residual, self.norm):
            made: Tensor = super()._get_output_for_continuous_inputs(
                hidden_states=hidden_states,
                residual=residual,
                batch_size=batch_size,
                height=height,
                width=width,
                inner_dim=inner_dim,
            )
            return made
        tokens = _projected(self.proj_out, hidden_states) + _tokens(residual)
        cells: Tensor = tokens.unflatten(1, (height, width))
        return cells.permute(0, 3, 1, 2)


def _tokens(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1).flatten(1, 2)


def _projected(layer: nn.Conv2d | nn.Linear, tokens: Tensor) -> Tensor:
    """Return a linear layer, or a convolution of single cells, of `tokens` `(rows, cells, channels)`."""
    return F.linear(tokens, layer.weight.flatten(1), layer.bias)


class LastGEGLU(GEGLU):  # type: ignore[misc]
    """A gated linear unit that reads its product once."""

    def forward(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if not _can_gate(hidden_states, self.proj) or args or kwargs:
            made: Tensor = super().forward(hidden_states, *args, **kwargs)
            return made
        gated: Tensor = chosen.feature_maps.geglu(self.proj(hidden_states).contiguous())
        return gated


def _can_gate(x: Tensor, layer: nn.Linear) -> bool:
    here = chosen.feature_maps is not None and x.device.type == chosen.device
    return here and x.dtype.itemsize == 2 and x.dtype == layer.weight.dtype and layer.out_features % (2 * GATES) == 0


def _is_plain(block: Any) -> bool:
    """Return whether a residual block is of Stable Diffusion's kind, which `LastResnetBlock` computes."""
    return (
        type(block) is ResnetBlock2D
        and isinstance(block.nonlinearity, nn.SiLU)
        and block.upsample is None
        and block.downsample is None
        and block.time_embedding_norm == "default"
        and block.time_emb_proj is not None
        and not block.skip_time_act
        and block.output_scale_factor == 1
        and block.conv1.bias is not None
        and block.conv2.bias is not None
    )


def _reads_feature_maps(block: Any) -> bool:
    return type(block) is Transformer2DModel and bool(block.is_input_continuous and block.norm.affine)


def keep_channels_last(unet: nn.Module) -> int:
    """Let layers of `unet` use the kernels for feature maps where they can, and return how many may."""
    found = 0
    for each in unet.modules():
        kind = type(each)
        if _is_plain(each):
            each.__class__ = LastResnetBlock
        elif _reads_feature_maps(each):
            each.__class__ = LastTransformer
        elif kind is GEGLU:
            each.__class__ = LastGEGLU
        elif kind is nn.GroupNorm and each.affine:
            each.__class__ = LastGroupNorm
        else:
            continue
        found += 1
    return found
