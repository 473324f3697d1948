"""The regressor of portraits, which estimates identity parameters and so measures identity errors.

It was trained on rendered portraits with the judge's augmentation. Errors are normalised: 0 is exact, and 1 is the mean error of
always guessing the parameter's mean (or its most frequent class). Every result that uses it also reports its own error on unseen
people. The trained weights are kept beside this file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor, nn

from lab.world.people import BACKGROUNDS, CLOTHES, EYE_COLOURS, Attributes, Identity, sample_person

LENGTHS = (
    "skin",
    "face_width",
    "face_height",
    "jaw",
    "eye_distance",
    "eye_size",
    "nose_length",
    "mouth_width",
)
"""Continuous parameters. Brows and the width of the nose are left out, because they are hardly visible at this size."""
CLASSES = {
    "eye_colour": len(EYE_COLOURS),
    "mole": 3,  # none, left, right
    "freckles": 3,
    "background": len(BACKGROUNDS),
    "backdrop": len(BACKGROUNDS),
    "clothes": len(CLOTHES),
    "collar": 3,
}
"""Discrete parameters with their number of values. Hair, hats and frames are left out, because an edit may redraw them."""
PARAMETERS = (*LENGTHS, *CLASSES)
STEPS, BATCH, PEAK = 2500, 64, 2e-3
SEED = 47
WEIGHTS = Path(__file__).with_name("regressor.safetensors")


def hidden(has: Attributes) -> frozenset[str]:
    """Return the parameters that these attributes hide."""
    behind_lenses = {"eye_colour", "eye_size"} if has.sunglasses else set()
    under_beard = {"mole"} if has.beard else set()
    return frozenset(behind_lenses | under_beard)


def class_of(who: Identity, name: str) -> int:
    """Return the value of a parameter of `CLASSES`, counted from 0."""
    if name == "mole":
        return 0 if who.mole is None else 1 if who.mole[0] < 0 else 2
    return int(getattr(who, name))


@dataclass(frozen=True)
class Scales:
    """The normalisation of errors: mean and mean absolute deviation by length, error rate of the best constant guess by class."""

    middle: Tensor  # (lengths,)
    spread: Tensor  # (lengths,)
    blind: Mapping[str, float]


@lru_cache(maxsize=1)
def scales(people: int = 4000) -> Scales:
    """Compute the scales over the first people of the training set."""
    drawn = [sample_person(number).identity for number in range(people)]
    lengths = torch.tensor([[float(getattr(who, name)) for name in LENGTHS] for who in drawn], dtype=torch.float64)
    middle = lengths.mean(0)
    blind = {}
    for name, count in CLASSES.items():
        seen = np.bincount([class_of(who, name) for who in drawn], minlength=count)
        blind[name] = 1 - float(seen.max() / people)
    return Scales(middle.float(), (lengths - middle).abs().mean(0).float(), blind)


class _Network(nn.Sequential):
    """A small convolutional network with group normalisation. Batch statistics could not be averaged as the weights are."""

    def __init__(self) -> None:
        layers: list[nn.Module] = []
        for i, (a, b) in enumerate(pairwise((3, 16, 32, 64, 96))):
            layers += [nn.Conv2d(a, b, 5 if i == 0 else 3, stride=2, padding=2 if i == 0 else 1), nn.GroupNorm(4, b), nn.SiLU()]
        layers += [nn.Conv2d(96, 96, 3, padding=1), nn.GroupNorm(4, 96), nn.SiLU()]
        layers += [nn.Conv2d(96, 32, 1), nn.SiLU(), nn.Flatten(), nn.Linear(32 * 64, 256), nn.SiLU()]
        super().__init__(*layers, nn.Linear(256, len(LENGTHS) + sum(CLASSES.values())))


def _split(output: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Split into normalised lengths `(n, lengths)` and logits by class, `(n, values)` each."""
    lengths, *logits = output.float().split([len(LENGTHS), *CLASSES.values()], dim=1)
    return lengths, dict(zip(CLASSES, logits, strict=True))


@dataclass(frozen=True)
class Regressor:
    network: nn.Module
    held_out: Mapping[str, float]
    """Mean normalised error on unseen renders by parameter."""

    @property
    def own_error(self) -> float:
        """The mean of `held_out` over the parameters."""
        return sum(self.held_out.values()) / len(self.held_out)

    def __call__(self, picture: Tensor, who: Identity, has: Attributes) -> dict[str, float]:
        """Return the normalised error of each parameter of `who` that the attributes `has` leave visible.

        `picture` is `(3, 128, 128)` in -1..1.
        """
        gone = hidden(has)
        lengths, classes = _predicted(self.network, picture[None])
        errors = {}
        for i, name in enumerate(LENGTHS):
            truth = (float(getattr(who, name)) - float(scales().middle[i])) / float(scales().spread[i])
            errors[name] = abs(float(lengths[0, i]) - truth)
        for i, name in enumerate(CLASSES):
            errors[name] = (int(classes[0, i]) != class_of(who, name)) / scales().blind[name]
        return {name: error for name, error in errors.items() if name not in gone}


@torch.no_grad()
def _predicted(network: nn.Module, pictures: Tensor, batch: int = 64) -> tuple[Tensor, Tensor]:
    """Return normalised lengths `(n, lengths)` and the most likely classes `(n, classes)`."""
    lengths, logits = _split(torch.cat([network(part) for part in pictures.split(batch)]))
    return lengths, torch.stack([logits[name].argmax(1) for name in CLASSES], dim=1)


def load_regressor(path: Path = WEIGHTS) -> Regressor:
    """Load the regressor with its measured errors."""
    network = _Network()
    with safe_open(path, framework="pt") as file:
        held_out: dict[str, float] = json.loads(file.metadata()["held_out"])
        network.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    return Regressor(network.eval(), held_out)
