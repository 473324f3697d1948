"""Training of the shipped auto-encoder, which maps pictures of 128×128 pixels to latents of 8×32×32 and back.

    python -m lab.training.autoencoder --seconds 400

It trains on what is rendered and takes up new shards as they appear. At intervals and at the end it writes the averaged weights,
with standardised latents, to `result/world-128/vae`, and a sheet of reconstructions.

    python -m lab.training.autoencoder --seconds 1200 --decoder-only

trains the decoder of a finished auto-encoder on. Its latents stay as they are, so a denoiser may train on them at the same time.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from lab.training.dataset import LATENT_CHANNELS, SIZE, Plan
from lab.training.export import picture_of, replace_folder, stage_options
from lab.training.optimisers import adam
from lab.training.starting import widen
from lab.training.store import Dice, Store, grid, joined, normalised, read_fields, wait_for_pictures
from lab.training.trainer import Meter, MovingAverage, Run, compiled, mixed_precision, rate_at, use_fast_kernels

WIDTHS = (32, 64, 128)
"""Of each level; a level halves the sides of the one before. Four channels of 32×32 hold as many numbers as 16 of 16×16, and are
learned many times faster. With eight, freckles and the frames of glasses stay.
"""
BATCH = 64
PEAK = 1e-3
KL = 1e-4
"""Weight of the KL divergence per latent number. It keeps film grain out of the latents, which the denoiser could not predict."""
SEED = 11
CROPPED = 0.6
"""With `--crop`, the share of the budget spent on crops. The rest is for whole pictures, which normalisation layers see in use."""


def build(latent_channels: int = LATENT_CHANNELS, widths: tuple[int, ...] = WIDTHS) -> AutoencoderKL:
    torch.manual_seed(7)
    vae = AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * len(widths),
        up_block_types=("UpDecoderBlock2D",) * len(widths),
        block_out_channels=widths,
        layers_per_block=1,
        latent_channels=latent_channels,
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


def encoding_parts(vae: AutoencoderKL) -> tuple[nn.Module, nn.Module]:
    """Return what makes latents of pictures."""
    assert vae.quant_conv is not None
    return vae.encoder, vae.quant_conv


def encoder_digest(vae: AutoencoderKL) -> str:
    """Return a name of the latents of `vae`: it changes with the weights of the encoder, not with those of the decoder."""
    weights = (value for part in encoding_parts(vae) for value in part.state_dict().values())
    return hashlib.sha256(b"".join(value.float().cpu().contiguous().numpy().tobytes() for value in weights)).hexdigest()[:8]


def latent_scale(widths: Sequence[int]) -> int:
    """Return the pixels per latent cell along each side."""
    return int(2 ** (len(widths) - 1))


def cropped(x: Tensor, side: int, dice: Dice) -> Tensor:
    """Return one random square of `side` pixels of all pictures."""
    top, left = dice.below(x.shape[-1] - side + 1, 2).tolist()
    return x[..., top : top + side, left : left + side]


def to_range(pixels: NDArray[np.uint8]) -> Tensor:
    """Convert `(n, h, w, 3)` uint8 to `(n, 3, h, w)` in -1..1."""
    return torch.tensor(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1


def psnr(a: Tensor, b: Tensor) -> Tensor:
    """Return the PSNR in dB of each image, for values in -1..1."""
    return 10 * torch.log10(4 / (a - b).square().flatten(1).mean(1).clamp_min(1e-10))


def _edges(error: Tensor) -> Tensor:
    """Return the mean absolute error of the image gradients."""
    return (error[..., 1:, :] - error[..., :-1, :]).abs().mean() + (error[..., 1:] - error[..., :-1]).abs().mean()


def loss_of(vae: AutoencoderKL, x: Tensor, noise: Tensor, kl_weight: float = KL) -> tuple[Tensor, Tensor]:
    """Return the loss, and the reconstruction MSE for the log. `noise` has the latents' shape.

    loss = L1 + 2·MSE + L1 of image gradients at full and half size + 4·L1 of 16-pixel means + kl_weight·KL. The normalisation
    layers hide a picture's overall colour; without the term of the means the network learns it last.
    """
    with mixed_precision(x.device):
        parameters = vae.quant_conv(vae.encoder(x)).float()
        mean, log_variance = parameters.chunk(2, dim=1)
        log_variance = log_variance.clamp(-30, 20)
        y = vae.decoder(vae.post_quant_conv(mean + (0.5 * log_variance).exp() * noise))
    error = y.float() - x
    mse = error.square().mean()
    tone = functional.avg_pool2d(error, 16).abs().mean()
    kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
    edges = _edges(error) + _edges(functional.avg_pool2d(error, 2))
    return error.abs().mean() + 2 * mse + edges + 4 * tone + kl_weight * kl, mse


@torch.no_grad()
def posterior(vae: AutoencoderKL, x: Tensor, batch: int = 128) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of the latents of `x`."""
    made: list[DiagonalGaussianDistribution] = [vae.encode(part).latent_dist for part in x.split(batch)]
    return torch.cat([each.mean for each in made]), torch.cat([each.std for each in made])


@torch.no_grad()
def reconstruct(vae: AutoencoderKL, x: Tensor, batch: int = 64) -> Tensor:
    """Encode `x` to the posterior mean and decode it again."""
    return torch.cat([vae.decode(vae.encode(part).latent_dist.mode()).sample for part in x.split(batch)])


def standardise_latents(vae: AutoencoderKL, mean: Tensor) -> None:
    """Give the latents zero mean and unit variance per channel by changing the 1×1 convolutions around them.

    `mean` are posterior means, `(n, c, h, w)`. Reconstructions stay the same.
    """
    shift, scale = mean.mean(dim=(0, 2, 3)), mean.std(dim=(0, 2, 3)).clamp_min(1e-4)
    channels = len(shift)
    with torch.no_grad():
        to, back = vae.quant_conv, vae.post_quant_conv
        assert to is not None
        assert back is not None
        back.bias.add_(back.weight[:, :, 0, 0] @ shift.to(back.weight))
        back.weight.mul_(scale.to(back.weight).view(1, -1, 1, 1))
        to.weight[:channels].div_(scale.to(to.weight).view(-1, 1, 1, 1))
        to.bias[:channels].sub_(shift.to(to.bias)).div_(scale.to(to.bias))
        to.bias[channels:].sub_(2 * scale.to(to.bias).log())


class Stage:
    """The training of the auto-encoder within its budget."""

    def __init__(self, plan: Plan, options: argparse.Namespace) -> None:
        self.device = torch.device(options.device)
        self.plan, self.options, self.result = plan, options, plan.work / "result"
        self.result.mkdir(parents=True, exist_ok=True)
        self.vae = self._first_weights().to(self.device)
        self.parameters = [parameter for parameter in self.vae.parameters() if parameter.requires_grad]
        recipe = f"{plan.recipe} batch={options.batch} peak={options.peak} kl={options.kl} seed={SEED} crop={options.crop}"
        recipe += f" widths={self.vae.config.block_out_channels} latents={self.vae.config.latent_channels}"
        if options.decoder_only:
            recipe += f" encoder={encoder_digest(self.vae)}"
        optimiser = adam(self.parameters, peak=options.peak, betas=(0.9, 0.98), decay=0.0)
        average = MovingAverage(self.parameters, 0.999)
        folder = plan.work / "checkpoints"
        name = "decoder" if options.decoder_only else "autoencoder"
        self.run = Run(folder, name, recipe, self.parameters, optimiser, average, options.seconds, options.save_every)
        self.store = Store(plan, self.device, read_fields("pixels"))
        self.unseen = Store(plan, self.device, read_fields("pixels"), unseen=True)

    def _first_weights(self) -> AutoencoderKL:
        if self.options.decoder_only:
            vae: AutoencoderKL = AutoencoderKL.from_pretrained(self.plan.work / "vae").to(memory_format=torch.channels_last)
            for fixed in encoding_parts(vae):
                fixed.requires_grad_(False)
            return vae
        vae = build(self.options.latent_channels, tuple(self.options.widths))
        if self.options.start:
            widen(vae, AutoencoderKL.from_pretrained(self.options.start))
        return vae

    def _wait_for_pictures(self) -> None:
        wait_for_pictures(self.store, self.unseen)

    def train(self) -> None:
        """Train to the end of the budget, from the last checkpoint if there is one."""
        run, size = self.run, self.options.batch
        run.resume()
        self._wait_for_pictures()
        dice = Dice(self.device, SEED + run.step)

        def inputs() -> tuple[Tensor, Tensor]:
            whole = not self.options.crop or run.share >= CROPPED
            count = max(1, size * self.options.crop**2 // SIZE**2) if self.options.crop and whole else size
            x = normalised(joined(self.store.batch(count, dice), "pixels"))
            x = x if whole else cropped(x, self.options.crop, dice)
            side = x.shape[-1] // latent_scale(self.vae.config.block_out_channels)
            return x, dice.normal(len(x), self.vae.config.latent_channels, side, side)

        def measured(x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
            return loss_of(self.vae, x, noise, self.options.kl)

        given = inputs()
        loss_function = compiled(measured, lambda f: f(*given)[0], run.parameters, wanted=self.options.compile)
        run.begin()
        meter = Meter(self.options.log_every)
        while run.share < 1:
            loss, mse = loss_function(*inputs())
            run.descend(loss, rate_at(run.share, run.step, peak=self.options.peak))
            meter.add(size, mse=mse, loss=loss)
            if meter.due:
                run.log(**meter.read(), unseen_psnr=self.unseen_psnr(32), pictures=sum(self.store.counts.values()))
                self.store.grow(limit=16)
            if run.save_if_due():
                self.export()
        run.save()

    def unseen_psnr(self, count: int) -> float:
        """Return the mean PSNR of `count` unseen pictures per domain, with the weights of this step."""
        with torch.no_grad(), mixed_precision(self.device):
            x = normalised(torch.cat([self.unseen.first(name, count)["pixels"] for name in self.plan.domains]))
            return float(psnr(reconstruct(self.vae, x).float(), x).mean())

    def export(self, *, final: bool = False) -> dict[str, Any]:
        """Write the averaged weights and a sheet. Returns the reconstruction of unseen pictures by domain."""
        with self.run.average.applied(self.parameters):
            vae = copy.deepcopy(self.vae).eval()
        if not self.options.decoder_only:
            count = min(2048 if final else 512, sum(self.store.counts.values()))
            pictures = joined(self.store.batch(count, Dice(self.device, SEED)), "pixels")
            standardise_latents(vae, posterior(vae, normalised(pictures))[0])
        facts: dict[str, Any] = {"psnr_db": {}, "step": self.run.step, "pictures": dict(self.store.counts), "final": final}
        facts["encoder"] = encoder_digest(vae)
        rows = []
        for name in self.plan.domains:
            x = normalised(self.unseen.first(name, 256 if final else 64)["pixels"])
            rebuilt = reconstruct(vae, x)
            facts["psnr_db"][name] = round(float(psnr(rebuilt, x).mean()), 2)
            rows += [x[:10], rebuilt[:10]]
        if all(len(row) == len(rows[0]) for row in rows):
            picture_of(grid(rows)).save(self.result / "reconstructions.png")
        replace_folder(self.result / "world-128" / "vae", lambda folder: copy.deepcopy(vae).half().save_pretrained(folder))
        (self.result / "world-128" / "vae.json").write_text(json.dumps(facts))
        if final:
            replace_folder(self.plan.work / "vae", vae.save_pretrained)
        print(f"auto-encoder {json.dumps(facts)}", flush=True)
        return facts


def main() -> None:
    parser = stage_options(__doc__, seconds=400, batch=BATCH, peak=PEAK)
    parser.add_argument("--latent-channels", type=int, default=LATENT_CHANNELS)
    parser.add_argument("--widths", type=int, nargs="+", default=WIDTHS)
    parser.add_argument("--kl", type=float, default=KL, help="weight of the KL divergence per latent number")
    parser.add_argument("--crop", type=int, default=0, help="side of the crops that the training begins with; good on a CPU")
    parser.add_argument("--start", type=Path, help="folder of an auto-encoder with fewer latent channels, to start from")
    parser.add_argument("--decoder-only", action="store_true", help="train the decoder of the finished auto-encoder on")
    options = parser.parse_args()
    use_fast_kernels()
    stage = Stage(Plan.of(options), options)
    stage.train()
    facts = stage.export(final=True)
    assert math.isfinite(sum(facts["psnr_db"].values())), "the training diverged"


if __name__ == "__main__":
    main()
