"""Write a model with Stable Diffusion 1.4's exact configuration and random weights, without a download.

    python -m lab.speed.random_sd14 FOLDER

`build_backbone` builds the same in memory, on any device.

The model has Stable Diffusion's UNet (320, 640, 1280, 1280), auto-encoder (128, 256, 512, 512), CLIP ViT-L/14 text encoder (12
layers of 768, 49 408 tokens, 77 positions) and PNDM scheduler. It is a diffusers folder of safetensors in half precision, about 2
GB. Its output is noise; it shows that code and memory suffice for the real model.

The tokenizer is this project's small one, extended to 77 positions, because the real vocabulary needs a download. Its ids lie
within the text encoder's 49 408, and the configuration names its begin and end tokens.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from lab.training.tokenizer import build_tokenizer
from s2edit_core.base_model.ddim import schedule_of
from s2edit_core.base_model.fingerprint import Fingerprints
from s2edit_core.base_model.model_card import ModelCard
from s2edit_core.unet.backbone import Backbone, placed
from s2edit_core.unet.precision import use_tensor_cores

VOCABULARY, POSITIONS, WIDTH = 49_408, 77, 768


def build_unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=64,
        in_channels=4,
        out_channels=4,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(320, 640, 1280, 1280),
        layers_per_block=2,
        cross_attention_dim=WIDTH,
        attention_head_dim=8,
    )


def build_autoencoder() -> AutoencoderKL:
    return AutoencoderKL(
        sample_size=512,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(128, 256, 512, 512),
        layers_per_block=2,
        latent_channels=4,
    )


def build_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=VOCABULARY,
            hidden_size=WIDTH,
            intermediate_size=3072,
            projection_dim=WIDTH,
            num_hidden_layers=12,
            num_attention_heads=12,
            max_position_embeddings=POSITIONS,
            hidden_act="quick_gelu",
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def build_scheduler() -> PNDMScheduler:
    return PNDMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        num_train_timesteps=1000,
        set_alpha_to_one=False,
        skip_prk_steps=True,
        steps_offset=1,
    )


def build_backbone(device: torch.device, dtype: torch.dtype = torch.float32, seed: int = 0, *, kernels: bool = True) -> Backbone:
    """Build the model in memory on `device`, set up as `Backbone.from_pretrained` does: the UNet in `dtype`, the rest in float32.

    The weights are drawn on the device, so CPU and CUDA draw different ones from one seed.
    """
    on_cuda = device.type == "cuda"
    if on_cuda:
        use_tensor_cores()
    tokenizer = build_tokenizer()
    tokenizer.model_max_length = POSITIONS
    torch.manual_seed(seed)
    with device:
        unet, vae, text_encoder = build_unet(), build_autoencoder(), build_text_encoder(tokenizer)
    schedule = schedule_of(DDIMScheduler.from_config(build_scheduler().config))
    fingerprints = Fingerprints((unet, vae, text_encoder), schedule)
    made = Backbone(
        unet=placed(unet, device, dtype, channels_last=on_cuda and dtype.itemsize == 2),
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        schedule=schedule,
        card=ModelCard(),
        graphs=on_cuda,
        kernels=kernels,
    )
    made.fingerprints = fingerprints
    return made


def save_random_sd14(folder: Path, seed: int = 0) -> None:
    """Build the parts in half precision, to halve the peak memory, and save them as one pipeline."""
    tokenizer = build_tokenizer()
    tokenizer.model_max_length = POSITIONS
    torch.manual_seed(seed)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float16)
    try:
        parts: dict[str, Any] = {
            "unet": build_unet(),
            "vae": build_autoencoder(),
            "text_encoder": build_text_encoder(tokenizer),
        }
    finally:
        torch.set_default_dtype(before)
    pipeline = StableDiffusionPipeline(
        **parts,
        tokenizer=tokenizer,
        scheduler=build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder, safe_serialization=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    wanted = parser.parse_args()
    save_random_sd14(wanted.folder)
    size = sum(path.stat().st_size for path in wanted.folder.rglob("*") if path.is_file())
    print(f"{wanted.folder}: {size / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
