"""Tiny safety models with random weights, saved as folders: an image classifier and diffusers' safety checker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker

SMALL = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
VISION = {**SMALL, "image_size": 32, "patch_size": 16}
LABELS = ("safe", "nsfw", "gore")


def classifier(folder: Path, says: str | None = None, **config: Any) -> str:
    """Save a ViT over `LABELS`. With `says`, the bias of its last layer makes it always predict that label."""
    names = dict(enumerate(LABELS))
    torch.manual_seed(0)
    network = transformers.ViTForImageClassification(transformers.ViTConfig(**{**VISION, "id2label": names, **config}))
    if says is not None:
        with torch.no_grad():
            network.classifier.bias[LABELS.index(says)] = 100.0
    network.save_pretrained(folder)
    transformers.ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return str(folder)


def checker(folder: Path, refuses: bool, *, within: bool = False) -> str:
    """Save a safety checker that refuses every picture or none, alone or `within` the folder layout of a pipeline."""
    config = transformers.CLIPConfig(
        vision_config=VISION,
        text_config={**SMALL, "vocab_size": 8, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1},
        projection_dim=8,
    )
    torch.manual_seed(0)
    network = StableDiffusionSafetyChecker(config)
    network.concept_embeds_weights.fill_(-2.0 if refuses else 2.0)  # below or above every cosine
    network.special_care_embeds_weights.fill_(2.0)
    network.save_pretrained(folder / "safety_checker" if within else folder)
    pictures = transformers.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    pictures.save_pretrained(folder / "feature_extractor" if within else folder)
    return str(folder)
