"""Start a training from the weights of another model.

    widen     an auto-encoder with as many latent channels or fewer
    stitch    a denoiser and a text encoder, of the same shape or trained on latents of half the side
    place     the names of looks that no other model knows

What was learned before stays. The further channels, or the new outermost level of the UNet, are learned anew.

Names of looks that are alike start alike. The words of a language do so, since many captions tell what "plum" and "coral" have in
common. Here a few photos of each look would have to. So their embeddings start as a random projection of the numbers that describe
the looks (colours, strengths), and training goes on from there. Between them lie looks that no name has: there [A] finds its own.
"""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.embeddings import get_timestep_embedding
from numpy.typing import NDArray
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from lab.training.dataset import Plan
from lab.world.domain import Domain
from lab.world.names import FIRST_LOOK, Naming

NORM = 0.5
"""Mean norm of the embeddings, about that of learned names."""
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


def numbers_of(value: Any) -> dict[str, float]:
    """Return a look's numbers by name. What is no number counts as its own class."""
    if is_dataclass(value):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, tuple):
        value = dict(enumerate(value))
    if isinstance(value, dict):
        return {f"{name}.{part}": number for name, each in value.items() for part, number in numbers_of(each).items()}
    return {"": value} if isinstance(value, float) else {f"={value}": 1.0}


def described(domain: Domain, word: str, numbers: range) -> NDArray[np.float64]:
    """Return looks of the attribute `word` as rows of numbers of mean 0 and variance 1."""
    identities = [domain.sample(FIRST_LOOK + number).identity for number in numbers]
    rows = [numbers_of(tuple(getattr(identity, name) for name in domain.looks[word])) for identity in identities]
    names = sorted(set().union(*rows))
    table = np.array([[row.get(name, 0.0) for name in names] for row in rows])
    spread = table.std(axis=0)
    standard: NDArray[np.float64] = (table - table.mean(axis=0))[:, spread > 0] / spread[spread > 0]
    return standard


def embeddings(domain: Domain, naming: Naming, width: int) -> NDArray[np.float64]:
    """Return an embedding of each named look of the domain, `(looks, width)`."""
    made, first = [np.zeros((0, width))], 0
    for looks in naming.looks:
        table = described(domain, looks.word, range(first, first + looks.count))
        draw = np.random.default_rng([len(domain.name), len(looks.word), first])
        made.append(table @ draw.standard_normal((table.shape[1], width)))
        first += looks.count
    found = np.concatenate(made)
    return NORM * found / max(1e-9, float(np.linalg.norm(found, axis=1).mean())) if len(found) else found


@torch.no_grad()
def place(text_encoder: CLIPTextModel, tokenizer: CLIPTokenizer, plan: Plan) -> None:
    """Give the names of the plan's looks their first embeddings."""
    weight = text_encoder.get_input_embeddings().weight
    for part in plan.parts:
        names = part.naming.names()[part.naming.named :]
        for name, embedding in zip(names, embeddings(part.domain, part.naming, weight.shape[1]), strict=True):
            (token,) = tokenizer(name, add_special_tokens=False).input_ids
            weight[token] = torch.from_numpy(embedding).to(weight)
