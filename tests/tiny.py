"""A tiny Stable Diffusion with random weights: the real classes, small enough for unit tests, and optionally in float64."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from safetensors.torch import load_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from lab.training.tokenizer import build_tokenizer
from s2edit_core.base_model.ddim import schedule_of
from s2edit_core.request.domains import Domain
from s2edit_core.unet.backbone import Backbone, ModelCard

WITH_WEIGHTS = ("unet", "vae", "text_encoder")
STABLE_DIFFUSION = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "clip_sample": False}
"""Stable Diffusion 1.5's noise schedule."""
TOKENS = 32
"""Number of tokens of a prompt, with padding."""

CARD = ModelCard(
    domains=(Domain(("woman", "man"), ("red", "black", "hair", "glasses", "hat", "smiling")),),
    guidance_scale=3.0,
    segmenter="model",
)


def tiny_parts(seed: int = 0) -> dict[str, Any]:
    """Return the parts: a UNet with two levels, an auto-encoder of factor 4, a two-layer text encoder, for 32 × 32 frames."""
    torch.manual_seed(seed)
    tokenizer: CLIPTokenizer = build_tokenizer()
    tokenizer.model_max_length = TOKENS
    return {
        "unet": UNet2DConditionModel(
            sample_size=8,
            in_channels=4,
            out_channels=4,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            block_out_channels=(16, 32),
            layers_per_block=1,
            attention_head_dim=2,
            norm_num_groups=8,
            cross_attention_dim=16,
        ),
        "vae": AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
            block_out_channels=(8, 8, 16),
            layers_per_block=1,
            latent_channels=4,
            norm_num_groups=4,
            sample_size=32,
        ),
        "text_encoder": CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(tokenizer),
                hidden_size=16,
                intermediate_size=32,
                num_hidden_layers=2,
                num_attention_heads=2,
                max_position_embeddings=tokenizer.model_max_length,
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )
        ).eval(),
        "tokenizer": tokenizer,
        "scheduler": DDIMScheduler(**STABLE_DIFFUSION, set_alpha_to_one=False, steps_offset=1),
    }


def tiny_backbone(seed: int = 0, dtype: torch.dtype = torch.float64) -> Backbone:
    parts = tiny_parts(seed)
    return Backbone(
        unet=parts["unet"].to(dtype),
        vae=parts["vae"].float(),
        text_encoder=parts["text_encoder"].to(dtype),
        tokenizer=parts["tokenizer"],
        schedule=schedule_of(parts["scheduler"]),
        card=CARD,
    )


def with_card(backbone: Backbone, **values: Any) -> Backbone:
    """Return the same model with changed entries of its card. `subjects` and `attribute_words` are those of its only domain."""
    return replace(backbone, card=changed_card(backbone.card, **values))


def changed_card(card: ModelCard, **values: Any) -> ModelCard:
    """Return `card` with changed entries, as `with_card`."""
    words = {name: values.pop(name) for name in ("subjects", "attribute_words") if name in values}
    return replace(card, **({"domains": (replace(card.domains[0], **words),)} if words else {}) | values)


def save_tiny(
    folder: Path,
    *,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    variant: str | None = None,
    pickled: bool = False,
    scheduler: Mapping[str, Any] | None = None,
) -> Path:
    """Save the tiny model in diffusers' folder layout, with weights in `dtype`, as files of a `variant`, or as `.bin` if `pickled`.

    `scheduler` overrides entries of the scheduler's configuration.
    """
    parts = tiny_parts(seed)
    for name in WITH_WEIGHTS:
        torch.nn.Module.to(parts[name], dtype)
        parts[name].save_pretrained(folder / name, **({"variant": variant} if variant else {}))
        if pickled:
            _pickle(folder / name, "pytorch_model" if name == "text_encoder" else "diffusion_pytorch_model")
    parts["tokenizer"].save_pretrained(folder / "tokenizer")
    (folder / "scheduler").mkdir()
    config = {name: value for name, value in parts["scheduler"].config.items() if not name.startswith("_")}
    text = json.dumps({"_class_name": "DDIMScheduler", **config, **(scheduler or {})})
    (folder / "scheduler" / "scheduler_config.json").write_text(text)
    return folder


def _pickle(folder: Path, stem: str) -> None:
    """Replace safetensors by `.bin` files, as older releases of the libraries wrote them."""
    for file in folder.glob("*.safetensors"):
        variant = file.name.removesuffix(".safetensors").partition(".")[2]
        torch.save(load_file(file), folder / f"{stem}{f'.{variant}' if variant else ''}.bin")
        file.unlink()
