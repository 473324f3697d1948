"""Whether a picture may be worked on or delivered: by a classifier of transformers or diffusers' safety checker. None is shipped.

Whatever these models say is a guess, with the biases of what they were trained on. A probability that is not a number counts as
unsafe, and a model that lacks weights is refused when it is loaded: without a trained head it would pass anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image

from s2edit_core.errors import ModelUnusable
from s2edit_core.vision.pretrained import load_whole, refusing_unusable

CHECKER = "safety_checker"
"""The folder of the checker in a diffusers pipeline; its pictures are prepared as `feature_extractor` says."""
PURPOSE = "judge pictures"


class SafetyModel(Protocol):
    def is_unsafe(self, picture: Image.Image) -> bool:
        """Whether `picture` (RGB) must not pass."""


def open_safety_model(model: str, labels: Sequence[str], threshold: float, *, device: str = "cpu") -> SafetyModel:
    """Return the safety model in the folder or hub id `model`, by the architecture that its configuration names.

    `labels` and `threshold` (above 0, at most 1) are a classifier's; the safety checker brings thresholds of its own. Raises
    `ModelUnusable` for what can't be loaded whole, and for labels that the model does not have.
    """
    with refusing_unusable(model, PURPOSE):
        import transformers

        if (Path(model) / CHECKER).is_dir():
            return _SafetyChecker(model, device, within=True)
        config = transformers.PreTrainedConfig.get_config_dict(model)[0]
        if "StableDiffusionSafetyChecker" in (config.get("architectures") or ()):
            return _SafetyChecker(model, device)
        processor = transformers.AutoImageProcessor.from_pretrained(model)
        network = load_whole(transformers.AutoModelForImageClassification, model, device)
    judge = _Classifier(processor, network, labels, threshold)
    with refusing_unusable(model, PURPOSE):
        judge.is_unsafe(Image.new("RGB", (64, 64), "gray"))
    return judge


class _Classifier:
    """Unsafe where the labels named have `threshold` or more: together, or each for itself where a picture may have several."""

    def __init__(self, processor: Any, network: Any, labels: Sequence[str], threshold: float) -> None:
        known = {str(name).strip().lower(): int(i) for i, name in network.config.id2label.items()}
        wanted = [label.strip().lower() for label in labels if label.strip()]
        if unknown := [label for label in wanted if label not in known]:
            raise ModelUnusable(f"the safety model knows no label {unknown[0]!r}; known are {', '.join(known)}")
        if not wanted or not 0 < threshold <= 1:
            raise ModelUnusable("a safety model needs one unsafe label or more, and a threshold above 0 and at most 1")
        self.processor, self.network, self.threshold = processor, network, threshold
        self.unsafe = sorted({known[label] for label in wanted})
        self.several = network.config.problem_type == "multi_label_classification" or len(known) == 1

    @torch.no_grad()
    def is_unsafe(self, picture: Image.Image) -> bool:
        inputs = self.processor(images=picture, return_tensors="pt").to(self.network.device)
        logits = self.network(**inputs).logits[0].float()
        shares = logits.sigmoid() if self.several else logits.softmax(dim=-1)
        found = shares[self.unsafe]
        return not float(found.max() if self.several else found.sum()) < self.threshold  # so that NaN does not pass


class _SafetyChecker:
    """The checker of Stable Diffusion, in a folder or hub id of its own or `within` a pipeline's folder."""

    def __init__(self, model: str, device: str, *, within: bool = False) -> None:
        import transformers
        from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker

        pictures = {"subfolder": "feature_extractor"} if within else {}
        self.processor = transformers.CLIPImageProcessorPil.from_pretrained(model, **pictures)
        self.network = load_whole(StableDiffusionSafetyChecker, model, device, **({"subfolder": CHECKER} if within else {}))
        self.is_unsafe(Image.new("RGB", (64, 64), "gray"))

    @torch.no_grad()
    def is_unsafe(self, picture: Image.Image) -> bool:
        pixels = self.processor(images=picture, return_tensors="pt").pixel_values.to(self.network.device)
        if not torch.isfinite(self.network.visual_projection(self.network.vision_model(pixels)[1])).all():
            return True  # it compares scores, and no comparison with NaN holds
        _, found = self.network(clip_input=pixels, images=np.zeros((1, 1, 1, 3), dtype=np.float32))  # it blackens what it finds
        return bool(found[0])
