"""Joint training of the shipped denoiser and its text encoder on cached latents."""

from __future__ import annotations

import random
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from numpy.typing import NDArray
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from lab.training.autoencoder import LATENT_CHANNELS, to_range
from lab.training.trainer import MovingAverage, Run, mixed_precision, warm_cosine
from lab.world.dataset import world_digest
from lab.world.people import caption, sample_person
from s2edit_core.method.learning import step_generator

MAX_TOKENS = 40
_WORDS = (
    "a an and are as at baby bangs bald beard black blond blonde blue blush boy bright brown cap closeup curly "
    "dark drawing earrings eye eyes face female freckles girl glasses gray green grey hair happy hat head her his "
    "in is lady light lips lipstick long makeup male man me mole mustache neutral no of old on orange painting "
    "person photo picture pink portrait purple red sad same shadow she he short smile smiling straight sunglasses "
    "surprised the to wavy wearing white with without woman yellow young "
)
WORDS = tuple(_WORDS.split())
"""Words that are one token each. Any other text falls back to bytes, as in CLIP's vocabulary."""


def build_tokenizer() -> CLIPTokenizer:
    """Return a byte-level BPE tokenizer in CLIP's format: all bytes, and the merges that make each of `WORDS` one token."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [b for b in range(256) if b not in printable]
    letters = [chr(b) for b in printable] + [chr(256 + i) for i in range(len(rest))]
    vocabulary = {token: i for i, token in enumerate([*letters, *(letter + "</w>" for letter in letters)])}
    merges: list[tuple[str, str]] = []
    for word in WORDS:
        while len(pieces := _split(word, merges)) > 1:  # a later merge ranks lower, so it can't break an earlier word
            merges.append((pieces[0], pieces[1]))
            vocabulary.setdefault(pieces[0] + pieces[1], len(vocabulary))
    for special in ("<|startoftext|>", "<|endoftext|>"):
        vocabulary[special] = len(vocabulary)
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=MAX_TOKENS)


def _split(word: str, merges: list[tuple[str, str]]) -> list[str]:
    """Split `word` by byte-pair encoding: repeatedly apply the merge that comes first in `merges`."""
    pieces = [*word[:-1], word[-1] + "</w>"]
    while len(pieces) > 1:
        ranked = [merges.index(pair) for pair in pairwise(pieces) if pair in merges]
        if not ranked:
            break
        left, right = merges[min(ranked)]
        merged: list[str] = []
        for piece in pieces:
            if merged and (merged[-1], piece) == (left, right):
                merged[-1] += piece
            else:
                merged.append(piece)
        pieces = merged
    return pieces


def build_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    torch.manual_seed(8)
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=128,
            intermediate_size=512,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=MAX_TOKENS,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            hidden_act="gelu",
        )
    )


def build_unet(widths: tuple[int, int, int] = (64, 128, 192)) -> UNet2DConditionModel:
    torch.manual_seed(9)
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=widths,
        layers_per_block=1,
        attention_head_dim=4,
        norm_num_groups=16,
        cross_attention_dim=128,
    )


def build_scheduler() -> DDIMScheduler:
    """Return Stable Diffusion's schedule: the last step keeps its noise level (`set_alpha_to_one=False`), without clipping."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


@torch.no_grad()
def encode_all(vae: AutoencoderKL, data: NDArray[np.uint8], path: Path, batch: int = 32) -> tuple[Tensor, Tensor]:
    """Return posterior mean and standard deviation of every portrait, `(n, c, 16, 16)` each. Caches them in `path` per encoder."""
    weights = sha256(b"".join(p.cpu().contiguous().numpy().tobytes() for p in vae.encoder.parameters())).hexdigest()
    if path.exists():
        cached: dict[str, Any] = torch.load(path, weights_only=True)
        if cached["encoder"] == weights:
            return cached["mean"], cached["std"]
    device = next(vae.parameters()).device
    means, stds = [], []
    for start in range(0, len(data), batch):
        posterior = vae.encode(to_range(data[start : start + batch]).to(device)).latent_dist
        means.append(posterior.mean.cpu())
        stds.append(posterior.std.cpu())
    mean, std = torch.cat(means), torch.cat(stds)
    torch.save({"encoder": weights, "mean": mean, "std": std}, path)
    return mean, std


def captions(people: list[int], step: int, *, dropped: float = 0.1) -> list[str]:
    """Return a caption per person for this step. Each step omits other words; a share `dropped` of the captions is empty."""
    rng = random.Random(f"captions-{step}")
    return ["" if rng.random() < dropped else caption(sample_person(person).attributes, rng) for person in people]


def tokens_of(tokenizer: CLIPTokenizer, texts: list[str]) -> Tensor:
    ids: Tensor = tokenizer(
        texts, padding="max_length", truncation=True, max_length=tokenizer.model_max_length, return_tensors="pt"
    ).input_ids
    return ids


def min_snr_weight(alphas_cumprod: Tensor, t: Tensor, gamma: float = 5.0) -> Tensor:
    """Return the weight of the ε loss at timestep `t`: min(SNR, γ) / SNR (Hang et al., arXiv 2303.09556)."""
    snr = alphas_cumprod[t] / (1 - alphas_cumprod[t])
    return snr.clamp_max(gamma) / snr


def train(
    parts: dict[str, Any],
    mean: Tensor,
    std: Tensor,
    folder: Path,
    *,
    steps: int,
    batch: int = 64,
    peak: float = 8e-4,
    seed: int = 21,
    every: int = 50,
) -> Run:
    """Train `parts["unet"]` and `parts["text_encoder"]` on latents of unit variance. Leaves the averaged weights in both."""
    unet, text_encoder, tokenizer = parts["unet"], parts["text_encoder"], parts["tokenizer"]
    device = next(unet.parameters()).device
    unet.set_attn_processor(AttnProcessor())  # on a CPU the fused kernel's backward pass takes three times as long
    alphas = parts["scheduler"].alphas_cumprod.to(device)
    parameters = [*unet.parameters(), *text_encoder.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=peak, betas=(0.9, 0.99), weight_decay=0.01)
    data = f"{len(mean)}@{world_digest()}"
    recipe = f"steps={steps} batch={batch} peak={peak} seed={seed} data={data} widths={unet.config.block_out_channels}"
    run = Run(folder, "denoiser", recipe, parameters, optimiser, MovingAverage(parameters, 0.9985))
    run.resume()
    total = 0.0
    while run.step < steps:
        draw = step_generator(seed, run.step)
        people = torch.randint(len(mean), (batch,), generator=draw)
        z = mean[people] + std[people] * torch.randn(mean[people].shape, generator=draw)
        t = torch.randint(len(alphas), (batch,), generator=draw).to(device)
        eps = torch.randn(z.shape, generator=draw).to(device)
        a = alphas[t].view(-1, 1, 1, 1)
        tokens = tokens_of(tokenizer, captions(people.tolist(), run.step)).to(device)
        with mixed_precision(device):
            states = text_encoder(tokens).last_hidden_state
            predicted = unet(a.sqrt() * z.to(device) + (1 - a).sqrt() * eps, t, states).sample
        squared = (predicted.float() - eps).square().mean(dim=(1, 2, 3))
        loss = (squared * min_snr_weight(alphas, t)).mean()
        run.descend(loss, warm_cosine(run.step, steps, peak=peak, floor=0.02))
        total += float(squared.mean().detach()) / every
        if run.step % every == 0:
            run.log(mse=total)
            total = 0.0
            if run.step % (5 * every) == 0:
                run.save()
    run.save()
    run.average.copy_to(parameters)
    return run
