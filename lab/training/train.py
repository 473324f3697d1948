"""Train the shipped model, `models/portraits-128`, from scratch on CPU or CUDA: `python -m lab.training.train`.

The stages are: portraits → auto-encoder → latents → denoiser and text encoder → export. Each stage resumes from its last checkpoint
in `--work` and is skipped once it is done. Data and random draws are the same on every machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline
from PIL import Image
from torch import Tensor

from lab.training import autoencoder as train_autoencoder
from lab.training import denoiser as train_denoiser
from lab.training.autoencoder import PHASES, psnr, reconstruct, to_range
from lab.training.trainer import Run
from lab.world.dataset import PORTRAITS, WORK, held_out, portraits, world_digest
from lab.world.people import WORD_BANK, caption, sample_person

MODEL = Path("models/portraits-128")
GUIDANCE = 3.0
GAINS: dict[str, float] = {"balanced": 7 / 6, "instant": 4 / 3}
"""Guidance of each preset as a multiple of `GUIDANCE`, tuned on the shipped model. The model card contains the products."""


def standardise_latents(vae: AutoencoderKL, mean: Tensor) -> None:
    """Give the latents zero mean and unit variance per channel by changing the 1×1 convolutions around them.

    `mean` are posterior means, `(n, c, h, w)`. Reconstructions stay the same.
    """
    shift, scale = mean.mean(dim=(0, 2, 3)), mean.std(dim=(0, 2, 3))
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


def train_vae(work: Path, data: Any, unseen: Tensor, device: str) -> tuple[AutoencoderKL, list[Run]]:
    """Train the auto-encoder through all phases and standardise its latents. Returns it with the runs."""
    vae = train_autoencoder.build().to(device)
    runs = [train_autoencoder.train(vae, phase, data, unseen, work) for phase in PHASES]
    vae.eval()
    with torch.no_grad():
        sample = to_range(data[:1024]).split(32)
        mean = torch.cat([vae.encode(part.to(device)).latent_dist.mean for part in sample])
    standardise_latents(vae, mean)
    return vae, runs


def export(parts: dict[str, Any], folder: Path) -> None:
    """Write a folder for `StableDiffusionPipeline.from_pretrained`. UNet and auto-encoder are stored in half precision."""
    for part in (parts["unet"], parts["vae"], parts["text_encoder"]):
        part.to("cpu")
    # The text encoder stays in float32: transformers loads weights in their stored precision, diffusers in float32.
    parts["unet"].half()
    parts["vae"].half()
    StableDiffusionPipeline(
        **parts, safety_checker=None, feature_extractor=None, image_encoder=None, requires_safety_checker=False
    ).save_pretrained(folder, safe_serialization=True)
    parts["unet"].float()
    parts["vae"].float()
    card = {
        "subjects": ["woman", "man", "person"],
        "attribute_words": list(WORD_BANK),
        "guidance_scale": GUIDANCE,
        "guidance_by_preset": {preset: GUIDANCE * gain for preset, gain in GAINS.items()},
        "segmenter": "card",  # lab/training/segmenter.py trains it
    }
    (folder / "s2edit.json").write_text(json.dumps(card, indent=2) + "\n")


def sample_grid(folder: Path, count: int = 24, guidance: float = GUIDANCE) -> Image.Image:
    """Sample the exported model with the captions of unseen people and seeds 0 to count − 1."""
    pipeline = StableDiffusionPipeline.from_pretrained(folder, safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    prompts = [caption(sample_person(20_000_000 + i).attributes) for i in range(count)]
    images = []
    for start in range(0, count, 8):
        seeds = [torch.Generator().manual_seed(i) for i in range(start, min(start + 8, count))]
        images += pipeline(prompts[start : start + 8], num_inference_steps=50, guidance_scale=guidance, generator=seeds).images
    grid = Image.new("RGB", (128 * 8, 128 * ((count + 7) // 8)))
    for i, image in enumerate(images):
        grid.paste(image, (128 * (i % 8), 128 * (i // 8)))
    return grid


def reconstruction_grid(unseen: Tensor, rebuilt: Tensor, count: int = 8) -> Image.Image:
    """Return a grid with originals above and reconstructions below."""
    rows = [torch.cat(list(part[:count]), dim=2) for part in (unseen, rebuilt)]
    pixels = ((torch.cat(rows, dim=1).clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return Image.fromarray(pixels.permute(1, 2, 0).numpy())


def write_card(folder: Path, runs: dict[str, Run], facts: dict[str, Any]) -> None:
    """Write `training.json` with the logged losses, and `README.md` with a summary."""
    stages = {
        name: {"steps": run.step, "seconds": round(run.seconds), "log": run.losses[:: max(1, len(run.losses) // 40)]}
        for name, run in runs.items()
    }
    (folder / "training.json").write_text(json.dumps({"facts": facts, "stages": stages}, indent=1) + "\n")
    table = "\n".join(
        f"| {name} | {stage['steps']} | {stage['seconds']} | {runs[name].losses[-1]['mse']:.4f} |" for name, stage in stages.items()
    )
    (folder / "README.md").write_text(
        f"""# portraits-128

A small latent diffusion model of drawn portraits, trained from scratch by `python -m lab.training.train` on portraits that
`lab/world/portraits.py` renders. With it, s2edit can be tried and measured without a large model and without a GPU.
It has seen no real person and no photograph. Licence: Apache-2.0, like the code.

Data: {facts["portraits"]} rendered portraits, with new captions at every step. Machine: {facts["machine"]}.
Parameters: {facts["parameters"]}.
Reconstruction of unseen portraits: {facts["reconstruction_psnr_db"]:.2f} dB (mean of {facts["unseen"]}).

| stage | steps | seconds | last mean squared error |
|---|---|---|---|
{table}

`samples.png`: samples for the captions of unseen people, guidance {GUIDANCE:g}. `reconstructions.png`: unseen portraits above,
their reconstructions by the auto-encoder below. The logged losses are in `training.json`.
"""
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=WORK, help="folder of checkpoints and cached data")
    parser.add_argument("--out", type=Path, default=MODEL)
    parser.add_argument("--portraits", type=int, default=PORTRAITS)
    parser.add_argument("--steps", type=int, default=4000, help="training steps of the denoiser")
    parser.add_argument("--batch", type=int, default=64, help="batch size of the denoiser")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    wanted = parser.parse_args()
    started = time.time()
    data = portraits(wanted.work, wanted.portraits)
    unseen = to_range(held_out(64)).to(wanted.device)
    vae, vae_runs = train_vae(wanted.work, data, unseen[:32], wanted.device)
    mean, std = train_denoiser.encode_all(vae, data, wanted.work / f"latents-{wanted.portraits}-{world_digest()}.pt")
    tokenizer = train_denoiser.build_tokenizer()
    parts: dict[str, Any] = {
        "vae": vae,
        "text_encoder": train_denoiser.build_text_encoder(tokenizer).to(wanted.device),
        "tokenizer": tokenizer,
        "unet": train_denoiser.build_unet().to(wanted.device),
        "scheduler": train_denoiser.build_scheduler(),
    }
    run = train_denoiser.train(parts, mean, std, wanted.work, steps=wanted.steps, batch=wanted.batch)
    rebuilt = reconstruct(vae, unseen)
    export(parts, wanted.out)
    reconstruction_grid(unseen.cpu(), rebuilt.cpu()).save(wanted.out / "reconstructions.png")
    sample_grid(wanted.out).save(wanted.out / "samples.png")
    facts = {
        "portraits": wanted.portraits,
        "unseen": len(unseen),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, device {wanted.device}, torch {torch.__version__}",
        "parameters": {n: sum(p.numel() for p in parts[n].parameters()) for n in ("vae", "unet", "text_encoder")},
        "reconstruction_psnr_db": float(np.mean(psnr(rebuilt, unseen).cpu().numpy())),
        "batch": wanted.batch,
        "seconds_this_run": round(time.time() - started),
    }
    write_card(wanted.out, {each.name: each for each in [*vae_runs, run]}, facts)


if __name__ == "__main__":
    main()
