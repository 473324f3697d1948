"""Alignment of the denoiser with networks that know what pictures show: a second task, by which it learns shapes much sooner.

REPA (Yu et al., arXiv 2410.06940): from its own features of a noisy picture, the denoiser guesses the features that a classifier
has of the clean one. Here the classifiers are `teachers/`, and the guess is a small head that no edit needs. The teachers were
trained like the judge and the identity regressor of `lab/judges`, from another seed and on other pictures
(`lab.judges.training --seed 31`): who has taught a model does not judge it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lab.training.dataset import Plan
from lab.training.scorer import load_scorer
from lab.training.store import normalised, read_fields
from lab.training.trainer import mixed_precision

TEACHERS = Path(__file__).with_name("teachers")
NETWORKS = (TEACHERS / "attributes.safetensors", TEACHERS / "identities.safetensors")
COMPONENTS = 64
"""Principal components of both networks' 256 channels. They explain 73 % of the variance."""
FITTED = 512
"""Pictures of each domain from which the components are computed."""
HIDDEN = 256


class Features:
    """What `NETWORKS` see in pictures, on 8 × 8 cells: the first principal components, of mean 0 and variance 1 each."""

    def __init__(self, device: torch.device, networks: Sequence[Path] = NETWORKS) -> None:
        self.device = device
        self.networks = [load_scorer(path)[0].to(device, memory_format=torch.channels_last) for path in networks]  # type: ignore[call-overload]
        self.mean, self.projection = torch.zeros(()), torch.zeros(())

    @torch.no_grad()
    def _channels(self, pixels: Tensor, batch: int = 256) -> Tensor:
        """Return all channels of `(n, 128, 128, 3)` uint8, `(n, 8, 8, channels)`."""
        parts = []
        for part in pixels.split(batch):
            x = normalised(part.to(self.device))
            with mixed_precision(self.device):
                parts.append(torch.cat([network.features(x) for network in self.networks], dim=1).float())
        return torch.cat(parts).permute(0, 2, 3, 1)

    def fit(self, pixels: Tensor) -> None:
        """Compute the components of these pictures. A channel counts by its correlation, not by its scale."""
        values = self._channels(pixels).flatten(0, 2)
        self.mean, scale = values.mean(dim=0), values.std(dim=0) + 1e-4
        standard = (values - self.mean) / scale
        variances, axes = torch.linalg.eigh(standard.T @ standard / len(standard))
        largest = variances.argsort(descending=True)[:COMPONENTS]
        self.projection = axes[:, largest] / variances[largest].clamp_min(1e-4).sqrt() / scale[:, None]

    def __call__(self, pixels: Tensor) -> Tensor:
        """Return the features of `(n, 128, 128, 3)` uint8 in half precision, `(n, 64, 8, 8)`."""
        return ((self._channels(pixels) - self.mean) @ self.projection).permute(0, 3, 1, 2).half()

    @property
    def digest(self) -> str:
        """A name of these features: it changes with the components."""
        return hashlib.sha256(self.projection.cpu().contiguous().numpy().tobytes()).hexdigest()[:8]


def features_of(plan: Plan, device: torch.device) -> Features:
    """Return the features with the components that an earlier start of this training computed, or those of its first pictures."""
    features, kept = Features(device), plan.work / "checkpoints" / "features.safetensors"
    if kept.exists():
        fitted = {name: value.to(device) for name, value in load_file(kept).items()}
        features.mean, features.projection = fitted["mean"], fitted["projection"]
        return features
    first = [read_fields("pixels")(plan.finished(name, unseen=False)[0])["pixels"][:FITTED] for name in plan.domains]
    features.fit(torch.from_numpy(np.concatenate(first)))
    kept.parent.mkdir(parents=True, exist_ok=True)
    save_file({"mean": features.mean.cpu(), "projection": features.projection.cpu().contiguous()}, kept)
    return features


class Aligned(nn.Module):
    """A UNet that also returns the guess of the picture's features, made from its own with 8 cells a side after the middle."""

    def __init__(self, unet: UNet2DConditionModel) -> None:
        super().__init__()
        self.unet = unet
        torch.manual_seed(10)
        width = unet.config["block_out_channels"][-2]
        self.head = nn.Sequential(nn.Conv2d(width, HIDDEN, 1), nn.SiLU(), nn.Conv2d(HIDDEN, COMPONENTS, 1))
        self._seen: list[Any] = [None]
        unet.up_blocks[1].attentions[-1].register_forward_hook(self._keep)

    def _keep(self, _: nn.Module, __: Any, output: Any) -> None:
        self._seen[0] = output[0]

    def forward(self, x: Tensor, t: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
        """Return the prediction, `(n, channels, 32, 32)`, and the guess, `(n, 64, 8, 8)`."""
        predicted = self.unet(x, t, states).sample
        guess: Tensor = self.head(self._seen[0])
        self._seen[0] = None
        return predicted, guess
