"""The loaded model: its facts for the API, and the first use of its device."""

from __future__ import annotations

import torch

from s2edit_core.concepts.conditioning import prompt_keys_values
from s2edit_core.device_faults import raising_device_faults
from s2edit_core.request.domains import attribute_words_of
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import Row
from s2edit_jobs.stores.model_facts import ModelFacts


def model_facts(backbone: Backbone) -> ModelFacts:
    """Return what the API needs to know of the model."""
    width = int(backbone.text_encoder.get_input_embeddings().weight.shape[1])  # type: ignore[operator]
    layers = tuple((int(layer.to_k.weight.shape[0]), int(layer.to_k.weight.shape[1])) for layer in backbone.layers)
    return ModelFacts(
        fingerprint=backbone.fingerprint,
        legacy_fingerprint=backbone.fingerprints.legacy,
        width=width,
        layers=layers,
        subjects=backbone.card.subjects,
        attribute_words=attribute_words_of(backbone.card.domains),
        domains=backbone.card.domains,
    )


def prove_device(backbone: Backbone) -> None:
    """Evaluate one row, so that a device that is lost, full or computes no numbers fails before a job is claimed for it.

    Raise `DeviceFault` or `NumbersNotFinite`.
    """
    side = backbone.frame_size // backbone.latent_scale
    channels: int = backbone.unet.config.in_channels  # type: ignore[union-attr, assignment]
    with raising_device_faults():
        latent = torch.zeros(channels, side, side, device=backbone.device)
        backbone.evaluate((Row(latent, 1, prompt_keys_values(backbone, "", {})),))
