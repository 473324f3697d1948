"""Start a training from the weights of another model.

    widen     an auto-encoder with as many latent channels or fewer
    stitch    a denoiser and a text encoder, of the same shape or trained on latents of half the side

What was learned before stays. The further channels, or the new outermost level of the UNet, are learned anew.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.embeddings import get_timestep_embedding
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

LAST_OF_ENCODER = ("encoder.conv_out.", "quant_conv.")
"""Parameters whose outputs are the means of all latent channels and then their log variances."""


@torch.no_grad()
def widen(vae: AutoencoderKL, narrow: AutoencoderKL) -> None:
    """Give `vae` the weights of `narrow`, which has fewer latent channels. Both then reconstruct alike."""
    few, many = narrow.config.latent_channels, vae.config.latent_channels
    latents = torch.arange(few)
    moments = torch.cat([latents, many + latents])
    old = narrow.state_dict()
    for name, parameter in vae.state_dict().items():
        value = old[name]
        if parameter.shape == value.shape:
            parameter.copy_(value)
            continue
        outputs = moments if name.startswith(LAST_OF_ENCODER) else torch.arange(len(value))
        parameter[outputs] = 0
        if parameter.dim() == 1:
            parameter[outputs] = value
            continue
        inputs = moments if name.startswith("quant_conv.") else torch.arange(value.shape[1])
        parameter[outputs[:, None], inputs] = value


@torch.no_grad()
def stitch(unet: UNet2DConditionModel, text_encoder: CLIPTextModel, tokenizer: CLIPTokenizer, folder: Path) -> dict[str, float]:
    """Copy what fits of the model in `folder` into `unet` and `text_encoder`. Returns the shares of their weights that were copied.

    Where `unet` has one level more than the other, its deeper levels see as many cells as the other's levels do.
    """
    old_unet = UNet2DConditionModel.from_pretrained(folder / "unet")
    old_text = CLIPTextModel.from_pretrained(folder / "text_encoder")
    old_tokens = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    return {"unet": _into_unet(unet, old_unet), "text_encoder": _into_text(text_encoder, tokenizer, old_text, old_tokens)}


def _one_level_deeper(name: str) -> str:
    """Return the name in a UNet with one more outermost level. Up blocks count from the innermost one, and keep their numbers."""
    return re.sub(r"^down_blocks\.(\d+)", lambda found: f"down_blocks.{int(found[1]) + 1}", name)


def _into_unet(new: UNet2DConditionModel, old: UNet2DConditionModel) -> float:
    mine, copied = new.state_dict(), 0
    if {name: value.shape for name, value in mine.items()} == {name: value.shape for name, value in old.state_dict().items()}:
        new.load_state_dict(old.state_dict())
        return 1.0
    for name, value in old.state_dict().items():
        target = mine.get(_one_level_deeper(name))
        if name.startswith(("conv_in.", "conv_out.", "conv_norm_out.", "time_embedding.linear_1")) or target is None:
            continue
        if target.shape == value.shape:
            target.copy_(value)
            copied += value.numel()
    first, old_first = new.time_embedding.linear_1, old.time_embedding.linear_1
    first.weight.copy_(_refit(old_first.weight, first.in_features))
    first.bias.copy_(old_first.bias)
    return float(copied / sum(value.numel() for value in mine.values()))


def _refit(weight: Tensor, features: int) -> Tensor:
    """Return the weight that makes of `features` sinusoids of the timestep nearly what `weight` makes of its own number of them."""
    t = torch.arange(1000)

    def sinusoids(count: int) -> Tensor:
        made: Tensor = get_timestep_embedding(t, count, flip_sin_to_cos=True, downscale_freq_shift=0)
        return made.double()

    old, new = sinusoids(weight.shape[1]), sinusoids(features)
    fitted: Tensor = torch.linalg.lstsq(new, old @ weight.double().T).solution
    return fitted.T.float()


def _into_text(new: CLIPTextModel, tokens: CLIPTokenizer, old: CLIPTextModel, old_tokens: CLIPTokenizer) -> float:
    """Copy everything but the embeddings of words that only `tokens` has."""
    mine: dict[str, Any] = new.state_dict()
    known, wanted, copied = old_tokens.get_vocab(), tokens.get_vocab(), 0
    shared = [(wanted[word], known[word]) for word in wanted if word in known]
    to, source = (torch.tensor(side) for side in zip(*shared, strict=True))
    for name, value in old.state_dict().items():
        if name.endswith("token_embedding.weight"):
            mine[name][to.to(mine[name].device)] = value[source].to(mine[name].device)
            copied += len(to) * value.shape[1]
        elif mine[name].shape == value.shape:
            mine[name].copy_(value)
            copied += value.numel()
    return float(copied / sum(value.numel() for value in mine.values()))
