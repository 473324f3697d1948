"""Safety models, which judge whether a picture may be edited or delivered. No weights are included.

A model is a classifier of transformers or diffusers' safety checker. Its result is a guess, with the biases of the model's training
data. A probability that is NaN counts as unsafe. A model that lacks weights is refused when it is loaded: without a trained head it
would pass anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image

from s2edit_core.errors import ModelUnusable
from s2edit_core.vision.pretrained import load_whole, raising_unusable

CHECKER = "safety_checker"
"""The checker's folder in a diffusers pipeline. The pipeline's `feature_extractor` prepares its pictures."""
PURPOSE = "judge pictures"


class SafetyModel(Protocol):
    """A model that judges pictures."""

    def is_unsafe(self, picture: Image.Image) -> bool:
        """Return whether `picture` (RGB) must be refused."""


def open_safety_model(model: str, labels: Sequence[str], threshold: float, *, device: str = "cpu") -> SafetyModel:
    """Return the safety model in the folder or hub id `model`, according to the architecture in its configuration.

    `labels` and `threshold` (above 0, at most 1) apply to a classifier; the safety checker has its own thresholds. Raises
    `ModelUnusable` if the model can't be loaded whole, or lacks one of the labels.
    """
    with raising_unusable(model, PURPOSE):
        import transformers

        if (Path(model) / CHECKER).is_dir():
            return _SafetyChecker(model, device, in_pipeline=True)
        config = transformers.PreTrainedConfig.get_config_dict(model)[0]
        if "StableDiffusionSafetyChecker" in (config.get("architectures") or ()):
            return _SafetyChecker(model, device)
        processor = transformers.AutoImageProcessor.from_pretrained(model)
        network = load_whole(transformers.AutoModelForImageClassification, model, device)
    judge = _Classifier(processor, network, labels, threshold)
    with raising_unusable(model, PURPOSE):
        judge.is_unsafe(Image.new("RGB", (64, 64), "gray"))
    return judge


class _Classifier:
    """A classifier: a picture is unsafe if the named labels reach `threshold`.

    Their probabilities are added up, or taken one by one if the model gives a picture several labels.
    """

    def __init__(self, processor: Any, network: Any, labels: Sequence[str], threshold: float) -> None:
        known = {str(name).strip().lower(): int(i) for i, name in network.config.id2label.items()}
        wanted = [label.strip().lower() for label in labels if label.strip()]
        if unknown := [label for label in wanted if label not in known]:
            raise ModelUnusable(f"the safety model has no label {unknown[0]!r}: choose among {', '.join(known)}")
        if not wanted or not 0 < threshold <= 1:
            raise ModelUnusable("a safety classifier needs at least one unsafe label, and a threshold above 0 and at most 1")
        self.processor, self.network, self.threshold = processor, network, threshold
        self.unsafe = sorted({known[label] for label in wanted})
        self.several = network.config.problem_type == "multi_label_classification" or len(known) == 1

    @torch.no_grad()
    def is_unsafe(self, picture: Image.Image) -> bool:
        inputs = self.processor(images=picture, return_tensors="pt").to(self.network.device)
        logits = self.network(**inputs).logits[0].float()
        shares = logits.sigmoid() if self.several else logits.softmax(dim=-1)
        found = shares[self.unsafe]
        return not float(found.max() if self.several else found.sum()) < self.threshold  # `not <`: NaN counts as unsafe


class _SafetyChecker:
    """Stable Diffusion's safety checker, in its own folder or hub id, or as part of a pipeline's folder (`in_pipeline`)."""

    def __init__(self, model: str, device: str, *, in_pipeline: bool = False) -> None:
        import transformers
        from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker

        pictures = {"subfolder": "feature_extractor"} if in_pipeline else {}
        self.processor = transformers.CLIPImageProcessorPil.from_pretrained(model, **pictures)
        self.network = load_whole(StableDiffusionSafetyChecker, model, device, **({"subfolder": CHECKER} if in_pipeline else {}))
        self.is_unsafe(Image.new("RGB", (64, 64), "gray"))

    @torch.no_grad()
    def is_unsafe(self, picture: Image.Image) -> bool:
        pixels = self.processor(images=picture, return_tensors="pt").pixel_values.to(self.network.device)
        if not torch.isfinite(self.network.visual_projection(self.network.vision_model(pixels)[1])).all():
            return True  # the checker's comparisons would pass NaN
        dummy = np.zeros((1, 1, 1, 3), dtype=np.float32)  # the checker blacks out `images` that are unsafe
        _, found = self.network(clip_input=pixels, images=dummy)
        return bool(found[0])
