"""The world's identity regressor: who or what is it? It estimates the numbers of `Domain.identity_vector`.

`python -m lab.judges.training identity` trains it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from lab.training.scorer import Scorer, load_scorer, predicted

WEIGHTS = Path(__file__).with_name("identities.safetensors")


@dataclass(frozen=True)
class Error:
    """What the regressor is worth for one number, measured on unseen renders."""

    absolute: float
    """Mean absolute error as a share of the error of always guessing the mean: 0 is exact, 1 is blind."""
    explained: float
    """Explained share of the variance, R²."""


@dataclass(frozen=True)
class IdentityRegressor:
    network: Scorer
    names: Mapping[str, tuple[str, ...]]
    """The names of the numbers by domain."""
    unseen: Mapping[str, Mapping[str, Error]]
    """The regressor's own errors by domain and number."""

    def __call__(self, pictures: Tensor, domain: str) -> Tensor:
        """Return the estimated identity vectors, `(n, numbers)`. `pictures` is `(n, 3, 128, 128)` in -1..1."""
        return predicted(self.network, pictures, domain)

    def error(self, pictures: Tensor, domain: str, truth: Tensor, *, least: float = 0.3) -> Tensor:
        """Return the identity error of each picture, `(n,)`: the mean absolute error over the numbers that it can read.

        A number counts, by its explained share, if that is at least `least`. `truth` is `(numbers,)` or `(n, numbers)`.
        """
        explained = torch.tensor([self.unseen[domain][name].explained for name in self.names[domain]])
        weight = torch.where(explained >= least, explained, 0)
        return ((self(pictures, domain) - truth).abs() * weight).sum(1) / weight.sum()


def loss_of(output: Tensor, truth: Tensor) -> Tensor:
    return F.smooth_l1_loss(output.float(), truth, beta=0.2)


def errors(output: Tensor, truth: Tensor, names: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """Return the fields of `Error` by number."""
    middle = truth.mean(0)
    blind = (truth - middle).abs().mean(0).clamp_min(1e-6)
    absolute = (output - truth).abs().mean(0) / blind
    explained = 1 - (output - truth).square().mean(0) / (truth - middle).square().mean(0).clamp_min(1e-6)
    return {
        name: {"absolute": round(float(absolute[i]), 4), "explained": round(float(explained[i]), 4)} for i, name in enumerate(names)
    }


def load_regressor(path: Path = WEIGHTS) -> IdentityRegressor:
    network, about = load_scorer(path)
    unseen = {domain: {name: Error(**each) for name, each in found.items()} for domain, found in about["unseen"].items()}
    return IdentityRegressor(network, {domain: tuple(names) for domain, names in about["names"].items()}, unseen)
