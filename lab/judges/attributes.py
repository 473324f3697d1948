"""The world's judge: which attributes does a picture of a domain show? `python -m lab.judges.training attributes` trains it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from lab.training.scorer import Scorer, load_scorer, predicted

WEIGHTS = Path(__file__).with_name("attributes.safetensors")
Labels = Mapping[str, tuple[str, ...]]
HIDDEN = -1
"""The label of an attribute that something covers."""


@dataclass(frozen=True)
class AttributeJudge:
    network: Scorer
    labels: Mapping[str, Labels]
    """The classes of each attribute by domain."""
    accuracy: Mapping[str, Mapping[str, float]]
    """Accuracy on unseen renders by domain and attribute, 0..1."""

    def __call__(self, pictures: Tensor, domain: str) -> list[dict[str, str]]:
        """Return the class of each attribute that the pictures show. `pictures` is `(n, 3, 128, 128)` in -1..1."""
        classes = self.classes(pictures, domain)
        return [{name: self.labels[domain][name][int(found[i])] for name, found in classes.items()} for i in range(len(pictures))]

    def classes(self, pictures: Tensor, domain: str) -> dict[str, Tensor]:
        """Return the index of the likeliest class of each attribute, `(n,)` each."""
        parts = split(predicted(self.network, pictures, domain), self.labels[domain])
        return {name: part.argmax(1) for name, part in parts.items()}


def split(output: Tensor, labels: Labels) -> dict[str, Tensor]:
    """Split a domain's outputs into logits by attribute, `(n, classes)` each."""
    return dict(zip(labels, output.split([len(classes) for classes in labels.values()], dim=1), strict=True))


def loss_of(output: Tensor, truth: Tensor, labels: Labels) -> Tensor:
    """Return the mean cross-entropy over the attributes. `truth` is `(n, attributes)`, `HIDDEN` where one is covered."""
    losses = [
        F.cross_entropy(part, truth[:, i], ignore_index=HIDDEN, reduction="sum")
        for i, part in enumerate(split(output.float(), labels).values())
    ]
    return torch.stack(losses).sum() / (truth != HIDDEN).sum().clamp_min(1)


def accuracies(output: Tensor, truth: Tensor, labels: Labels) -> dict[str, float]:
    """Return the share of right classes by attribute, over the pictures that show it."""
    found = {}
    for i, (name, part) in enumerate(split(output, labels).items()):
        shown = truth[:, i] != HIDDEN
        if shown.any():
            found[name] = round(float((part.argmax(1) == truth[:, i])[shown].float().mean()), 4)
    return found


def load_judge(path: Path = WEIGHTS) -> AttributeJudge:
    network, about = load_scorer(path)
    labels = {domain: {name: tuple(classes) for name, classes in each.items()} for domain, each in about["labels"].items()}
    return AttributeJudge(network, labels, about["accuracy"])
