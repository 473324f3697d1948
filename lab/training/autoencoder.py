"""Training of the shipped auto-encoder, which maps 128×128 portraits to 16×16 latents and back.

Training has phases. The first uses crops of 64 pixels, because a small run is limited by its number of steps and a crop costs a
quarter of a portrait. The others use whole portraits, because the normalisation layers see whole frames in use. A phase that trains
only the decoder leaves the latent space unchanged, so the denoiser can be trained at the same time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from lab.training.trainer import MovingAverage, Run, mixed_precision, warm_cosine
from lab.world.dataset import world_digest
from s2edit_core.method.learning import step_generator

LATENT_CHANNELS = 8


@dataclass(frozen=True)
class Phase:
    """One phase of the training. `crop` is in pixels. The learning rate falls from `peak` to `floor · peak` along a cosine."""

    name: str
    steps: int
    batch: int
    crop: int
    peak: float
    floor: float
    decoder_only: bool = False


PHASES = (
    Phase("autoencoder-crops", steps=11_000, batch=8, crop=64, peak=1.5e-3, floor=0.25),
    Phase("autoencoder-whole", steps=3500, batch=2, crop=128, peak=5e-4, floor=0.2),
    Phase("autoencoder-fine", steps=4000, batch=4, crop=128, peak=8e-4, floor=0.02),
)


def build() -> AutoencoderKL:
    torch.manual_seed(7)
    vae = AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(16, 32, 64, 128),
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=1,  # one group per channel would remove the overall colour of each picture
        sample_size=128,
        mid_block_add_attention=False,
        scaling_factor=1.0,
    )
    for name, module in vae.named_modules():
        if name.endswith("conv2") and isinstance(module, nn.Conv2d):
            nn.init.zeros_(module.weight)  # every residual block starts as the identity
    vae.to(memory_format=torch.channels_last)  # otherwise a step takes half as long again on a CPU
    return vae


def to_range(pixels: NDArray[np.uint8]) -> Tensor:
    """Convert `(n, h, w, 3)` uint8 to `(n, 3, h, w)` in -1..1."""
    return torch.tensor(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1


def psnr(a: Tensor, b: Tensor) -> Tensor:
    """Return the PSNR in dB of each image, for values in -1..1."""
    return 10 * torch.log10(4 / (a - b).square().flatten(1).mean(1).clamp_min(1e-10))


def _batch(data: NDArray[np.uint8], phase: Phase, step: int, seed: int) -> Tensor:
    draw = step_generator(seed, step)
    index = torch.randint(len(data), (phase.batch,), generator=draw)
    room = data.shape[1] - phase.crop
    corners = torch.randint(room + 1, (phase.batch, 2), generator=draw)
    crops = [data[i, y : y + phase.crop, x : x + phase.crop] for i, (y, x) in zip(index.tolist(), corners.tolist(), strict=True)]
    return to_range(np.stack(crops))


def _gradients(x: Tensor) -> tuple[Tensor, Tensor]:
    return x[..., 1:, :] - x[..., :-1, :], x[..., 1:] - x[..., :-1]


def loss_of(vae: AutoencoderKL, x: Tensor, noise: torch.Generator, *, frozen_encoder: bool) -> tuple[Tensor, Tensor]:
    """Return the loss, and the reconstruction MSE for the log.

    loss = L1 + 2·MSE + L1 of image gradients + 4·L1 of 16-pixel means + 1e-4·KL. The normalisation layers hide a picture's overall
    colour; without the term of the means the network learns it last.
    """
    with mixed_precision(x.device):
        with torch.set_grad_enabled(not frozen_encoder):
            posterior = DiagonalGaussianDistribution(vae.encode(x).latent_dist.parameters.float())
        eps = torch.randn(posterior.mean.shape, generator=noise).to(x.device)
        y = vae.decode(posterior.mean + posterior.std * eps).sample
    error = y.float() - x
    mse = error.square().mean()
    edges = sum((d.abs().mean() for d in _gradients(error)), torch.zeros((), device=x.device))
    tone = functional.avg_pool2d(error, 16).abs().mean()
    loss = error.abs().mean() + 2 * mse + edges + 4 * tone
    if not frozen_encoder:
        loss = loss + 1e-4 * posterior.kl().mean() / math.prod(posterior.mean.shape[1:])
    return loss, mse


@torch.no_grad()
def reconstruct(vae: AutoencoderKL, x: Tensor, batch: int = 16) -> Tensor:
    """Encode `x` to the posterior mean and decode it again."""
    return torch.cat([vae.decode(vae.encode(part).latent_dist.mode()).sample for part in x.split(batch)])


def train(
    vae: AutoencoderKL,
    phase: Phase,
    data: NDArray[np.uint8],
    unseen: Tensor,
    folder: Path,
    *,
    seed: int = 11,
    every: int = 250,
) -> Run:
    """Run `phase` to its end, from its checkpoint if there is one. Leaves the averaged weights in `vae`."""
    device = next(vae.parameters()).device
    parts = (vae.decoder, vae.post_quant_conv) if phase.decoder_only else (vae,)
    parameters = [p for part in parts for p in part.parameters()]
    optimiser = torch.optim.Adam(parameters, lr=phase.peak, betas=(0.9, 0.98))
    sizes = f"widths={vae.config.block_out_channels} latents={vae.config.latent_channels}"
    recipe = f"{phase} data={len(data)}@{world_digest()} seed={seed} {sizes}"
    run = Run(folder, phase.name, recipe, parameters, optimiser, MovingAverage(parameters, 0.998))
    run.resume()
    mean = 0.0
    while run.step < phase.steps:
        x = _batch(data, phase, run.step, seed).to(device)
        loss, mse = loss_of(vae, x, step_generator(seed + 1, run.step), frozen_encoder=phase.decoder_only)
        run.descend(loss, warm_cosine(run.step, phase.steps, peak=phase.peak, floor=phase.floor))
        mean += float(mse.detach()) / every
        if run.step % every == 0:
            run.log(mse=mean, unseen_psnr=float(psnr(reconstruct(vae, unseen), unseen).mean()))
            run.save()
            mean = 0.0
    run.save()
    run.average.copy_to(parameters)
    return run
