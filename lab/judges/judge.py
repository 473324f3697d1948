"""The judge of portraits, a small classifier of every attribute that a caption can name.

It was trained on rendered portraits with random blur, noise, shifts and colour changes, so that artefacts of a method don't mislead
it. Every result that uses it also reports its accuracy on unseen people. The trained weights are kept beside this file, so that all
measurements and tests use the same judge.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import torch
from safetensors import safe_open
from torch import Tensor, nn

from lab.world.people import Attributes, Expression, Gender, HairColour, HairLength

CHOICES: dict[str, tuple[Any, ...]] = {
    "gender": get_args(Gender),
    "hair_colour": get_args(HairColour),
    "hair_length": get_args(HairLength),
    "expression": get_args(Expression),
}
WEIGHTS = Path(__file__).with_name("judge.safetensors")
NAMES = tuple(field.name for field in fields(Attributes))


def choices(name: str) -> tuple[Any, ...]:
    """Return the values that attribute `name` can have."""
    return CHOICES.get(name, (False, True))


class _Network(nn.Sequential):
    def __init__(self) -> None:
        layers: list[nn.Module] = []
        widths = (3, 16, 32, 64, 96)
        for i, (a, b) in enumerate(pairwise(widths)):
            layers += [nn.Conv2d(a, b, 5 if i == 0 else 3, stride=2, padding=2 if i == 0 else 1), nn.BatchNorm2d(b), nn.ReLU()]
        layers += [nn.Conv2d(96, 32, 1), nn.ReLU(), nn.Flatten(), nn.Linear(32 * 64, 128), nn.ReLU()]
        super().__init__(*layers, nn.Linear(128, sum(len(choices(name)) for name in NAMES)))


def _split(logits: Tensor) -> dict[str, Tensor]:
    parts = logits.split([len(choices(name)) for name in NAMES], dim=1)
    return dict(zip(NAMES, parts, strict=True))


def _logits(network: nn.Module, pictures: Tensor, batch: int = 64) -> dict[str, Tensor]:
    """Return the logits by attribute, `(n, choices)` each."""
    return _split(torch.cat([network(part) for part in pictures.split(batch)]))


@dataclass(frozen=True)
class Judge:
    network: nn.Module
    accuracy: dict[str, float]
    """Accuracy on unseen renders by attribute, 0..1."""

    @torch.no_grad()
    def __call__(self, pictures: Tensor) -> list[dict[str, Any]]:
        """Return the attributes that each of `pictures` shows. `pictures` is `(n, 3, 128, 128)` in -1..1."""
        parts = _logits(self.network, pictures)
        return [{name: choices(name)[int(part[i].argmax())] for name, part in parts.items()} for i in range(len(pictures))]


def load_judge(path: Path = WEIGHTS) -> Judge:
    """Load the judge with its measured accuracy."""
    network = _Network()
    with safe_open(path, framework="pt") as file:
        accuracy: dict[str, float] = json.loads(file.metadata()["accuracy"])
        network.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    return Judge(network.eval(), accuracy)
